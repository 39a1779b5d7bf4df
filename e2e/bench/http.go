package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// server is a Vault or an InfluxDB, called with as little ceremony as can be: clients share the machine with what they
// measure.
type server struct {
	url           string
	header, token string
	http          *http.Client
}

func vaultServer(url, token string) *server {
	return &server{url: url + "/v1/", header: "X-Vault-Token", token: token, http: newHTTPClient()}
}

func influxServer(url, token string) *server {
	return &server{url: url + "/api/v2/", header: "Authorization", token: "Token " + token, http: newHTTPClient()}
}

func newHTTPClient() *http.Client {
	return &http.Client{Transport: &http.Transport{MaxIdleConns: 256, MaxIdleConnsPerHost: 256}}
}

// call makes one call. body is JSON, or nothing; the answer is decoded into out, or thrown away.
func (s *server) call(ctx context.Context, method, path string, body []byte, out any) error {
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	request, err := http.NewRequestWithContext(ctx, method, s.url+path, reader)
	if err != nil {
		return err
	}
	request.Header.Set(s.header, s.token)
	request.Header.Set("Content-Type", "application/json")
	response, err := s.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 {
		said, _ := io.ReadAll(io.LimitReader(response.Body, 1000))
		return fmt.Errorf("%s %s: %s: %s", method, path, response.Status, said)
	}
	if out != nil {
		return json.NewDecoder(response.Body).Decode(out)
	}
	_, err = io.Copy(io.Discard, response.Body)
	return err
}

// write is a call whose fields are known now.
func (s *server) write(ctx context.Context, path string, fields map[string]any) error {
	body, err := json.Marshal(fields)
	if err != nil {
		return err
	}
	return s.call(ctx, http.MethodPost, path, body, nil)
}

// lease reads a path that answers with a lease, and returns the lease's ID.
func (s *server) lease(ctx context.Context, path string) (string, error) {
	var made struct {
		LeaseID string `json:"lease_id"`
	}
	err := s.call(ctx, http.MethodGet, path, nil, &made)
	return made.LeaseID, err
}

// revoke ends a lease and waits until that is done.
func (s *server) revoke(ctx context.Context, lease string) error {
	return s.call(ctx, http.MethodPut, "sys/leases/revoke", []byte(`{"sync":true,"lease_id":"`+lease+`"}`), nil)
}

func (s *server) renew(ctx context.Context, lease string) error {
	return s.call(ctx, http.MethodPut, "sys/leases/renew", []byte(`{"lease_id":"`+lease+`"}`), nil)
}
