package connection

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
	"vault-plugin-secrets-influxdb/backend/store"
)

const rootValue = "the-same-operator-token-everywhere=="

// unknownID is an ID that no server has given.
const unknownID = "00000000000000ff"

// known is what a verified write finds out about a server.
func known(server *influxtest.Server) func(*store.Connection) {
	return func(c *store.Connection) {
		c.Found = &store.Found{
			OrgIDs: []string{server.OrgID()}, DefaultOrg: influxtest.OrgName, DefaultOrgID: server.OrgID(),
			RootUserID: server.UserID(), RootAuthorizationID: server.RootID(),
		}
	}
}

// hide has the server refuse what would show which one it is, but what is listed.
func hide(server *influxtest.Server, but ...string) {
	for _, path := range []string{"/api/v2/me", "/api/v2/authorizations/", "/api/v2/orgs/"} {
		for _, shown := range but {
			if path == shown {
				path = ""
			}
		}
		if path != "" {
			server.Fail(http.MethodGet, path, http.StatusUnauthorized, "application/json; charset=utf-8", `{"code":"unauthorized","message":"read:things is unauthorized"}`)
		}
	}
}

func TestAnAbsenceCountsOnlyWhereTheInfluxDBIsSeen(t *testing.T) {
	for name, c := range map[string]struct {
		// found changes what is known of the server; change the server itself, or the other one that answers instead.
		found  func(*store.Connection)
		change func(server, other *influxtest.Server)
		gone   bool
		err    string
	}{
		"all is seen":          {gone: true},
		"an empty InfluxDB":    {change: func(server, other *influxtest.Server) { server.Intercept(influxtest.Instead(other)) }, err: "another InfluxDB answers at "},
		"the user alone":       {change: func(server, _ *influxtest.Server) { hide(server, "/api/v2/me") }, gone: true},
		"the root token alone": {change: func(server, _ *influxtest.Server) { hide(server, "/api/v2/authorizations/") }, gone: true},
		"the organization":     {change: func(server, _ *influxtest.Server) { hide(server, "/api/v2/orgs/") }, gone: true},
		"another organization": {
			found: func(c *store.Connection) {
				c.Found.OrgIDs = []string{unknownID, c.Found.DefaultOrgID}
				c.Found.DefaultOrgID = unknownID
			},
			change: func(server, _ *influxtest.Server) { hide(server, "/api/v2/orgs/") }, gone: true,
		},
		"the organization is gone": {
			found: func(c *store.Connection) { c.Found.OrgIDs, c.Found.DefaultOrgID = []string{unknownID}, unknownID }, gone: true,
		},
		"the authorization is another": {found: func(c *store.Connection) { c.AuthorizationID = unknownID }, gone: true},
		"nothing may be read":          {change: func(server, _ *influxtest.Server) { hide(server) }, gone: true},
		"nothing is known":             {found: func(c *store.Connection) { c.Found = nil }, gone: true},
		"what may be read is foreign": {
			found:  func(c *store.Connection) { c.Found.OrgIDs, c.Found.DefaultOrgID = []string{unknownID}, unknownID },
			change: func(server, _ *influxtest.Server) { hide(server, "/api/v2/orgs/") }, err: "it knows no organization " + unknownID,
		},
		"no answer": {
			change: func(server, _ *influxtest.Server) {
				for _, path := range []string{"/api/v2/me", "/api/v2/orgs/", "/api/v2/authorizations/"} {
					server.Refuse(http.MethodGet, path)
				}
			},
			err: "whether this is the InfluxDB that issued the token could not be seen",
		},
		"no answer but one": {
			change: func(server, _ *influxtest.Server) {
				server.Fail(http.MethodGet, "/api/v2/me", http.StatusForbidden, "text/html", "<html>")
			}, gone: true,
		},
		"foreign, and no answer of the rest": {
			change: func(server, other *influxtest.Server) {
				server.Intercept(influxtest.Instead(other))
				server.Fail(http.MethodGet, "/api/v2/orgs/", http.StatusBadGateway, "text/html", "<html>")
			},
			err: "could not be seen",
		},
	} {
		t.Run(name, func(t *testing.T) {
			server, other := influxtest.New(t, influxtest.RootToken(rootValue)), influxtest.New(t, influxtest.RootToken(rootValue))
			found := known(server)
			e := dial(t, server, func(stored *store.Connection) {
				found(stored)
				if c.found != nil {
					c.found(stored)
				}
			})
			id, _ := server.AddToken(server.OrgID(), server.UserID())
			server.DeleteToken(id)
			if c.change != nil {
				c.change(server, other)
			}
			_, absence := e.Client.GetAuthorization(t.Context(), unknownID)
			if influx.Is(absence, influx.Gone) {
				require.Equal(t, c.gone, e.Gone(t.Context(), absence))
			}
			err := e.Delete(t.Context(), id)
			if c.gone {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, c.err)
			}
			require.Equal(t, strings.HasPrefix(c.err, "another") || strings.HasPrefix(c.err, "it knows"), IsForeign(err))
			require.False(t, e.Gone(t.Context(), nil))
			require.False(t, e.Gone(t.Context(), context.Canceled))
		})
	}
}

// foreign is a connection to a server that was verified, and at whose address another one answers now.
func foreign(t *testing.T, change ...func(*store.Connection)) (c *Connection, server, other *influxtest.Server) {
	t.Helper()
	server, other = influxtest.New(t, influxtest.RootToken(rootValue)), influxtest.New(t, influxtest.RootToken(rootValue))
	c = dial(t, server, append([]func(*store.Connection){known(server)}, change...)...)
	server.Intercept(influxtest.Instead(other))
	return c, server, other
}

func looksAt(server *influxtest.Server) (looks int) {
	for _, r := range server.Requests() {
		if r.Path == "/api/v2/me" {
			looks++
		}
	}
	return looks
}

// That another InfluxDB answers is asked once a minute, or when the right one has shown itself.
func TestAnotherInfluxDBIsLookedAtOnceAMinute(t *testing.T) {
	c, server, other := foreign(t)
	now := time.Now()
	c.identity.now = func() time.Time { return now }
	id, _ := server.AddToken(server.OrgID(), server.UserID())
	for range 10 {
		require.True(t, IsForeign(c.Delete(t.Context(), unknownID)))
	}
	require.Equal(t, 1, looksAt(other))
	now = now.Add(foreignPause)
	require.True(t, IsForeign(c.Delete(t.Context(), unknownID)))
	require.Equal(t, 2, looksAt(other))

	server.Intercept(nil)
	server.ResetRequests()
	require.True(t, IsForeign(c.Delete(t.Context(), unknownID)), "within the minute")
	require.Zero(t, looksAt(server))
	require.NoError(t, c.Delete(t.Context(), id))
	require.NoError(t, c.Delete(t.Context(), id), "the right one was seen to delete")
	_, err := c.Identify(t.Context())
	require.NoError(t, err)
}

// A look says nothing of an answer that came after it had begun.
func TestALookServesWhoeverAskedBeforeIt(t *testing.T) {
	server := influxtest.New(t)
	c := dial(t, server, known(server))
	release := server.Stall(http.MethodGet, "/api/v2/me")
	defer release()
	var group sync.WaitGroup
	look := func() { group.Go(func() { _, _ = c.Identify(t.Context()) }) }
	look()
	require.Eventually(t, func() bool { return looksAt(server) == 1 }, time.Minute, time.Millisecond)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 { // the first of them begins the second look, and the others come while it waits
		_, err := c.Identify(gone)
		require.ErrorIs(t, err, context.Canceled)
	}
	release()
	group.Wait()
	require.Eventually(t, func() bool { return looksAt(server) >= 2 }, time.Minute, time.Millisecond)
	require.Equal(t, 2, looksAt(server), "those that came while the first was under way share one")
}

func TestIssuedTokensTellWhichInfluxDBItIs(t *testing.T) {
	owned := func(server *influxtest.Server) *influx.Authorization {
		return &influx.Authorization{OrgID: server.OrgID(), UserID: server.UserID()}
	}
	t.Run("the root token's user", func(t *testing.T) {
		c, server, other := foreign(t)
		require.NoError(t, c.CheckIssued(t.Context(), owned(server), ""))
		require.True(t, IsForeign(c.CheckIssued(t.Context(), owned(other), "")))
		require.Empty(t, other.Requests())
	})
	t.Run("an owner of its own", func(t *testing.T) {
		c, server, other := foreign(t)
		require.NoError(t, c.CheckIssued(t.Context(), owned(server), unknownID), "the organization is known")
		require.Empty(t, other.Requests())
		require.True(t, IsForeign(c.CheckIssued(t.Context(), owned(other), other.UserID())))
	})
	t.Run("nothing was verified", func(t *testing.T) {
		c, server, other := foreign(t, func(c *store.Connection) { c.Found = nil })
		require.NoError(t, c.CheckIssued(t.Context(), owned(server), ""))
		require.True(t, IsForeign(c.CheckIssued(t.Context(), owned(other), "")))
		require.True(t, IsForeign(c.CheckIssued(t.Context(), owned(other), other.UserID())))
		require.True(t, IsForeign(c.Delete(t.Context(), unknownID)))
	})
	t.Run("an organization that a mint told of", func(t *testing.T) {
		server := influxtest.New(t)
		c := dial(t, server, known(server), func(c *store.Connection) {
			c.Found.OrgIDs, c.Found.DefaultOrgID, c.Found.RootAuthorizationID = []string{unknownID}, unknownID, ""
		})
		require.NoError(t, c.CheckIssued(t.Context(), owned(server), ""))
		hide(server, "/api/v2/orgs/")
		require.NoError(t, c.Delete(t.Context(), unknownID))
		server.ResetRequests()
		require.NoError(t, c.CheckIssued(t.Context(), owned(server), ""))
		require.Empty(t, server.Requests())
	})
}

func TestTheDefaultsAreLookedUpAgainWhenTheyAreGone(t *testing.T) {
	for name, change := range map[string]func(*store.Connection){
		"as written":         func(c *store.Connection) { c.Org, c.User = "beta", "telegraf" },
		"the only one":       func(*store.Connection) {},
		"from an unverified": func(c *store.Connection) { c.Org, c.User, c.Found = "beta", "telegraf", nil },
		"by ID":              func(c *store.Connection) { c.OrgID = c.Found.DefaultOrgID },
	} {
		t.Run(name, func(t *testing.T) {
			server := influxtest.New(t)
			orgID, userID := server.AddOrg("beta"), server.AddUser("telegraf")
			c := dial(t, server, known(server), func(c *store.Connection) {
				c.Found.DefaultOrg, c.Found.DefaultOrgID = "beta", orgID
				change(c)
			})
			foundOrg, foundUser, err := c.Defaults(t.Context())
			require.NoError(t, err)
			require.Equal(t, orgID, foundOrg)
			if c.User != "" {
				require.Equal(t, userID, foundUser)
			}

			server.DeleteOrg(orgID)
			server.DeleteUser(userID)
			if c.OrgID == "" {
				_, _, err = c.Defaults(t.Context())
				require.EqualError(t, err, `org: no organization "beta", which config names, that the root token can see`)
			}
			orgAgain, userAgain := server.AddOrg("beta"), server.AddUser("telegraf")
			foundOrg, foundUser, err = c.Defaults(t.Context())
			require.NoError(t, err)
			if c.OrgID != "" {
				require.Equal(t, orgID, foundOrg, "an ID stays what it is")
				return
			}
			require.Equal(t, orgAgain, foundOrg)
			if c.User != "" {
				require.Equal(t, userAgain, foundUser)
			}
			id, orgName, err := c.OrgOf(t.Context(), &store.Role{})
			require.NoError(t, err)
			require.Equal(t, []string{orgAgain, "beta"}, []string{id, orgName})
		})
	}
}

// Another InfluxDB has an organization of the same name, too.
func TestTheDefaultsAreNotTakenFromAnotherInfluxDB(t *testing.T) {
	c, server, _ := foreign(t)
	orgID, _, err := c.Defaults(t.Context())
	require.NoError(t, err)
	require.Equal(t, server.OrgID(), orgID)
}

// A mount whose roles mint in any number of organizations remembers those that it minted in last.
func TestWhatIsLearnedIsBounded(t *testing.T) {
	server := influxtest.New(t)
	c, err := NewPool("test").Dial(stored(server, "one", "1"))
	require.NoError(t, err)
	t.Cleanup(c.Client.Close)
	id := func(n int) string { return fmt.Sprintf("%016x", n+1) }
	for n := range 3000 {
		c.identity.learn(id(n), "")
	}
	marks := c.landmarks()
	require.Len(t, marks, maxLandmarks)
	require.Equal(t, []string{id(2900), id(2999)}, []string{marks[0].id, marks[maxLandmarks-1].id})
	require.Equal(t, maxLearned, c.identity.orgs.Len())

	require.NoError(t, c.CheckIssued(t.Context(), &influx.Authorization{OrgID: id(2000)}, "an owner"), "the oldest that is known")
	c.identity.learn(id(3000), "")
	require.True(t, c.identity.orgs.Contains(id(2000)), "it was used since")
	require.False(t, c.identity.orgs.Contains(id(2001)))
	require.Empty(t, server.Requests())
}
