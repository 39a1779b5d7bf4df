package backend

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/connection"
	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/problem"
	"vault-plugin-secrets-influxdb/backend/role"
)

// fields are the fields of a request or of an answer, by name.
type fields = map[string]*framework.FieldSchema

// operationPrefix starts every operation ID in the OpenAPI document.
const operationPrefix = "influxdb"

// handler decodes a request, calls one verb and encodes its answer.
type handler = func(ctx context.Context, req request) (*logical.Response, error)

// write is an operation that changes replicated storage: a standby hands it to the active node, where leases and background
// work are, and a performance secondary to the primary.
func write(handle handler, summary string, response fields) framework.OperationHandler {
	return &framework.PathOperation{
		Callback: callback(handle), Summary: summary, Responses: responses(response),
		ForwardPerformanceStandby: true, ForwardPerformanceSecondary: true,
	}
}

// anyNode is an operation that any node answers, also a standby, which learns some moments later of what was written.
func anyNode(handle handler, summary string, response fields) framework.OperationHandler {
	return &framework.PathOperation{Callback: callback(handle), Summary: summary, Responses: responses(response)}
}

// activeNode is an operation that the active node of each cluster answers: what it does is of that cluster alone, or what
// it tells is read by tools right after they wrote it.
func activeNode(handle handler, summary string, response fields) framework.OperationHandler {
	return &framework.PathOperation{
		Callback: callback(handle), Summary: summary, Responses: responses(response), ForwardPerformanceStandby: true,
	}
}

// noFields are those of an answer that holds nothing but warnings.
var noFields = fields{}

func responses(response fields) map[int][]framework.Response {
	responses := map[int][]framework.Response{http.StatusOK: {{Description: http.StatusText(http.StatusOK), Fields: response}}}
	if len(response) == 0 { // without a warning there is nothing to tell
		responses[http.StatusNoContent] = []framework.Response{{Description: http.StatusText(http.StatusNoContent)}}
	}
	return responses
}

// callback is where a verb's error becomes what the caller is told. A name that no role can have is refused here, for
// every path that has one.
func callback(handle handler) framework.OperationFunc {
	return func(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
		if name, inPath := data.Raw[nameParam].(string); inPath {
			if err := role.CheckName(name); err != nil {
				return nil, encodeError(err)
			}
		}
		resp, err := handle(ctx, request{req, params{data}})
		if err != nil {
			return nil, encodeError(err)
		}
		return resp, nil
	}
}

// encodeError gives an error the status that the caller is answered with. Vault looks at the outermost error alone, so
// this comes last.
func encodeError(err error) error {
	if known, ok := errors.AsType[*problem.Error](err); ok {
		return logical.CodedError(known.Status, err.Error())
	}
	if upstream, ok := errors.AsType[*influx.Error](err); ok {
		return logical.CodedError(upstreamStatus(upstream), err.Error())
	}
	if connection.IsForeign(err) {
		return logical.CodedError(http.StatusBadGateway, err.Error())
	}
	return err
}

// upstreamStatus is 400 where the role asks for what InfluxDB does not grant, and 502 for everything that the caller can't
// help: InfluxDB out of reach, or our root token refused.
func upstreamStatus(e *influx.Error) int {
	switch e.Kind {
	case influx.MissingPermission, influx.Forbidden, influx.Invalid, influx.NotFound:
		return http.StatusBadRequest
	}
	return http.StatusBadGateway
}

// warningsOnly is the answer of a write that has nothing to tell but warnings.
func warningsOnly(warnings []string) *logical.Response {
	if len(warnings) == 0 {
		return nil
	}
	return &logical.Response{Warnings: warnings}
}

// deletion is the DELETE of one entry of a collection.
func deletion(remove func(ctx context.Context, s logical.Storage, name string) error) handler {
	return func(ctx context.Context, req request) (*logical.Response, error) {
		return nil, remove(ctx, req.Storage, req.name())
	}
}

// listFields are the parameters of every LIST.
var listFields = fields{
	"after": {Type: framework.TypeString, Query: true, Description: "Give the names that sort behind this one."},
	"limit": {Type: framework.TypeInt, Query: true, Description: "Give at most so many names; 0 means all."},
}

var listResponse = fields{
	"keys": {Type: framework.TypeStringSlice, Description: "The names, sorted."},
}

// listPath declares the LIST of a collection.
func listPath(name, synopsis, description string, handle handler, response fields) *framework.Path {
	return &framework.Path{
		Pattern:         name + "/?$",
		Fields:          listFields,
		DisplayAttrs:    &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: name},
		Operations:      map[logical.Operation]framework.OperationHandler{logical.ListOperation: activeNode(handle, synopsis, response)},
		HelpSynopsis:    synopsis,
		HelpDescription: description + " after and limit give them in pages.",
	}
}

// listNames is the LIST of a collection of names.
func listNames(names func(context.Context, logical.Storage) ([]string, error)) handler {
	return func(ctx context.Context, req request) (*logical.Response, error) {
		all, err := names(ctx, req.Storage)
		if err != nil {
			return nil, err
		}
		page := newPager(req.data, nil)
		for _, name := range all {
			page.add(name)
		}
		return logical.ListResponse(page.names()), nil
	}
}

// existence tells a create from an update of a collection's entry. What is wrong with a name is the handler's to say.
func existence[T any](get func(context.Context, logical.Storage, string) (*T, error)) framework.ExistenceFunc {
	return func(ctx context.Context, req *logical.Request, data *framework.FieldData) (bool, error) {
		name := data.Get(nameParam).(string)
		if role.CheckName(name) != nil {
			return false, nil
		}
		entry, err := get(ctx, req.Storage, name)
		return entry != nil, err
	}
}

// pager gathers a page of names while a list comes by: it holds no more than twice the page.
type pager struct {
	after   string
	limit   int
	held    []string
	onEvict func(name string)
}

// newPager calls onEvict, if given, with each name that was added and is not of the page.
func newPager(data *framework.FieldData, onEvict func(name string)) *pager {
	page := &pager{onEvict: onEvict}
	p := params{data}
	p.set("after", &page.after)
	p.set("limit", &page.limit)
	return page
}

// add reports whether the name may be of the page.
func (p *pager) add(name string) bool {
	if name <= p.after {
		return false
	}
	p.held = append(p.held, name)
	if p.limit > 0 && len(p.held)/2 >= p.limit {
		p.names()
	}
	return true
}

// names is what was added so far of the page, sorted.
func (p *pager) names() []string {
	slices.Sort(p.held)
	if p.limit > 0 && p.limit < len(p.held) {
		for _, name := range p.held[p.limit:] {
			if p.onEvict != nil {
				p.onEvict(name)
			}
		}
		p.held = p.held[:p.limit]
	}
	return p.held
}
