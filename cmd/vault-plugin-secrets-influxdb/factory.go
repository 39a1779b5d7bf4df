//go:build !hasty

package main

import "vault-plugin-secrets-influxdb/backend"

// factory makes a mount's backend.
var factory = backend.Factory
