package backend

import (
	"context"
	"net/http"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
)

// operation is one row of a path's table; handler turns it into what the framework takes.
type operation struct {
	handle  framework.OperationFunc
	summary string
	// answer is the response's fields; nil when it has none.
	answer map[string]*framework.FieldSchema
	// mints marks an operation whose result is bound to this cluster: a standby hands it to the active node,
	// a performance secondary does it itself, because leases are each cluster's own.
	mints bool
	// writes marks an operation that changes replicated storage: standbys and secondaries hand it on.
	writes bool
}

func (o operation) handler() framework.OperationHandler {
	responses := map[int][]framework.Response{
		http.StatusOK: {{Description: http.StatusText(http.StatusOK), Fields: o.answer}},
	}
	if len(o.answer) == 0 { // without a warning there is nothing to tell
		responses[http.StatusNoContent] = []framework.Response{{Description: http.StatusText(http.StatusNoContent)}}
	}
	return &framework.PathOperation{
		Callback:                    encodeErrors(o.handle),
		Summary:                     o.summary,
		ForwardPerformanceStandby:   o.mints || o.writes,
		ForwardPerformanceSecondary: o.writes,
		Responses:                   responses,
	}
}

// encodeErrors is where a verb's error becomes what the caller is told. A name that no role can have is refused here,
// for every path that has one.
func encodeErrors(handle framework.OperationFunc) framework.OperationFunc {
	return func(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
		if name, inPath := data.Raw[nameField].(string); inPath {
			if err := checkName(name); err != nil {
				return nil, answerable(err)
			}
		}
		resp, err := handle(ctx, req, data)
		if err != nil {
			return nil, answerable(err)
		}
		return resp, nil
	}
}

// written is the answer of a write that has nothing to tell but warnings.
func written(warnings []string) *logical.Response {
	if len(warnings) == 0 {
		return nil
	}
	return &logical.Response{Warnings: warnings}
}
