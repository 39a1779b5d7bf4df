package backend

import (
	"context"
	"sort"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/role"
)

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
		Operations:      map[logical.Operation]framework.OperationHandler{logical.ListOperation: read(handle, synopsis, response)},
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
	sort.Strings(p.held)
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
