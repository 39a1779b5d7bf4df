#!/usr/bin/env bash
# fasthttp says of a connection that was reset before an answer that the server has closed it, and the cause is gone.
#
# Expected: an error that wraps the system's, as net/http's does: errors.Is(err, syscall.ECONNRESET).
# Seen: of a server that takes a POST and resets the connection, HostClient.Do returns ErrConnectionClosed, "the server closed
# connection before returning the first response byte. Make sure the server returns 'Connection: close' response header before
# closing the connection", which wraps nothing: the same error as for a server that ends the connection in good order.
# Where: github.com/valyala/fasthttp v1.78.0: client.go makes io.EOF of a failure to read the first byte, whatever it was, and
# ErrConnectionClosed of io.EOF.
# Why it matters: operators who look for a firewall that resets idle connections are sent to look at the server's headers; and who
# tells one failure from another by its cause finds none.
# What we do: backend/influx/lanes.go notes how the connection itself has failed, and names that.
set -euo pipefail

dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
export GOWORK=off GOFLAGS=-mod=mod CGO_ENABLED=0

cat >main.go <<'GO'
package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"

	"github.com/valyala/fasthttp"
)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// serve takes one request on each connection, and ends that without an answer: in good order, or by a reset.
func serve(reset bool) (address string) {
	listener := must(net.Listen("tcp", "127.0.0.1:0"))
	go func() {
		for {
			connection := must(listener.Accept())
			request := must(http.ReadRequest(bufio.NewReader(connection)))
			_ = request.Body.Close()
			if reset {
				_ = connection.(*net.TCPConn).SetLinger(0)
			}
			_ = connection.Close()
		}
	}()
	return listener.Addr().String()
}

func main() {
	for what, reset := range map[string]bool{"reset": true, "closed": false} {
		address := serve(reset)
		client := &fasthttp.HostClient{Addr: address}
		request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
		request.Header.SetMethod("POST")
		request.SetRequestURI("http://" + address + "/")
		request.SetBodyString("{}")
		err := client.Do(request, response)
		fmt.Printf("%s, fasthttp: closed %t, reset %t\n", what, errors.Is(err, fasthttp.ErrConnectionClosed), errors.Is(err, syscall.ECONNRESET))
		_, err = http.Post("http://"+address+"/", "application/json", strings.NewReader("{}"))
		fmt.Printf("%s, net/http: failed %t, reset %t\n", what, err != nil, errors.Is(err, syscall.ECONNRESET))
	}
}
GO
go mod init finding 2>/dev/null
go get github.com/valyala/fasthttp@v1.78.0 2>/dev/null
go mod tidy 2>/dev/null
go list -m github.com/valyala/fasthttp
go run . | sort | tee seen

diff seen - <<'END'
closed, fasthttp: closed true, reset false
closed, net/http: failed true, reset false
reset, fasthttp: closed true, reset false
reset, net/http: failed true, reset true
END
echo "As stated."
