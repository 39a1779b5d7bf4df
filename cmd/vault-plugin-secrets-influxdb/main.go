// Command vault-plugin-secrets-influxdb is the plugin that Vault starts.
package main

import (
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/plugin"

	"vault-plugin-secrets-influxdb/backend"
)

func main() {
	// Vault may pass arguments of its own (-ca-cert and the like, up to 1.11): they are left alone.
	if slices.Contains(os.Args[1:], "-version") || slices.Contains(os.Args[1:], "--version") {
		fmt.Println("vault-plugin-secrets-influxdb", backend.Version)
		return
	}
	go endWithParent(os.Getppid())
	go backend.TuneMemory(time.Tick(backend.MemoryInterval))
	if err := plugin.ServeMultiplex(&plugin.ServeOpts{BackendFactoryFunc: backend.Factory}); err != nil {
		hclog.New(&hclog.LoggerOptions{Output: os.Stderr, JSONFormat: true}).Error("the plugin could not be served", "error", err)
		os.Exit(1)
	}
}
