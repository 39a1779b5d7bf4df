// Command floor is the least that a secrets engine for InfluxDB tokens can be: `make bench` holds the plugin against
// it. Reading one-call makes one POST with a body that never changes and returns a leased secret, and the revocation
// makes one DELETE; reading lease-only returns a leased secret and does nothing else. It reads no storage, asks Vault
// nothing, and checks nothing that it could do without. It is no use for anything but to be measured.
package main

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/plugin"
)

func main() {
	if err := plugin.ServeMultiplex(&plugin.ServeOpts{BackendFactoryFunc: factory}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// engine is one mount. What it is told at target is kept in memory.
type engine struct {
	*framework.Backend
	influx atomic.Pointer[influx]
}

const (
	tokenSecret = "token"
	emptySecret = "empty"
	idKey       = "authorization_id"
)

func factory(ctx context.Context, conf *logical.BackendConfig) (logical.Backend, error) {
	e := &engine{}
	text := func(description string) *framework.FieldSchema {
		return &framework.FieldSchema{Type: framework.TypeString, Description: description}
	}
	e.Backend = &framework.Backend{
		BackendType: logical.TypeLogical,
		// Callbacks and not Operations: for those the framework asks Vault for its state at each request.
		Paths: []*framework.Path{
			{
				Pattern:   "target",
				Fields:    map[string]*framework.FieldSchema{"url": text("InfluxDB."), "token": text("A token of it."), "body": text("What to POST.")},
				Callbacks: map[logical.Operation]framework.OperationFunc{logical.UpdateOperation: e.setTarget},
			},
			{Pattern: "one-call", Callbacks: map[logical.Operation]framework.OperationFunc{logical.ReadOperation: e.oneCall}},
			{Pattern: "lease-only", Callbacks: map[logical.Operation]framework.OperationFunc{logical.ReadOperation: e.leaseOnly}},
		},
		Secrets: []*framework.Secret{
			{Type: tokenSecret, Revoke: e.revoke},
			{Type: emptySecret, Revoke: func(context.Context, *logical.Request, *framework.FieldData) (*logical.Response, error) {
				return nil, nil
			}},
		},
	}
	return e, e.Setup(ctx, conf)
}

func (e *engine) setTarget(_ context.Context, _ *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	e.influx.Store(newInflux(data.Get("url").(string), data.Get("token").(string), data.Get("body").(string)))
	return nil, nil
}

func (e *engine) oneCall(ctx context.Context, _ *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	id, token, err := e.influx.Load().create(ctx)
	if err != nil {
		return nil, err
	}
	return e.Secret(tokenSecret).Response(map[string]any{idKey: id, "token": token}, map[string]any{idKey: id}), nil
}

func (e *engine) leaseOnly(context.Context, *logical.Request, *framework.FieldData) (*logical.Response, error) {
	return e.Secret(emptySecret).Response(map[string]any{idKey: "none", "token": "none"}, nil), nil
}

func (e *engine) revoke(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	return nil, e.influx.Load().remove(ctx, req.Secret.InternalData[idKey].(string))
}
