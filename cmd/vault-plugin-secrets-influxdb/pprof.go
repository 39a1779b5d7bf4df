//go:build pprof

package main

import (
	_ "expvar"
	"net"
	"net/http"
	_ "net/http/pprof"
	"os"
	"path/filepath"
	"strconv"
)

// A build with the tag pprof serves profiles and memory statistics on a loopback port, which it writes into a file
// named by its process number in the directory PPROF_DIRECTORY. No release is built so.
func init() {
	directory := os.Getenv("PPROF_DIRECTORY")
	if directory == "" {
		return
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	if err := os.WriteFile(filepath.Join(directory, strconv.Itoa(os.Getpid())), []byte(listener.Addr().String()), 0o600); err != nil {
		panic(err)
	}
	go func() { _ = http.Serve(listener, nil) }()
}
