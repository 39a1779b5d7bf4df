// Command testplugin is the plugin as measurements and tests of crashes run it: the engine itself is the one that is
// released, served with profiles and with pauses that a test controls. The build tag crashtest also makes its waits short.
package main

import (
	"fmt"
	"os"

	"vault-plugin-secrets-influxdb/backend"
	"vault-plugin-secrets-influxdb/backend/process"
)

func main() {
	err := serveProfiles()
	if err == nil {
		err = process.Serve(pausingFactory(backend.Factory))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
