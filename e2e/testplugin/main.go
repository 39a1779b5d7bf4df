// Command testplugin is the plugin as measurements and tests of crashes run it: the engine itself is the one that is
// released, served with profiles and with pauses that a test controls. The build tag crashtest also makes its waits short.
package main

import (
	"fmt"
	"os"
	"time"

	"github.com/hashicorp/vault/sdk/plugin"

	"vault-plugin-secrets-influxdb/backend"
)

func main() {
	go backend.TuneMemory(time.Tick(backend.MemoryInterval))
	err := serveProfiles()
	if err == nil {
		err = plugin.ServeMultiplex(&plugin.ServeOpts{BackendFactoryFunc: pausingFactory(backend.Factory)})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
