package backend

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
	"vault-plugin-secrets-influxdb/backend/store"
)

// While the root token is rotated again and again nobody who mints or revokes sees it.
func TestRotateRootIsNotNoticed(t *testing.T) {
	t.Parallel()
	m := newMount(t)
	server := m.connected(influxtest.HashedTokens(false))
	done := make(chan struct{})
	var minted atomic.Int64
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				resp, err := m.request(logical.ReadOperation, "creds/app", nil)
				if !assertGood(t, resp, err) {
					return
				}
				minted.Add(1)
				l := m.leased(resp)
				if err := l.revoke(t.Context()); err != nil {
					t.Errorf("revoke: %v", err)
					return
				}
			}
		})
	}
	for range 10 { // with mints in between
		before := minted.Load()
		require.Eventually(t, func() bool { return t.Failed() || minted.Load() > before }, time.Minute, time.Millisecond)
		m.write("config/rotate-root", nil)
	}
	close(done)
	clients.Wait()
	require.Len(t, live(server), 1)
	require.Len(t, roots(server), 1)
}

func assertGood(t *testing.T, resp *logical.Response, err error) bool {
	if err == nil && resp != nil {
		err = resp.Error()
	}
	if err != nil {
		t.Errorf("refused: %v", err)
	}
	return err == nil
}

// Rotations by hand and by plan and writes of the configuration come one after another. At each moment the stored root
// token works.
func TestRotateRootBesideOthers(t *testing.T) {
	t.Parallel()
	m := newMount(t)
	server := m.connected(influxtest.HashedTokens(false))
	m.write("config", map[string]any{"rotation_period": "1m", "tidy_interval": 0}) // a run of its own could leave its probe to a root token that is gone
	done := make(chan struct{})
	var watch, all sync.WaitGroup
	watch.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				assertStoredTokenWorks(t, m, server)
			}
		}
	})
	for i := range 20 {
		all.Go(func() {
			resp, err := m.request(logical.UpdateOperation, "config/rotate-root", nil)
			assertGood(t, resp, err)
		})
		all.Go(func() {
			resp, err := m.request(logical.UpdateOperation, "config", map[string]any{"request_timeout": 10 + i})
			assertGood(t, resp, err)
		})
		all.Go(func() {
			m.clock.advance(time.Minute)
			if _, err := m.send(t.Context(), &logical.Request{Operation: logical.RollbackOperation}); err != nil {
				t.Errorf("tick: %v", err)
			}
		})
	}
	all.Wait()
	require.NoError(t, m.tick()) // waits for what the ticks began
	close(done)
	watch.Wait()
	require.Len(t, roots(server), 1)
	require.Len(t, server.Tokens(), 1)
	tidyUpHeld(t, m, server, m.mint("app"))
}

// assertStoredTokenWorks asks InfluxDB. One that was replaced between the look and the question proves nothing.
func assertStoredTokenWorks(t *testing.T, m *testMount, server *influxtest.Server) {
	look := func() string {
		config, err := store.Config.Get(t.Context(), m.storage)
		if err != nil || config == nil {
			t.Errorf("no configuration: %v", err)
			return ""
		}
		return config.Token
	}
	token := look()
	if status := asks(t, server, token); status != http.StatusOK && look() == token {
		t.Errorf("the stored root token is answered %d", status)
	}
}

// The old root token is switched off before it is deleted, and is then shown no bucket. Whoever met it so starts over
// with the new one.
func TestMintThatMeetsTheOldRootSwitchedOff(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	id := server.RootID()
	var met atomic.Bool
	server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.URL.Path != "/api/v2/buckets" || !met.CompareAndSwap(false, true) {
			next.ServeHTTP(w, r)
			return
		}
		server.SetTokenActive(id, false)
		said := httptest.NewRecorder()
		next.ServeHTTP(said, r)
		server.SetTokenActive(id, true)
		if err := m.try(logical.UpdateOperation, "config/rotate-root", map[string]any{"authorization_id": id}); err != nil {
			t.Errorf("rotate: %v", err)
		}
		w.Header().Set("Content-Type", said.Header().Get("Content-Type"))
		w.WriteHeader(said.Code)
		_, _ = w.Write(said.Body.Bytes())
	})
	m.crash() // so that no bucket is remembered
	l := m.mint("app")
	require.True(t, met.Load())
	require.NotContains(t, existing(server), id)
	tidyUpHeld(t, m, server, l)
}

// A run of tidy that meets a rotation goes on with the new root token.
func TestTidyThatMeetsARotation(t *testing.T) {
	m := newMount(t)
	server := m.connected(influxtest.HashedTokens(false))
	var met atomic.Bool
	server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == http.MethodGet && r.URL.Path == authorizations && met.CompareAndSwap(false, true) {
			if err := m.try(logical.UpdateOperation, "config/rotate-root", nil); err != nil {
				t.Errorf("rotate: %v", err)
			}
		}
		next.ServeHTTP(w, r)
	})
	state := m.tidy(nil)
	require.True(t, met.Load())
	require.Equal(t, tidyDone, state["state"], state["last_error"])
}

// A rotation that is under way is no problem; one that was cut off is.
func TestCheckBesideARotation(t *testing.T) {
	m := newMount(t)
	server := m.connected(influxtest.HashedTokens(false))
	var met atomic.Bool
	server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == http.MethodPost && met.CompareAndSwap(false, true) {
			resp, err := m.request(logical.ReadOperation, "check", nil)
			if assertGood(t, resp, err) && resp.Data["healthy"] != true {
				t.Errorf("problems: %v", resp.Data["problems"])
			}
		}
		next.ServeHTTP(w, r)
	})
	m.write("config/rotate-root", nil)
	require.True(t, met.Load())
}
