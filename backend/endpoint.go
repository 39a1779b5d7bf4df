package backend

import (
	"context"
	"errors"
	"net/http"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

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

// read is an operation that any node can answer.
func read(handle handler, summary string, response fields) framework.OperationHandler {
	return &framework.PathOperation{Callback: callback(handle), Summary: summary, Responses: responses(response)}
}

// local is an operation that the active node of each cluster answers: what it does or tells is of that cluster alone.
func local(handle handler, summary string, response fields) framework.OperationHandler {
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
	var (
		known    *problem.Error
		setting  *influx.FieldError
		upstream *influx.Error
	)
	switch {
	case errors.As(err, &known):
		return logical.CodedError(known.Status, err.Error())
	case errors.As(err, &setting):
		return logical.CodedError(http.StatusBadRequest, err.Error())
	case errors.As(err, &upstream):
		return logical.CodedError(upstreamStatus(upstream), err.Error())
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
