#!/usr/bin/env bash
# influxdb-client-go: the status of an error is not always that of the HTTP answer, or there is none.
#
# Expected: an answer of 404 is an error that says 404.
# Seen: (1) where the JSON body has a "statusCode", as that of a gateway in front of InfluxDB may, it replaces the real
# status: a 404 becomes a 200. (2) The management APIs, such as AuthorizationsAPI, return a plain string as the error, for
# which errors.As finds no *http.Error: neither status nor Retry-After is left.
# Where: github.com/influxdata/influxdb-client-go/v2 v2.14.0. (1) api/http/service.go: parseHTTPError sets StatusCode and
# then decodes the body into the same struct, and encoding/json ignores case. (2) domain/client.gen.go: decodeError.
# Why it matters: whether a token is gone, or the server busy, is decided by the status of an answer.
# What we do: backend/influx takes the status from http.Response itself, and believes "not found" only with InfluxDB's own
# body. It uses no generated API.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
export GOWORK=off GOFLAGS=-mod=mod

cat >main.go <<'GO'
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	influxdb2 "github.com/influxdata/influxdb-client-go/v2"
	influxhttp "github.com/influxdata/influxdb-client-go/v2/api/http"
)

func main() {
	var status int
	var body string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		io.WriteString(w, body)
	}))
	defer server.Close()
	client := influxdb2.NewClient(server.URL, "token")
	defer client.Close()
	ctx, service := context.Background(), client.HTTPService()

	status = http.StatusNotFound
	for _, body = range []string{
		`{"code":"not found","message":"no such page"}`,
		`{"code":"not found","message":"no such page","statusCode":200}`,
	} {
		err := service.DoPostRequest(ctx, service.ServerAPIURL()+"authorizations", nil, nil, nil)
		fmt.Printf("HTTP %d %s: *http.Error with status %d\n", status, body, err.StatusCode)
	}

	status, body = http.StatusServiceUnavailable, `{"code":"unavailable","message":"busy"}`
	var typed *influxhttp.Error
	err := client.AuthorizationsAPI().DeleteAuthorizationWithID(ctx, "000000000000000a")
	fmt.Printf("HTTP %d from AuthorizationsAPI: %q, *http.Error: %t\n", status, err, errors.As(err, &typed))
}
GO
go mod init finding 2>log && go get github.com/influxdata/influxdb-client-go/v2@v2.14.0 2>>log || { cat log >&2; exit 1; }
go list -m github.com/influxdata/influxdb-client-go/v2
go run . | tee seen

diff seen - <<'END'
HTTP 404 {"code":"not found","message":"no such page"}: *http.Error with status 404
HTTP 404 {"code":"not found","message":"no such page","statusCode":200}: *http.Error with status 200
HTTP 503 from AuthorizationsAPI: "unavailable: busy", *http.Error: false
END
echo "As stated."
