package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// externalSecrets tries External Secrets Operator: its secret has another version after each rotation, and after no
// other refresh. One that has every key of the answer has another version after each refresh.
func externalSecrets(t *testing.T, c consumer) func(*testing.T) {
	versions := strings.Split(c.version, ", ")
	operator := fetched(t, "go", "github.com/external-secrets/external-secrets", versions[0], "", "deploy/crds/bundle.yaml")
	etcd := fetched(t, "go", "go.etcd.io/etcd/server/v3", versions[1])
	apiserver := fetched(t, "go", "k8s.io/kubernetes", versions[2], "cmd/kube-apiserver")
	types, err := os.ReadFile(filepath.Join(filepath.Dir(operator), "bundle.yaml"))
	require.NoError(t, err)
	e := connectedEngine(t, shared.influx)
	e.staticRole(t, "app", map[string]any{"rotation_period": "24h"})
	cluster, err := shared.lab.StartKubernetes(t.Context(), etcd, apiserver)
	require.NoError(t, err)
	logins := e.letIn(t, cluster)
	manifest := recipe(t, "external-secrets", map[string]string{
		"https://vault.example:8200": shared.vault.Address, "/influxdb/": "/" + e.path + "/", "mountPath: kubernetes": "mountPath: " + logins,
		"refreshInterval: 5m": "refreshInterval: 2s", // at each another ttl
	})
	const account = "apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: app\n"
	for _, objects := range []string{string(types), account, manifest, withoutTemplate(t, manifest)} {
		require.NoError(t, cluster.Apply(t.Context(), objects))
	}
	templated, whole := watchSynced(t, cluster, "influxdb"), watchSynced(t, cluster, "whole")
	program, err := cluster.StartOperator(operator, "--metrics-addr=0")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, program.Stop()) })
	return func(t *testing.T) {
		stood := []standing{e.stands(t, "app")}
		templated.awaitMore(t, program)
		for range 2 {
			stood = append(stood, e.rotate(t, "app", "1h"))
			templated.awaitMore(t, program)
		}
		var expected []map[string]string
		for _, s := range stood {
			expected = append(expected, map[string]string{"token": s.token, "url": e.influx.URL, "org": org})
		}
		refreshes, versions := templated.seen()
		fmt.Printf("External Secrets Operator: %d refreshes, two rotations, %d versions of the secret", refreshes, len(versions))
		assert.Equal(t, expected, versions)
		assert.Greater(t, refreshes, 10)
		assertWorks(t, e.influx, versions[len(versions)-1]["token"])

		refreshes, versions = whole.seen()
		fmt.Printf("; without the template %d refreshes, %d versions\n", refreshes, len(versions))
		assert.Greater(t, refreshes, 10)
		assert.GreaterOrEqual(t, len(versions), refreshes-1, "its secret moves before it says so") // the last one's may not be seen yet
		assert.GreaterOrEqual(t, e.loginsAt(t, logins), refreshes, "no login's token is revoked")
	}
}

// letIn lets the recipe's service account of a cluster log in to Vault, at a path that it returns. Vault's method for
// JWTs does it, because the one for Kubernetes is none of those that these tests' Vault is built with; it is asked in the same way.
func (e *engine) letIn(t *testing.T, cluster *lab.Kubernetes) (path string) {
	t.Helper()
	path = unique("kubernetes")
	sys := e.vault.Sys()
	require.NoError(t, sys.EnableAuthWithOptionsWithContext(t.Context(), path, &api.EnableAuthOptions{Type: "jwt"}))
	t.Cleanup(func() { assert.NoError(t, sys.DisableAuth(path)) })
	require.NoError(t, sys.PutPolicyWithContext(t.Context(), path, `path "`+e.path+`/static-creds/app" { capabilities = ["read"] }`))
	for path, fields := range map[string]map[string]any{
		"auth/" + path + "/config": {"jwt_validation_pubkeys": cluster.Certificate, "bound_issuer": cluster.Issuer},
		"auth/" + path + "/role/app": {
			"role_type": "jwt", "user_claim": "sub", "bound_audiences": cluster.Issuer, "bound_subject": "system:serviceaccount:default:app",
			"token_policies": path, "token_ttl": "10m",
		},
	} {
		_, err := e.vault.Logical().WriteWithContext(t.Context(), path, fields)
		require.NoError(t, err)
	}
	return path
}

// loginsAt is how many tokens of a login method live in Vault.
func (e *engine) loginsAt(t *testing.T, path string) (live int) {
	t.Helper()
	listed, err := e.vault.Logical().ListWithContext(t.Context(), "auth/token/accessors")
	require.NoError(t, err)
	for _, accessor := range listed.Data["keys"].([]any) {
		token, err := e.vault.Auth().Token().LookupAccessorWithContext(t.Context(), fmt.Sprint(accessor))
		if err == nil && token.Data["path"] == "auth/"+path+"/login" { // one of another test's may have ended meanwhile
			live++
		}
	}
	return live
}

// withoutTemplate is the recipe's ExternalSecret under another name, whose secret has every key of the answer.
func withoutTemplate(t *testing.T, manifest string) string {
	t.Helper()
	_, external, found := strings.Cut(manifest, "\n---\n")
	require.True(t, found)
	before, rest, found := strings.Cut(external, "    template:\n")
	require.True(t, found)
	_, after, found := strings.Cut(rest, "  dataFrom:\n")
	require.True(t, found)
	return replaced(t, before+"  dataFrom:\n"+after, map[string]string{
		"ExternalSecret\nmetadata:\n  name: influxdb": "ExternalSecret\nmetadata:\n  name: whole", "target:\n    name: influxdb": "target:\n    name: whole",
	})
}

// synced is what is seen of an ExternalSecret, and of the secret that it makes.
type synced struct {
	mu        sync.Mutex
	refreshed map[string]bool
	versions  []map[string]string
	failed    error
}

// watchSynced watches both until the test ends, so that it sees each change.
func watchSynced(t *testing.T, cluster *lab.Kubernetes, name string) *synced {
	t.Helper()
	s := &synced{refreshed: map[string]bool{}}
	var watches sync.WaitGroup
	t.Cleanup(watches.Wait)
	for kind, see := range map[string]func(json.RawMessage) error{"/apis/external-secrets.io/v1 externalsecrets": s.seeStatus, "/api/v1 secrets": s.seeSecret} {
		api, kind, _ := strings.Cut(kind, " ")
		watches.Go(func() {
			if err := cluster.Watch(t.Context(), api, kind, name, see); err != nil {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.failed = err
			}
		})
	}
	return s
}

// seeStatus counts a refresh: each has a time of its own.
func (s *synced) seeStatus(object json.RawMessage) error {
	var external struct{ Status struct{ RefreshTime string } }
	err := json.Unmarshal(object, &external)
	s.mu.Lock()
	defer s.mu.Unlock()
	if external.Status.RefreshTime != "" {
		s.refreshed[external.Status.RefreshTime] = true
	}
	return err
}

func (s *synced) seeSecret(object json.RawMessage) error {
	var secret struct{ Data map[string][]byte }
	err := json.Unmarshal(object, &secret)
	content := map[string]string{}
	for key, value := range secret.Data {
		content[key] = string(value)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.versions = append(s.versions, content)
	return err
}

// seen is how many refreshes there were, and each version of the secret.
func (s *synced) seen() (refreshes int, versions []map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.refreshed), s.versions
}

// awaitMore waits for five refreshes more: whatever was under way is over after the first.
func (s *synced) awaitMore(t *testing.T, operator *lab.Program) {
	t.Helper()
	before, _ := s.seen()
	require.NoError(t, operator.Await(t.Context(), "five refreshes", func(context.Context) error {
		now, _ := s.seen()
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.failed != nil {
			return lab.Final(s.failed)
		}
		if now < before+5 {
			return fmt.Errorf("%d refreshes, after %d; the operator's log:\n%s", now, before, operator.Logs())
		}
		return nil
	}))
}
