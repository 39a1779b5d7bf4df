package backend

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
	"vault-plugin-secrets-influxdb/backend/token"
)

// The lease, or the next rotation, of a token that this mount has issued would leave it without a root token.
func TestAConfigurationRefusesATokenThatThisMountHasIssued(t *testing.T) {
	influxtest.NotOnCloud(t, "it has no operator tokens")
	operator := map[string]any{"token_type": "operator", "allow_privileged": true}
	for name, hashed := range map[string]bool{"values shown": false, "values hidden, the ID given": true} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			server := m.connected(influxtest.HashedTokens(hashed))
			m.write("roles/bootstrap", operator)
			m.write("static-roles/bootstrap", operator)
			before := m.stored().Token
			l := m.mint("bootstrap")
			for kind, data := range map[string]map[string]any{token.Lease: l.data, token.Static: m.readStatic("bootstrap")} {
				write := map[string]any{"token": data["token"]}
				if hashed {
					write["authorization_id"] = data["authorization_id"]
				}
				status, text := m.refused(logical.UpdateOperation, "config", write)
				require.Equal(t, 400, status)
				require.Equal(t, "token: it is authorization "+data["authorization_id"].(string)+", which this mount has issued for its "+kind+
					` role "bootstrap" and will delete; write one that was made for this purpose, see docs/root-token.md`+unchangedText, text)
				require.Equal(t, before, m.stored().Token)
			}
			m.write("config/rotate-root", map[string]any{"authorization_id": server.RootID()})
			m.write("config", map[string]any{"request_timeout": "11s"}) // a root token of a rotation has a stamp, too
			require.Equal(t, true, m.read("check").Data["healthy"])
			require.NoError(t, l.revoke(t.Context()))
		})
	}
}

// What was stored before, or untried, is told by check.
func TestCheckNamesARootTokenThatThisMountHasIssued(t *testing.T) {
	m := newMount(t)
	m.connected(influxtest.HashedTokens(false))
	m.write("roles/bootstrap", map[string]any{"token_type": "operator", "allow_privileged": true})
	m.write("config", map[string]any{"token": m.mint("bootstrap").data["token"], "verify_connection": false})
	require.Contains(t, strings.Join(m.problems(), "\n"), "which this mount has issued for its lease role")
}

func TestAConfigurationWarnsOfWhatItsRootTokenDoesNotSee(t *testing.T) {
	influxtest.NotOnCloud(t, "it looks up no users")
	const warning = "token: InfluxDB does not show it the tokens that it makes, because it lacks "
	m := newMount(t)
	server := m.connected()
	minting := influxtest.MintingPermissions(server.OrgID(), server.UserID())
	for lacks, permissions := range map[string][]influxtest.Permission{
		"read:orgs/" + server.OrgID() + "/authorizations": minting,
		"read:users/" + server.UserID():                   slices.Concat(minting, []influxtest.Permission{influxtest.InOrg("read", "authorizations", server.OrgID())}),
		"":                                                slices.Concat(minting, []influxtest.Permission{influxtest.InOrg("read", "authorizations", server.OrgID()), influxtest.ByID("read", "users", server.UserID())}),
	} {
		_, root := server.AddToken(server.OrgID(), server.UserID(), permissions...)
		data := map[string]any{"token": root, "org": "", "org_id": server.OrgID()}
		if lacks == "" {
			require.Empty(t, warned(m.write("config", data)))
			continue
		}
		require.Contains(t, warned(m.write("config", data)), warning+lacks+": those that a crash or a lost answer left behind stay unseen")
	}
}

// Where nothing shows which InfluxDB answers, an absence has to do, and that is said.
func TestAnInfluxDBThatCanNotBeRecognized(t *testing.T) {
	influxtest.NotOnCloud(t, "it looks up no users")
	const warning = "which InfluxDB answers can't be known"
	m := newMount(t)
	server := m.connected()
	_, root := server.AddToken(server.OrgID(), server.UserID(), append(influxtest.MintingPermissions(server.OrgID(), server.UserID()),
		influxtest.InOrg("read", "buckets", server.OrgID()))...)
	// As InfluxDB Cloud, which has no such endpoint.
	server.Fail(http.MethodGet, "/api/v2/me", 404, "application/json", `{"code":"not found","message":"path not found"}`)
	server.Fail(http.MethodGet, "/api/v2/orgs/", 401, "application/json", `{"code":"unauthorized","message":"read:orgs is unauthorized"}`)
	require.Contains(t, warned(m.write("config", map[string]any{"token": root, "org": "", "org_id": server.OrgID()})), "token: "+warning)
	require.Contains(t, strings.Join(m.problems(), "\n"), warning)
	m.write("roles/reader", map[string]any{"read_buckets": "id:" + server.BucketID()})
	l := m.mint("reader")
	server.DeleteToken(l.id)
	tidyUp(t, server, l)

	server.Intercept(nil)
	require.NotContains(t, warned(m.write("config", map[string]any{"token": root})), warning)
	require.NotContains(t, strings.Join(m.problems(), "\n"), warning)
}
