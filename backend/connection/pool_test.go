package connection

import (
	"context"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
	"vault-plugin-secrets-influxdb/backend/store"
)

// stored is a connection to a server as an operator wrote it.
func stored(server *influxtest.Server, id, revision string) *store.Connection {
	return &store.Connection{
		ID: id, Revision: revision, URL: server.URL, Token: server.RootToken(), RequestTimeout: 60, MaxOpenConnections: 2,
	}
}

func TestPoolSharesAClientForEachRevision(t *testing.T) {
	p, server := NewPool("test"), influxtest.New(t)
	t.Cleanup(p.CloseAll)
	first, err := p.Open(stored(server, "one", "1"))
	require.NoError(t, err)
	again, err := p.Open(stored(server, "one", "1"))
	require.NoError(t, err)
	require.Same(t, first, again)
	other, err := p.Open(stored(server, "two", "1"))
	require.NoError(t, err)
	require.NotSame(t, first, other)
	uncached, err := p.Uncached(stored(server, "one", "1"))
	require.NoError(t, err)
	require.Same(t, first.Client, uncached.Client)
	require.NotSame(t, first.Names, uncached.Names)

	broken := stored(server, "one", "2")
	broken.URL = "no address"
	_, err = p.Open(broken)
	require.ErrorContains(t, err, "url: ")
	newer, err := p.Open(stored(server, "one", "2"))
	require.NoError(t, err)
	require.NotSame(t, first.Client, newer.Client)
	p.Close("one")
	p.Close("one")
	reopened, err := p.Open(stored(server, "one", "2"))
	require.NoError(t, err)
	require.NotSame(t, newer, reopened)
}

func TestPoolFindsConnections(t *testing.T) {
	p, server, s := NewPool("test"), influxtest.New(t), &logical.InmemStorage{}
	t.Cleanup(p.CloseAll)
	_, err := p.Current(t.Context(), s, "influxdb/")
	require.EqualError(t, err, "influxdb is not configured: write url, token and org to influxdb/config first")
	require.NoError(t, store.Config.Put(t.Context(), s, stored(server, "one", "1")))
	current, err := p.Current(t.Context(), s, "influxdb/")
	require.NoError(t, err, "that there is none is not cached")
	byID, err := p.ByID(t.Context(), s, "one")
	require.NoError(t, err)
	require.Same(t, current, byID)

	require.NoError(t, store.FormerConnections.Put(t.Context(), s, "old", stored(server, "old", "1")))
	former, err := p.ByID(t.Context(), s, "old")
	require.NoError(t, err)
	require.Equal(t, "old", former.ID)
	_, err = p.ByID(t.Context(), s, "never")
	require.ErrorIs(t, err, ErrPurged)

	// The former connection becomes the current one again, as another node has written.
	require.NoError(t, store.Config.Put(t.Context(), s, stored(server, "again", "1")))
	again, err := p.ByID(t.Context(), s, "again")
	require.NoError(t, err, "the cached one is not the last word")
	require.Equal(t, "again", again.ID)

	cached, err := p.Config(t.Context(), s)
	require.NoError(t, err)
	require.Equal(t, "one", cached.ID)
	p.Invalidate("role/app")
	p.Invalidate(store.ConfigKey)
	cached, err = p.Config(t.Context(), s)
	require.NoError(t, err)
	require.Equal(t, "again", cached.ID)
}

func TestRefresh(t *testing.T) {
	p, server, s := NewPool("test"), influxtest.New(t), &logical.InmemStorage{}
	t.Cleanup(p.CloseAll)
	require.NoError(t, store.Config.Put(t.Context(), s, stored(server, "one", "1")))
	c, err := p.Current(t.Context(), s, "influxdb/")
	require.NoError(t, err)
	require.Nil(t, p.Refresh(t.Context(), s, c))
	require.NoError(t, store.Config.Put(t.Context(), s, stored(server, "one", "2")))
	require.Equal(t, "2", p.Refresh(t.Context(), s, c).Revision)
	require.NoError(t, store.Config.Delete(t.Context(), s))
	require.Nil(t, p.Refresh(t.Context(), s, c), "there is none")
}

func TestLockConfig(t *testing.T) {
	p, server, s := NewPool("test"), influxtest.New(t), &logical.InmemStorage{}
	require.NoError(t, store.Config.Put(t.Context(), s, stored(server, "one", "1")))
	_, err := p.Config(t.Context(), s)
	require.NoError(t, err)
	require.NoError(t, store.Config.Put(t.Context(), s, stored(server, "one", "2"))) // by another node
	require.False(t, p.ConfigLocked())
	unlock, err := p.LockConfig(t.Context())
	require.NoError(t, err)
	require.True(t, p.ConfigLocked())
	config, err := p.Config(t.Context(), s)
	require.NoError(t, err)
	require.Equal(t, "2", config.Revision)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = p.LockConfig(gone)
	require.ErrorIs(t, err, context.Canceled)
	unlock()
	require.False(t, p.ConfigLocked())
}

// nil means that InfluxDB itself says that the token is gone.
func TestDelete(t *testing.T) {
	p, server := NewPool("test"), influxtest.New(t)
	c, err := p.Dial(stored(server, "one", "1"))
	require.NoError(t, err)
	t.Cleanup(c.Client.Close)
	id, _ := server.AddToken(server.OrgID(), server.UserID())
	require.NoError(t, c.Delete(t.Context(), id))
	require.NoError(t, c.Delete(t.Context(), id), "not there")
	require.Len(t, server.Tokens(), 1)
	server.Fail("DELETE", "/", 404, "text/html", "<html>not found</html>")
	err = c.Delete(t.Context(), id)
	require.Error(t, err)
	require.False(t, Rejected(err))
	server.Intercept(nil)
	id, _ = server.AddToken(server.OrgID(), server.UserID()) // of one that is not there an inactive token learns so
	server.SetTokenActive(server.RootID(), false)
	require.True(t, Rejected(c.Delete(t.Context(), id)))
	server.DeleteToken(server.RootID())
	err = c.Delete(t.Context(), id)
	require.True(t, influx.Is(err, influx.BadToken))
	require.True(t, Rejected(err))
}
