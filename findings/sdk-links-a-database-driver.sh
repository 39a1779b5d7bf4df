#!/usr/bin/env bash
# Every plugin on Vault's SDK links a PostgreSQL driver, Google's Cloud SQL and authentication, and Docker's client.
#
# Expected: sdk/framework is paths, fields and leases, sdk/plugin is gRPC; what database plugins need is in sdk/database.
# Seen: a secrets engine of one path that answers nothing has jackc/pgx, cloud.google.com/go/cloudsqlconn, google.golang.org/api
# and moby's client in it, and calls none of them.
# Where: vault/sdk v0.25.1: framework/backend.go imports sdk/database/helper/connutil, for the names of the fields that an
# SQL connection has; sdk/helper/pluginutil imports go-secure-stdlib/plugincontainer.
# Why it matters: they are in the binary and in its SBOM, and a scanner names their vulnerabilities in a plugin that has
# neither database nor container.
# What we do: docs/install.md says so beside the SBOM; `make vulncheck` goes by what is called; the build leaves the driver's
# table of types out by its tag nopgxregisterdefaulttypes, which takes 1.5 MB off a binary of 29.
set -euo pipefail

dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
export GOWORK=off GOFLAGS=-mod=mod CGO_ENABLED=0

cat >main.go <<'GO'
package main

import (
	"context"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/plugin"
)

func main() {
	_ = plugin.ServeMultiplex(&plugin.ServeOpts{BackendFactoryFunc: func(ctx context.Context, conf *logical.BackendConfig) (logical.Backend, error) {
		b := &framework.Backend{BackendType: logical.TypeLogical, Paths: []*framework.Path{{Pattern: "nothing"}}}
		return b, b.Setup(ctx, conf)
	}})
}
GO
go mod init finding 2>/dev/null
go get github.com/hashicorp/vault/sdk@v0.25.1 2>/dev/null
go mod tidy 2>/dev/null
go list -m github.com/hashicorp/vault/sdk
go build -o plugin .
go tool nm plugin >symbols
for package in github.com/jackc/pgx/v5 cloud.google.com/go/cloudsqlconn google.golang.org/api/sqladmin/v1beta4 github.com/moby/moby/client; do
  grep -q " $package\\." symbols && echo "linked: $package"
done | tee seen

diff seen - <<'END'
linked: github.com/jackc/pgx/v5
linked: cloud.google.com/go/cloudsqlconn
linked: google.golang.org/api/sqladmin/v1beta4
linked: github.com/moby/moby/client
END
echo "As stated."
