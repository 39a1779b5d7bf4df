//go:build hasty

package main

import (
	"context"
	"net/http"
	"net/url"
	"os"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend"
)

// factory makes a mount's backend that stops at exact points, for tests of crashes: before and after each write of its
// storage, and before each of its answers, it tells the test where it is, and goes on when that one answers.
func factory(ctx context.Context, conf *logical.BackendConfig) (logical.Backend, error) {
	b, err := backend.Factory(ctx, conf)
	return &stopping{b, conf.BackendUUID}, err
}

// tell names a point of a mount to the test, whose address is in the environment, and waits for it. Nothing of it
// depends on a request's context: the process may have outlived its Vault.
func tell(when, what, about string) {
	if address := os.Getenv("HASTY_STOPS"); address != "" {
		if answer, err := http.PostForm(address, url.Values{"when": {when}, "what": {what}, "about": {about}}); err == nil { //nolint:noctx // see above
			_ = answer.Body.Close()
		}
	}
}

type stopping struct {
	logical.Backend
	mount string
}

// PluginVersion is asked for by Vault, and no part of logical.Backend.
func (s *stopping) PluginVersion() logical.PluginVersion {
	return s.Backend.(logical.PluginVersioner).PluginVersion()
}

func (s *stopping) HandleRequest(ctx context.Context, req *logical.Request) (*logical.Response, error) {
	req.Storage = stoppingStorage{req.Storage, s.mount}
	defer tell("before", "answer", s.mount+" "+string(req.Operation)+" "+req.Path)
	return s.Backend.HandleRequest(ctx, req)
}

type stoppingStorage struct {
	logical.Storage
	mount string
}

func (s stoppingStorage) Put(ctx context.Context, entry *logical.StorageEntry) error {
	tell("before", "put", s.mount+" "+entry.Key)
	defer tell("after", "put", s.mount+" "+entry.Key)
	return s.Storage.Put(ctx, entry)
}

func (s stoppingStorage) Delete(ctx context.Context, key string) error {
	tell("before", "delete", s.mount+" "+key)
	defer tell("after", "delete", s.mount+" "+key)
	return s.Storage.Delete(ctx, key)
}
