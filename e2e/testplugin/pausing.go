package main

import (
	"context"
	"net/http"
	"net/url"
	"os"

	"github.com/hashicorp/vault/sdk/logical"
)

// pausingFactory returns a factory whose backends pause before and after each write to storage, and before each answer,
// until the test at CRASHTEST_ADDR lets them go on. Without that variable it returns the factory unchanged.
func pausingFactory(factory logical.Factory) logical.Factory {
	address := os.Getenv("CRASHTEST_ADDR")
	if address == "" {
		return factory
	}
	return func(ctx context.Context, conf *logical.BackendConfig) (logical.Backend, error) {
		b, err := factory(ctx, conf)
		return &pausing{b, pauser{address, conf.BackendUUID}}, err
	}
}

// pauser reports the points that one mount passes to the test.
type pauser struct{ address, mount string }

// at reports a point and waits for the test's answer. It takes no context from a request: the process may outlive its
// Vault, and is still to be held.
func (p pauser) at(when, what, about string) {
	form := url.Values{"when": {when}, "what": {what}, "about": {p.mount + " " + about}}
	if answer, err := http.PostForm(p.address, form); err == nil { // an error means that the test is over
		_ = answer.Body.Close()
	}
}

type pausing struct {
	logical.Backend
	pauser pauser
}

// PluginVersion is asked for by Vault, and no part of logical.Backend.
func (b *pausing) PluginVersion() logical.PluginVersion {
	return b.Backend.(logical.PluginVersioner).PluginVersion()
}

func (b *pausing) HandleRequest(ctx context.Context, req *logical.Request) (*logical.Response, error) {
	req.Storage = pausingStorage{req.Storage, b.pauser}
	defer b.pauser.at("before", "answer", string(req.Operation)+" "+req.Path)
	return b.Backend.HandleRequest(ctx, req)
}

type pausingStorage struct {
	logical.Storage
	pauser pauser
}

func (s pausingStorage) Put(ctx context.Context, entry *logical.StorageEntry) error {
	s.pauser.at("before", "put", entry.Key)
	defer s.pauser.at("after", "put", entry.Key)
	return s.Storage.Put(ctx, entry)
}

func (s pausingStorage) Delete(ctx context.Context, key string) error {
	s.pauser.at("before", "delete", key)
	defer s.pauser.at("after", "delete", key)
	return s.Storage.Delete(ctx, key)
}
