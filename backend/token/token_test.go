package token

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/connection"
	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
	"vault-plugin-secrets-influxdb/backend/mount"
	"vault-plugin-secrets-influxdb/backend/permission"
	"vault-plugin-secrets-influxdb/backend/store"
)

const authorizations = "/api/v2/authorizations"

var now = time.Unix(1_800_000_000, 0)

func newIssuer(uuid string) *Issuer {
	return NewIssuer(&mount.Mount{UUID: uuid, Log: hclog.NewNullLogger(), Now: func() time.Time { return now }})
}

// dial connects to a server with a root token.
func dial(t *testing.T, server *influxtest.Server, root string) *connection.Connection {
	t.Helper()
	c, err := connection.NewPool("test").Dial(&store.Connection{
		ID: "one", URL: server.URL, Token: root, OrgID: server.OrgID(), RequestTimeout: 60, MaxOpenConnections: 2,
		Found: &store.Found{DefaultOrgID: server.OrgID(), RootUserID: server.UserID()},
	})
	require.NoError(t, err)
	t.Cleanup(c.Client.Close)
	return c
}

func spec(server *influxtest.Server) Spec {
	return Spec{
		Role: "app", Nonce: "0123456789abcdef", Text: "Read buckets metrics", OrgID: server.OrgID(), Deadline: now.Add(time.Hour),
		Permissions: []permission.Permission{
			{Action: permission.Read, Type: permission.Buckets, ID: server.BucketID(), OrgID: server.OrgID(), Name: "another name"},
			{Action: permission.Write, Type: permission.Buckets, OrgID: server.OrgID()},
		},
	}
}

func TestCreate(t *testing.T) {
	server := influxtest.New(t)
	c, issuer := dial(t, server, server.RootToken()), newIssuer(mountUUID)
	created, err := issuer.Create(t.Context(), c, spec(server))
	require.NoError(t, err)
	require.NotEmpty(t, created.Token)
	require.False(t, created.Inactive())
	require.Equal(t, server.UserID(), created.UserID, "the root token's user")
	require.Equal(t, "Read buckets metrics", StripStamp(created.Description))
	stamp, owned := issuer.Owned(created)
	require.True(t, owned)
	require.Equal(t, Stamp{mountUUID, Lease, "app", "0123456789abcdef", now.Add(time.Hour)}, stamp)
	asked := spec(server).Permissions
	asked[0].Name = "" // names are not sent
	require.Equal(t, asked, Permissions(created))
	_, owned = newIssuer("00000000-0000-4000-8000-000000000000").Owned(created)
	require.False(t, owned, "another mount's")

	with := spec(server)
	with.Kind, with.Nonce, with.Inactive, with.OwnerID, with.Deadline = Static, "", true, server.AddUser("telegraf"), time.Time{}
	created, err = issuer.Create(t.Context(), c, with)
	require.NoError(t, err)
	require.True(t, created.Inactive())
	require.Equal(t, with.OwnerID, created.UserID)
	stamp, _ = issuer.Owned(created)
	require.Equal(t, Static, stamp.Kind)
	require.Len(t, stamp.Nonce, 16)
	require.True(t, stamp.Deadline.IsZero())
}

func TestCreateNeedsTheMountsUUID(t *testing.T) {
	server := influxtest.New(t)
	_, err := newIssuer("").Create(t.Context(), dial(t, server, server.RootToken()), spec(server))
	require.ErrorContains(t, err, "UUID")
	require.Len(t, server.Tokens(), 1)
}

func TestCreateWithoutAnAnswerIsAnUnknownOutcome(t *testing.T) {
	server := influxtest.New(t)
	c, issuer := dial(t, server, server.RootToken()), newIssuer(mountUUID)
	server.LoseAnswer(http.MethodPost, authorizations)
	with := spec(server)
	with.OwnerID = server.UserID()
	_, err := issuer.Create(t.Context(), c, with)
	var unknown *UnknownOutcome
	require.ErrorAs(t, err, &unknown)
	require.Equal(t, "0123456789abcdef", unknown.Nonce)
	require.Equal(t, Location{server.OrgID(), server.UserID()}, unknown.At)
	require.True(t, influx.Is(err, influx.Unavailable))
	require.False(t, refused(err))
	require.Len(t, server.Tokens(), 2)

	server.Intercept(nil)
	with.OrgID = "0000000000000001"
	_, err = issuer.Create(t.Context(), c, with)
	require.Error(t, err)
	require.NotErrorAs(t, err, &unknown, "InfluxDB said no")
	require.True(t, refused(err))
}

// A call that is cut off would be carried out all the same, and nobody would know the ID.
func TestCreateIsNotCutOffWithItsCaller(t *testing.T) {
	server := influxtest.New(t)
	ctx, cancel := context.WithCancel(t.Context())
	server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		cancel()
		next.ServeHTTP(w, r)
	})
	created, err := newIssuer(mountUUID).Create(ctx, dial(t, server, server.RootToken()), spec(server))
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, server.Tokens()[1].ID, created.ID, "it exists, and the caller has to delete it")
}

func TestTryLeavesNothing(t *testing.T) {
	server := influxtest.New(t)
	issuer := newIssuer(mountUUID)
	at := Location{server.OrgID(), server.UserID()}
	require.NoError(t, issuer.Try(t.Context(), dial(t, server, server.RootToken()), at, MinimalGrant(server.OrgID())))
	_, weak := server.AddToken(server.OrgID(), server.UserID(), influxtest.MintingPermissions(server.OrgID(), server.UserID())...)
	err := issuer.Try(t.Context(), dial(t, server, weak), at, permission.Permission{Action: permission.Write, Type: "tasks", OrgID: server.OrgID()})
	require.True(t, influx.Is(err, influx.Forbidden), "%v", err)
	require.Len(t, server.Tokens(), 2)

	server.Refuse(http.MethodDelete, authorizations)
	require.Error(t, issuer.Try(t.Context(), dial(t, server, server.RootToken()), at, MinimalGrant(server.OrgID())), "the probe is still there")
}

func TestLiveLease(t *testing.T) {
	issuer := newIssuer(mountUUID)
	live := Stamp{mountUUID, Lease, "app", "00", now.Add(time.Second)}
	as := func(change func(*Stamp)) bool {
		stamp := live
		change(&stamp)
		return issuer.LiveLease(stamp, now)
	}
	require.True(t, as(func(*Stamp) {}))
	require.False(t, as(func(s *Stamp) { s.Deadline = now }))
	require.False(t, as(func(s *Stamp) { s.Mount = "another" }))
	require.False(t, as(func(s *Stamp) { s.Kind = Static }))
	require.False(t, as(func(s *Stamp) { s.Role = ProbeRole }))
}

func TestListVerified(t *testing.T) {
	server := influxtest.New(t)
	issuer := newIssuer(mountUUID)
	beta := server.AddOrg("beta")
	gone := server.AddUser("telegraf")
	server.DeleteUser(gone)
	foreign, _ := server.AddToken(beta, server.UserID())
	_, root := server.AddToken(server.OrgID(), server.UserID(), append(
		influxtest.AllAccessPermissions(server.OrgID(), server.UserID()), influxtest.InOrg("write", "authorizations", beta), influxtest.ByID("write", "users", gone))...)
	usual, unseen, ownerGone := Location{OrgID: server.OrgID()}, Location{OrgID: beta}, Location{server.OrgID(), gone}

	var listed []string
	c := dial(t, server, root)
	visit := func(a *influx.Listed) { listed = append(listed, string(a.ID)) }
	var l Listing
	require.NoError(t, issuer.ListVerified(t.Context(), c, []Location{usual, unseen, ownerGone}, &l, visit))
	require.Equal(t, map[Location]bool{usual: true, ownerGone: true}, l.Complete, "the probe of beta is not in the list")
	require.True(t, l.Proven)
	require.Len(t, listed, 2, "the two root tokens, and no probe")
	require.NotContains(t, listed, foreign)
	require.Len(t, server.Tokens(), 3, "no probe stays")

	listed = nil
	require.NoError(t, issuer.ListDefault(t.Context(), c, visit))
	require.Len(t, listed, 2)
}

// Only a 400 says that a location is gone, where nothing can be: what else is refused says nothing of it.
func TestALocationIsGoneOnlyByA400(t *testing.T) {
	for status, code := range map[int]string{400: "invalid", 413: "request too large", 422: "unprocessable entity"} {
		server := influxtest.New(t)
		server.Fail("POST", "/api/v2/authorizations", status, "application/json", `{"code":"`+code+`","message":"x"}`)
		usual := Location{OrgID: server.OrgID()}
		var l Listing
		err := newIssuer(mountUUID).ListVerified(t.Context(), dial(t, server, server.RootToken()), []Location{usual}, &l, func(*influx.Listed) {})
		require.Equal(t, status == 400, l.Complete[usual], status)
		require.Equal(t, status == 400, err == nil, "%d: %v", status, err)
	}
}

func TestAListThatIsNotShown(t *testing.T) {
	server := influxtest.New(t)
	issuer := newIssuer(mountUUID)
	_, root := server.AddToken(server.OrgID(), server.UserID(),
		influxtest.InOrg("write", "authorizations", server.OrgID()), influxtest.ByID("write", "users", server.UserID()))
	err := issuer.ListDefault(t.Context(), dial(t, server, root), func(*influx.Listed) {})
	var incomplete *IncompleteListError
	require.ErrorAs(t, err, &incomplete)
	require.Equal(t, Location{server.OrgID(), server.UserID()}, incomplete.At)
	require.EqualError(t, incomplete, "the root token is not shown the list of tokens: it lacks read:orgs/"+server.OrgID()+
		"/authorizations or read:users/"+server.UserID()+"; see docs/root-token.md")

	_, root = server.AddToken(server.OrgID(), server.UserID(), influxtest.InOrg("read", "authorizations", server.OrgID()))
	err = issuer.ListDefault(t.Context(), dial(t, server, root), func(*influx.Listed) {})
	require.True(t, influx.Is(err, influx.MissingPermission), "no probe in the default location: %v", err)
	require.NotErrorAs(t, err, &incomplete)
}
