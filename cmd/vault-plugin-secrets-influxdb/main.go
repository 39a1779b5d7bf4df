// Command vault-plugin-secrets-influxdb is the plugin that Vault starts.
package main

import (
	"fmt"
	"os"
	"slices"

	"github.com/hashicorp/go-hclog"

	"vault-plugin-secrets-influxdb/backend"
	"vault-plugin-secrets-influxdb/backend/process"
)

func main() {
	// Vault may pass arguments of its own (-ca-cert and the like, up to 1.11): they are left alone.
	if slices.Contains(os.Args[1:], "-version") || slices.Contains(os.Args[1:], "--version") {
		fmt.Println("vault-plugin-secrets-influxdb", backend.Version)
		return
	}
	if err := process.Serve(backend.Factory); err != nil {
		hclog.New(&hclog.LoggerOptions{Output: os.Stderr, JSONFormat: true}).Error("the plugin could not be served", "error", err)
		os.Exit(1)
	}
}
