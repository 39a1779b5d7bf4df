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

// serveProfiles serves profiles and memory statistics on a loopback port and writes its address into a file named by
// the process number in the directory PPROF_DIRECTORY. Without that variable it does nothing.
func serveProfiles() error {
	directory := os.Getenv("PPROF_DIRECTORY")
	if directory == "" {
		return nil
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(directory, strconv.Itoa(os.Getpid())), []byte(listener.Addr().String()), 0o600); err != nil {
		return err
	}
	go func() { _ = http.Serve(listener, nil) }()
	return nil
}
