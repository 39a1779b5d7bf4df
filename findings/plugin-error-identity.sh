#!/usr/bin/env bash
# Errors cross the plugin protocol by the type of the outermost one alone; a unit test in one process does not show it.
#
# Expected: an error wrapped with %w keeps its HTTP status, and errors.Is(err, logical.ErrReadOnly) holds for what storage
# returns, as it does where engine and host are one process.
# Seen: a logical.CodedError of 502 is one on the other side, but wrapped it arrives as text, without a status, which is
# 500. ErrReadOnly of the host's storage is text in the plugin, and errors.Is is false. The same calls without the
# protocol find both.
# Where: github.com/hashicorp/vault/sdk v0.25.1, plugin/pb/translation.go: ErrToProtoErr compares with == and a type switch;
# plugin/grpc_storage.go: errors.New of the text.
# Why it matters: an engine whose tests are green answers 500 for an outage of InfluxDB or for a wrong field, and takes
# a storage that is read-only for one that is broken.
# What we do: the last step of every request puts the status outermost (backend/endpoint.go), and the tests run requests
# through the protocol too.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
export GOWORK=off GOFLAGS=-mod=mod

cat >finding_test.go <<'GO'
package finding

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/plugin"
)

// readOnly is the storage of a host that may not write.
type readOnly struct{ logical.InmemStorage }

func (*readOnly) Put(context.Context, *logical.StorageEntry) error { return logical.ErrReadOnly }

func factory(ctx context.Context, config *logical.BackendConfig) (logical.Backend, error) {
	path := func(pattern string, read func(*logical.Request) (*logical.Response, error)) *framework.Path {
		return &framework.Path{Pattern: pattern, Operations: map[logical.Operation]framework.OperationHandler{
			logical.ReadOperation: &framework.PathOperation{
				Callback: func(_ context.Context, r *logical.Request, _ *framework.FieldData) (*logical.Response, error) { return read(r) },
			},
		}}
	}
	coded := logical.CodedError(http.StatusBadGateway, "down")
	b := &framework.Backend{BackendType: logical.TypeLogical, Paths: []*framework.Path{
		path("plain", func(*logical.Request) (*logical.Response, error) { return nil, coded }),
		path("wrapped", func(*logical.Request) (*logical.Response, error) { return nil, fmt.Errorf("mint: %w", coded) }),
		path("put", func(r *logical.Request) (*logical.Response, error) {
			err := r.Storage.Put(context.Background(), &logical.StorageEntry{Key: "key"})
			return &logical.Response{Data: map[string]any{"text": err.Error(), "is": errors.Is(err, logical.ErrReadOnly)}}, nil
		}),
	}}
	return b, b.Setup(ctx, config)
}

func TestErrors(t *testing.T) {
	ctx := context.Background()
	hostConfig := func() *logical.BackendConfig {
		config := logical.TestBackendConfig()
		config.StorageView = &readOnly{}
		return config
	}
	near, err := factory(ctx, hostConfig())
	if err != nil {
		t.Fatal(err)
	}
	client, server := goplugin.TestPluginGRPCConn(t, false, map[string]goplugin.Plugin{
		"backend": &plugin.GRPCBackendPlugin{Factory: factory, Logger: hclog.NewNullLogger()},
	})
	defer server.Stop()
	defer client.Close()
	dispensed, err := client.Dispense("backend")
	if err != nil {
		t.Fatal(err)
	}
	far := dispensed.(logical.Backend)
	if err := far.Setup(ctx, hostConfig()); err != nil {
		t.Fatal(err)
	}

	for _, side := range []struct {
		name    string
		backend logical.Backend
	}{{"one process", near}, {"plugin protocol", far}} {
		read := func(path string) (*logical.Response, error) {
			return side.backend.HandleRequest(ctx, &logical.Request{Operation: logical.ReadOperation, Path: path, Storage: &readOnly{}})
		}
		for _, path := range []string{"plain", "wrapped"} {
			_, err := read(path)
			var coded logical.HTTPCodedError
			status := http.StatusInternalServerError
			if errors.As(err, &coded) {
				status = coded.Code()
			}
			fmt.Printf("seen: %s, %s: %q is %d\n", side.name, path, err, status)
		}
		resp, err := read("put")
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("seen: %s, storage: %q is ErrReadOnly: %v\n", side.name, resp.Data["text"], resp.Data["is"])
	}
}
GO
go mod init finding 2>log && go get github.com/hashicorp/vault/sdk/plugin@v0.25.1 2>>log || { cat log >&2; exit 1; }
go list -m github.com/hashicorp/vault/sdk github.com/hashicorp/go-plugin
go test -v . >output 2>>log || { cat output log >&2; exit 1; }
sed -n 's/^seen: //p' output | tee seen

diff seen - <<'END'
one process, plain: "down" is 502
one process, wrapped: "mint: down" is 502
one process, storage: "cannot write to readonly storage" is ErrReadOnly: true
plugin protocol, plain: "down" is 502
plugin protocol, wrapped: "mint: down" is 500
plugin protocol, storage: "cannot write to readonly storage" is ErrReadOnly: false
END
echo "As stated."
