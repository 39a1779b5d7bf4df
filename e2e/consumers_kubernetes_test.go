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
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// externalSecrets tries External Secrets Operator: its secret has another version after each rotation, and after no
// other refresh. One that has every key of the answer has another version after each refresh. So has one on creds, whose
// leases pile up until they end, or the logins that got them.
func externalSecrets(t *testing.T, c consumer) func(*testing.T) {
	versions := strings.Split(c.version, ", ")
	operator := fetched(t, "go", "github.com/external-secrets/external-secrets", versions[0], "", "deploy/crds/bundle.yaml")
	etcd := fetched(t, "go", "go.etcd.io/etcd/server/v3", versions[1])
	apiserver := fetched(t, "go", "k8s.io/kubernetes", versions[2], "cmd/kube-apiserver")
	types, err := os.ReadFile(filepath.Join(filepath.Dir(operator), "bundle.yaml"))
	require.NoError(t, err)
	e := connectedEngine(t, shared.influx)
	e.staticRole(t, "app", map[string]any{"rotation_period": "24h"})
	for _, name := range []string{"leased", "brief"} {
		e.role(t, name, bucketRole(map[string]any{"ttl": leasedFor.String()}))
	}
	cluster, err := shared.lab.StartKubernetes(t.Context(), etcd, apiserver)
	require.NoError(t, err)
	const brief = 45 * time.Second
	logins := e.letIn(t, cluster, map[string]time.Duration{"app": leasedFor, "leased": leasedFor, "brief": brief})
	manifest := recipe(t, "external-secrets", map[string]string{
		"https://vault.example:8200": shared.vault.Address, "/influxdb/": "/" + e.path + "/", "mountPath: kubernetes": "mountPath: " + logins,
		"refreshInterval: 5m": "refreshInterval: 2s", // at each another ttl
	})
	const account = "apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: app\n"
	for _, objects := range []string{
		string(types), account, manifest, withoutTemplate(t, manifest), onCreds(t, manifest, "leased"), onCreds(t, manifest, "brief"),
	} {
		require.NoError(t, cluster.Apply(t.Context(), objects))
	}
	templated, whole := watchSynced(t, cluster, "influxdb"), watchSynced(t, cluster, "whole")
	leased, cut := watchSynced(t, cluster, "leased"), watchSynced(t, cluster, "brief")
	started := time.Now()
	program, err := cluster.StartOperator(operator, "--metrics-addr=0")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, program.Stop()) })
	return func(t *testing.T) {
		cut.awaitMore(t, program)
		_, versions := cut.seen()
		require.NotEmpty(t, versions)
		end := e.watch(t, minted{token: versions[0]["token"]})
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
		fmt.Printf("; without the template %d refreshes, %d versions", refreshes, len(versions))
		assert.Greater(t, refreshes, 10)
		assert.GreaterOrEqual(t, len(versions), refreshes-1, "its secret moves before it says so") // the last one's may not be seen yet
		assert.GreaterOrEqual(t, e.loginsAt(t, logins, "app"), refreshes, "no login's token is revoked")

		died := <-end
		require.NotZero(t, died, "a token outlives the login that got it")
		assert.False(t, died.Before(started.Add(brief)), "it died %s after the operator's start, before any login ended", died.Sub(started))
		e.assertLeasesPileUp(t, "leased", leased) // among them some of that age
	}
}

// leasedFor is far longer than a test takes.
const leasedFor = 4 * time.Hour

// assertLeasesPileUp asserts that each refresh of a secret on creds made one more lease, which was left alone, and that
// the tokens of all versions of the secret work.
func (e *engine) assertLeasesPileUp(t *testing.T, role string, s *synced) {
	t.Helper()
	refreshes, versions := s.seen()
	tokens := map[string]bool{}
	for _, version := range versions {
		tokens[version["token"]] = true
	}
	listed, err := e.vault.Logical().ListWithContext(t.Context(), "sys/leases/lookup/"+e.path+"/creds/"+role)
	require.NoError(t, err)
	leases := listed.Data["keys"].([]any)
	fmt.Printf("; on creds %d refreshes, %d versions, %d tokens, %d leases\n", refreshes, len(versions), len(tokens), len(leases))
	assert.Greater(t, refreshes, 10)
	assert.Len(t, versions, len(tokens), "each version has another token")
	assert.GreaterOrEqual(t, len(tokens), refreshes-1) // as above
	assert.GreaterOrEqual(t, len(leases), refreshes)
	assert.GreaterOrEqual(t, len(leases), len(tokens))
	later, _ := s.seen()
	assert.Less(t, len(leases), 2*later, "no two for each refresh, though one that failed midway is taken again")
	for token := range tokens {
		assertWorks(t, e.influx, token)
	}
	for _, id := range leases {
		lease, err := e.vault.Sys().LookupWithContext(t.Context(), e.path+"/creds/"+role+"/"+fmt.Sprint(id))
		require.NoError(t, err)
		assert.Nil(t, lease.Data["last_renewal"])
		issued, expires := e.leaseTimes(t, lease.Data["id"].(string))
		assert.WithinDuration(t, issued.Add(leasedFor), expires, lateness)
	}
}

// letIn lets the recipe's service account of a cluster log in to Vault, at a path that it returns, with roles whose tokens
// live so long. Vault's method for JWTs does it, because the one for Kubernetes is none of those that these tests' Vault is
// built with; it is asked in the same way.
func (e *engine) letIn(t *testing.T, cluster *lab.Kubernetes, roles map[string]time.Duration) (path string) {
	t.Helper()
	path = unique("kubernetes")
	sys := e.vault.Sys()
	require.NoError(t, sys.EnableAuthWithOptionsWithContext(t.Context(), path, &api.EnableAuthOptions{Type: "jwt"}))
	t.Cleanup(func() { assert.NoError(t, sys.DisableAuth(path)) })
	require.NoError(t, sys.PutPolicyWithContext(t.Context(), path, `path "`+e.path+`/static-creds/app" { capabilities = ["read"] }
		path "`+e.path+`/creds/+" { capabilities = ["read"] }`))
	write := func(at string, fields map[string]any) {
		_, err := e.vault.Logical().WriteWithContext(t.Context(), "auth/"+path+"/"+at, fields)
		require.NoError(t, err)
	}
	write("config", map[string]any{"jwt_validation_pubkeys": cluster.Certificate, "bound_issuer": cluster.Issuer})
	for role, ttl := range roles {
		write("role/"+role, map[string]any{
			"role_type": "jwt", "user_claim": "sub", "bound_audiences": cluster.Issuer, "bound_subject": "system:serviceaccount:default:app",
			"token_policies": path, "token_ttl": ttl.String(),
		})
	}
	return path
}

// loginsAt is how many tokens of a role of a login method live in Vault.
func (e *engine) loginsAt(t *testing.T, path, role string) (live int) {
	t.Helper()
	listed, err := e.vault.Logical().ListWithContext(t.Context(), "auth/token/accessors")
	require.NoError(t, err)
	for _, accessor := range listed.Data["keys"].([]any) {
		token, err := e.vault.Auth().Token().LookupAccessorWithContext(t.Context(), fmt.Sprint(accessor))
		if err != nil || token.Data["path"] != "auth/"+path+"/login" { // one of another test's may have ended meanwhile
			continue
		}
		if meta, _ := token.Data["meta"].(map[string]any); meta["role"] == role {
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

// onCreds is the recipe under another name, with creds of a role of that name in the path, and a login of that name.
func onCreds(t *testing.T, manifest, name string) string {
	t.Helper()
	return replaced(t, manifest, map[string]string{"static-creds/app": "creds/" + name, "name: influxdb": "name: " + name, "role: app": "role: " + name})
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
