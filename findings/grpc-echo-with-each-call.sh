#!/usr/bin/env bash
# A gRPC server in Go answers a small call with a PING besides, call after call, until its windows are set.
#
# Expected: on a connection that has been up for long a unary call is one request and one answer.
# Seen: of 200 calls of a few bytes, one after the other, most have a PING and a WINDOW_UPDATE of the server's between them,
# which the client has to acknowledge. With InitialWindowSize and InitialConnWindowSize there is none.
# Where: google.golang.org/grpc v1.79.3: internal/transport/bdp_estimator.go measures the connection with an echo whenever data
# arrives and none is under way, for as long as the estimate is below 16 MB, which small calls never reach; server options
# of a fixed window switch it off. vault/sdk v0.25.1's Serve and ServeMultiplex let a plugin set no option of its server.
# Why it matters: every request of Vault to a plugin is such a call, over TLS: two frames to write, one to read, two wakes.
# What we do: backend/process serves by go-plugin itself, with fixed windows; docs/performance.md has what it saves.
set -euo pipefail

dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
export GOWORK=off GOFLAGS=-mod=mod CGO_ENABLED=0

cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync/atomic"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
)

const calls = 200

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// tapped is a connection whose answers go to a second reader as well.
type tapped struct {
	net.Conn
	tap io.Writer
}

func (t tapped) Read(into []byte) (int, error) {
	n, err := t.Conn.Read(into)
	_, _ = t.tap.Write(into[:n])
	return n, err
}

// echoes is how many PINGs of its own a server sends while it answers the calls.
func echoes(options ...grpc.ServerOption) int64 {
	server := grpc.NewServer(options...)
	defer server.Stop()
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	listener := must(net.Listen("tcp", "127.0.0.1:0"))
	go server.Serve(listener)

	var pings atomic.Int64
	client := must(grpc.NewClient("passthrough:///server", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			frames, tap := io.Pipe()
			go func() {
				framer := http2.NewFramer(io.Discard, frames)
				for {
					frame, err := framer.ReadFrame()
					if err != nil {
						return
					}
					if ping, ok := frame.(*http2.PingFrame); ok && !ping.IsAck() {
						pings.Add(1)
					}
				}
			}()
			return tapped{must(net.Dial("tcp", listener.Addr().String())), tap}, nil
		})))
	defer client.Close()
	for range calls {
		must(grpc_health_v1.NewHealthClient(client).Check(context.Background(), &grpc_health_v1.HealthCheckRequest{}))
	}
	return pings.Load()
}

func main() {
	fmt.Printf("as it is: an echo for most of %d calls: %t\n", calls, echoes() > calls/2)
	fmt.Printf("with fixed windows: %d\n", echoes(grpc.InitialWindowSize(1<<20), grpc.InitialConnWindowSize(1<<20)))
}
GO
go mod init finding 2>/dev/null
go get google.golang.org/grpc@v1.79.3 2>/dev/null
go mod tidy 2>/dev/null
go list -m google.golang.org/grpc
go run . | tee seen

diff seen - <<'END'
as it is: an echo for most of 200 calls: true
with fixed windows: 0
END
echo "As stated."
