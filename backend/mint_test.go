package backend

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

// What a bucket's name meant before must not be granted: InfluxDB takes any ID.
func TestMintNoticesABucketMadeAnew(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	m.mint("app")
	server.DeleteBucket(server.BucketID())
	anew := server.AddBucket(server.OrgID(), "metrics")
	server.ResetRequests()

	l := m.mint("app")

	for _, p := range live(server)[l.id].Permissions {
		require.Equal(t, anew, p.Resource.ID)
	}
	require.Len(t, live(server), 2, "the token with the stale ID is deleted")
	methods := []string{}
	for _, r := range server.Requests() {
		methods = append(methods, r.Method)
	}
	require.Equal(t, []string{"POST", "DELETE", "GET", "POST"}, methods)
}

func TestMintNoticesARenamedBucket(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	m.write("roles/by-id", map[string]any{"read_buckets": "id:" + server.BucketID()})
	m.mint("app")
	m.mint("by-id")
	server.RenameBucket(server.BucketID(), "points")

	status, text := m.refused(logical.ReadOperation, "creds/app", nil)
	require.Equal(t, 400, status)
	require.Equal(t, "read_buckets[0]: no bucket \"metrics\" in org \"acme\"\nwrite_buckets[0]: no bucket \"metrics\" in org \"acme\"", text)

	l := m.mint("by-id")
	require.Contains(t, live(server)[l.id].Description, "Read buckets points ", "an ID stays the bucket's, whatever its name")
	require.Len(t, live(server), 3)
}

func TestMintNoticesAnOrganizationOrUserMadeAnew(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	orgID := server.AddOrg("beta")
	userID := server.AddUser("telegraf")
	m.write("roles/beta", map[string]any{"org": "beta", "user": "telegraf", "read_buckets": "_monitoring"})
	m.mint("beta")
	server.DeleteOrg(orgID)
	server.DeleteUser(userID)
	orgID, userID = server.AddOrg("beta"), server.AddUser("telegraf")

	l := m.mint("beta")

	require.Equal(t, orgID, live(server)[l.id].OrgID)
	require.Equal(t, userID, live(server)[l.id].UserID)
	require.Equal(t, orgID, l.data["org_id"])
}

// unansweredFaults are those after which nobody knows whether a token was made.
var unansweredFaults = map[string]func(*influxtest.Server){
	"lost answer":  func(s *influxtest.Server) { s.LoseAnswer("POST", "/api/v2/authorizations") },
	"dropped":      func(s *influxtest.Server) { s.Refuse("POST", "/api/v2/authorizations") },
	"502 by proxy": func(s *influxtest.Server) { s.Fail("POST", "/api/v2/authorizations", 502, "text/html", "<html>") },
	"500": func(s *influxtest.Server) {
		s.Fail("POST", "/api/v2/authorizations", 500, "application/json", `{"code":"internal error","message":"x"}`)
	},
	"cut off": func(s *influxtest.Server) {
		s.Fail("POST", "/api/v2/authorizations", 201, "application/json", `{"id":"0a`)
	},
	"no token": func(s *influxtest.Server) {
		s.Fail("POST", "/api/v2/authorizations", 201, "application/json", `{"id":"0000000000000001"}`)
	},
}

func TestMintNeverPostsAgainWithoutAnAnswer(t *testing.T) {
	for name, fault := range unansweredFaults {
		t.Run(name, func(t *testing.T) {
			everyHost(t, func(t *testing.T, m *mount) {
				server := m.connected()
				m.mint("app")
				server.ResetRequests()
				fault(server)

				status, text := m.refused(logical.ReadOperation, "creds/app", nil)

				require.Equal(t, http.StatusBadGateway, status, text)
				require.Contains(t, text, "whether the token was created is not known")
				require.Len(t, server.Requests(), 1)
			})
		})
	}
}

func TestMintRefusesAnAnswerWithoutTheStamp(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	id, _ := server.AddToken(server.OrgID(), server.UserID())
	server.Fail("POST", "/api/v2/authorizations", 201, "application/json", `{"id":"`+id+`","token":"t","description":"another"}`)
	_, text := m.refused(logical.ReadOperation, "creds/app", nil)
	require.Contains(t, text, "did not keep the token's description")
	for _, token := range server.Tokens() {
		require.NotEqual(t, id, token.ID, "deleted")
	}
}

// A caller that hangs up gets no token, and none is left.
func TestMintForACallerThatWentAwayLeavesNoToken(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	m.mint("app")
	ctx, cancel := context.WithCancel(t.Context())
	server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == http.MethodPost {
			cancel()
		}
		next.ServeHTTP(w, r)
	})
	_, err := m.send(ctx, &logical.Request{Operation: logical.ReadOperation, Path: "creds/app"})
	require.ErrorIs(t, err, context.Canceled)
	require.Len(t, live(server), 1)
	require.Empty(t, m.pendingIDs())
}

// While the discarded token can't be deleted, it is pending.
func TestMintWritesDownWhatItCouldNotDiscard(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	m.mint("app")
	server.DeleteBucket(server.BucketID())
	server.Refuse("DELETE", "/api/v2/authorizations")
	status, _ := m.refused(logical.ReadOperation, "creds/app", nil)
	require.Equal(t, 400, status)
	require.Len(t, m.pendingIDs(), 1)
	server.Intercept(nil)
	require.NoError(t, m.tick())
	require.Empty(t, m.pendingIDs())
	require.Len(t, live(server), 1)
}

func TestMintReadsTheConfigurationAgainWhenTheRootTokenIsUnknown(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	_, other := server.AddToken(server.OrgID(), server.UserID(), influxtest.OperatorPermissions()...)
	posts := 0
	server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == http.MethodPost {
			if posts++; posts == 1 {
				server.SetTokenActive(server.RootID(), true)
				// The root is replaced while the first call is on its way.
				m.storedToken(other)
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(http.StatusUnauthorized)
				_, _ = w.Write([]byte(`{"code":"unauthorized","message":"unauthorized access"}`))
				return
			}
		}
		next.ServeHTTP(w, r)
	})
	m.mint("app")
	require.Equal(t, 2, posts)
}

// storedToken replaces the root token in storage, as another node would.
func (m *mount) storedToken(token string) {
	m.t.Helper()
	m.editConfig(func(config map[string]any) {
		config["token"] = token
		config["revision"] = "another-revision"
	})
}

func (m *mount) editConfig(edit func(map[string]any)) {
	m.t.Helper()
	entry, err := m.storage.Get(context.Background(), "config")
	require.NoError(m.t, err)
	config := map[string]any{}
	require.NoError(m.t, entry.DecodeJSON(&config))
	edit(config)
	entry, err = logical.StorageEntryJSON("config", config)
	require.NoError(m.t, err)
	require.NoError(m.t, m.storage.Put(context.Background(), entry))
}

func TestMintTellsAnUnknownRootToken(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	server.SetTokenActive(server.RootID(), false)
	_, text := m.refused(logical.ReadOperation, "creds/app", nil)
	require.Contains(t, text, "inactive or lacks read:orgs/"+server.OrgID()+"/buckets", "a list does not say which")
	server.SetTokenActive(server.RootID(), true)
	m.mint("app")
	server.SetTokenActive(server.RootID(), false)
	status, text := m.refused(logical.ReadOperation, "creds/app", nil)
	require.Equal(t, http.StatusBadGateway, status, text)
	m.storedToken("unknown")
	status, text = m.refused(logical.ReadOperation, "creds/app", nil)
	require.Equal(t, http.StatusBadGateway, status)
	require.Contains(t, text, `401 "unauthorized access"`)
}

func TestMintWithoutTheMountsUUIDOrLimitsIsAnError(t *testing.T) {
	m := newMount(t)
	m.connected()
	m.backend.mountUUID = ""
	_, text := m.refused(logical.ReadOperation, "creds/app", nil)
	require.Contains(t, text, "mount's UUID")
	m.backend.mountUUID = testUUID

	// Over the plugin protocol a failed look-up reads as 0.
	m.system.MaxLeaseTTLVal = 0
	_, text = m.refused(logical.ReadOperation, "creds/app", nil)
	require.Contains(t, text, "lease times")
	m.system.MaxLeaseTTLVal, m.system.DefaultLeaseTTLVal = time.Hour, 0
	m.write("roles/default", map[string]any{"read_buckets": "metrics", "ttl": "1m"})
	m.write("roles/default", map[string]any{"read_buckets": "metrics", "ttl": "1m"})
	m.system.DefaultLeaseTTLVal = 0
	m.mint("default")
}

func TestLeaseTimes(t *testing.T) {
	for _, c := range []struct {
		name     string
		role     map[string]any
		asked    string
		ttl, max time.Duration
		warning  string
	}{
		{"the mount's", nil, "", time.Hour, 24 * time.Hour, ""},
		{"the role's", map[string]any{"ttl": "10m", "max_ttl": "2h"}, "", 10 * time.Minute, 2 * time.Hour, ""},
		{"max_ttl alone bounds the default", map[string]any{"max_ttl": "30m"}, "", 30 * time.Minute, 30 * time.Minute, ""},
		{"the mount's maximum bounds the role's", map[string]any{"ttl": "40h", "max_ttl": "48h"}, "", 24 * time.Hour, 24 * time.Hour, ""},
		{"asked for less", map[string]any{"ttl": "10m"}, "90", 90 * time.Second, 24 * time.Hour, ""},
		{"asked for more than ttl", map[string]any{"ttl": "10m"}, "20m", 20 * time.Minute, 24 * time.Hour, ""},
		{"asked for too much", map[string]any{"max_ttl": "1h"}, "5h", time.Hour, time.Hour, "ttl: 5h0m0s is longer than allowed; the lease has 1h0m0s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMount(t)
			server := m.connected()
			role := map[string]any{"read_buckets": "metrics"}
			for k, v := range c.role {
				role[k] = v
			}
			m.write("roles/times", role)
			data := map[string]any{}
			if c.asked != "" {
				data["ttl"] = c.asked
			}
			l := m.leased(m.ok(logical.UpdateOperation, "creds/times", data))
			require.Equal(t, c.ttl, l.secret.TTL)
			require.Equal(t, c.max, l.secret.MaxTTL)
			st, ours := parseStamp(live(server)[l.id].Description)
			require.True(t, ours)
			require.WithinDuration(t, m.clock.now().Add(c.max+time.Minute), st.deadline, 5*time.Second)
		})
	}
}

func TestDescriptionTemplate(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	m.write("roles/told", map[string]any{"read_buckets": "metrics", "description": "{{.Role}} at {{.Mount}} by {{.DisplayName}} [vault:v1:x] {{.EntityID}}"})
	resp, err := m.send(t.Context(), &logical.Request{Operation: logical.ReadOperation, Path: "creds/told",
		DisplayName: "eve\n[vault:v1:" + testUUID + ":lease:x:00:9999999999]", EntityID: "entity-1"})
	require.NoError(t, err)
	text := live(server)[m.leased(resp).id].Description
	require.True(t, strings.HasPrefix(text, "told at influxdb/ by eve (vault:v1:"+testUUID+":lease:x:00:9999999999] (vault:v1:x] entity-1 [vault:v1:"), text)

	m.write("roles/long", map[string]any{"read_buckets": "metrics", "description": strings.Repeat("é", 500)})
	long := m.mint("long")
	text = live(server)[long.id].Description
	human, _, _ := strings.Cut(text, " [vault:")
	require.Equal(t, strings.Repeat("é", 256)+"…", human)
}

func TestMaxLeases(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	m.write("roles/few", map[string]any{"read_buckets": "metrics", "max_ttl": "1h", "max_leases": 2})
	first := m.mint("few")
	m.mint("few")
	status, text := m.refused(logical.ReadOperation, "creds/few", nil)
	require.Equal(t, http.StatusTooManyRequests, status)
	require.Contains(t, text, "has 2 live tokens")
	require.NoError(t, first.revoke(t.Context()))
	m.mint("few")

	// A start counts what InfluxDB holds, with the first minute.
	m.reload()
	require.NoError(t, m.tick())
	require.Len(t, live(server), 2)
	status, _ = m.refused(logical.ReadOperation, "creds/few", nil)
	require.Equal(t, http.StatusTooManyRequests, status)

	// What is past its deadline does not count.
	m.clock.advance(2 * time.Hour)
	m.mint("few")
}
