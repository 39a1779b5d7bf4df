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

// endpoint is one operation of a path.
type endpoint struct {
	handle  framework.OperationFunc
	summary string
	// response is the answer's fields; empty where it has none but warnings.
	response fields
	// forwardStandby has a standby hand the request to the active node: leases and background work are there.
	forwardStandby bool
	// forwardSecondary has a performance secondary hand it to the primary: it changes replicated storage.
	forwardSecondary bool
}

// write is an endpoint that changes replicated storage and answers nothing but warnings.
func write(handle framework.OperationFunc, summary string) framework.OperationHandler {
	return endpoint{handle: handle, summary: summary, forwardStandby: true, forwardSecondary: true}.handler()
}

// read is an endpoint that any node can answer.
func read(handle framework.OperationFunc, summary string, response fields) framework.OperationHandler {
	return endpoint{handle: handle, summary: summary, response: response}.handler()
}

// local is an endpoint that the active node of each cluster answers: what it does or tells is of that cluster alone.
func local(handle framework.OperationFunc, summary string, response fields) framework.OperationHandler {
	return endpoint{handle: handle, summary: summary, response: response, forwardStandby: true}.handler()
}

func (e endpoint) handler() framework.OperationHandler {
	responses := map[int][]framework.Response{
		http.StatusOK: {{Description: http.StatusText(http.StatusOK), Fields: e.response}},
	}
	if len(e.response) == 0 { // without a warning there is nothing to tell
		responses[http.StatusOK][0].Fields = fields{}
		responses[http.StatusNoContent] = []framework.Response{{Description: http.StatusText(http.StatusNoContent)}}
	}
	return &framework.PathOperation{
		Callback:                    encodeErrors(e.handle),
		Summary:                     e.summary,
		ForwardPerformanceStandby:   e.forwardStandby,
		ForwardPerformanceSecondary: e.forwardSecondary,
		Responses:                   responses,
	}
}

// encodeErrors is where a verb's error becomes what the caller is told. A name that no role can have is refused here,
// for every path that has one.
func encodeErrors(handle framework.OperationFunc) framework.OperationFunc {
	return func(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
		if name, inPath := data.Raw[nameParam].(string); inPath {
			if err := role.CheckName(name); err != nil {
				return nil, encodeError(err)
			}
		}
		resp, err := handle(ctx, req, data)
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
