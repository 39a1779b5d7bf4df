package backend

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vault-plugin-secrets-influxdb/backend/faulttest"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"
)

// record does what a request asks for, and keeps the answer.
func record(r *http.Request, next http.Handler) *httptest.ResponseRecorder {
	recorded := httptest.NewRecorder()
	next.ServeHTTP(recorded, r)
	return recorded
}

// cut promises more than it sends, and drops the connection.
func cut(w http.ResponseWriter, recorded *httptest.ResponseRecorder) {
	body := recorded.Body.Bytes()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)+100))
	w.WriteHeader(recorded.Code)
	_, _ = w.Write(body[:len(body)/2])
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

func answer(w http.ResponseWriter, status int, contentType, body string) {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// chaosFaults are what can become of a request on its way: some are done all the same, some are not.
var chaosFaults = map[string]faulttest.Interceptor{
	"refused": faulttest.Refused,
	"lost":    faulttest.Lost,
	"cut": func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		cut(w, record(r, next))
	},
	"429": func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Retry-After", "7")
		answer(w, http.StatusTooManyRequests, "application/json", `{"code":"too many requests","message":"slow down"}`)
	},
	"503": func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		answer(w, http.StatusServiceUnavailable, "text/plain", "upstream connect error")
	},
	"503 although it was done": func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		record(r, next)
		answer(w, http.StatusServiceUnavailable, "application/json", `{"code":"unavailable","message":"timeout"}`)
	},
	"truncated": func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		recorded := record(r, next)
		body := recorded.Body.String()
		answer(w, recorded.Code, "application/json", body[:len(body)*2/3])
	},
	"404": func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		answer(w, http.StatusNotFound, "text/html", "<html><h1>Not Found</h1></html>")
	},
	"404 although it was done": func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		record(r, next)
		answer(w, http.StatusNotFound, "text/html", "<html><h1>Not Found</h1></html>")
	},
}

// chaos lets one request in ten fail, in one of the ways, and a few stall until their client hangs up.
type chaos struct {
	mu     sync.Mutex
	random *rand.Rand
	names  []string
	met    map[string]int
	stalls int
	// under counts the requests that are being answered: what a client has given up may still be done.
	under atomic.Int64
}

func (c *chaos) draw() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch n := c.random.IntN(10000); {
	case n < 15 && c.stalls > 0:
		c.stalls--
		c.met["stalled"]++
		return "stalled"
	case n < 1000:
		name := c.names[c.random.IntN(len(c.names))]
		c.met[name]++
		return name
	}
	return ""
}

func (c *chaos) intercept(w http.ResponseWriter, r *http.Request, next http.Handler) {
	c.under.Add(1)
	defer c.under.Add(-1)
	switch name := c.draw(); name {
	case "":
		next.ServeHTTP(w, r)
	case "stalled":
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		<-r.Context().Done()
		next.ServeHTTP(w, r)
	default:
		chaosFaults[name](w, r, next)
	}
}

func newChaos(t *testing.T) *chaos {
	seed := uint64(time.Now().UnixNano())
	if given := os.Getenv("CHAOS_SEED"); given != "" {
		var err error
		seed, err = strconv.ParseUint(given, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("CHAOS_SEED=%d", seed)
	c := &chaos{random: rand.New(rand.NewPCG(seed, 0)), met: map[string]int{}, stalls: 12} //nolint:gosec // to be repeated
	c.names = slices.Sorted(maps.Keys(chaosFaults))                                        // in the same order for the same seed
	return c
}

// client is one of Vault's, or Vault itself: it mints and revokes, and keeps what it could not end.
type client struct {
	m      *testMount
	random *rand.Rand
	held   []*leased
	// doubtful are leases whose revocation failed: they are held, and their tokens may be gone.
	doubtful map[string]bool
	minted   int
	done     int
	err      error
}

func (c *client) run(operations int, enough time.Time) {
	for ; c.done < operations && (c.done < operations/5 || time.Now().Before(enough)); c.done++ {
		if len(c.held) == 0 || c.random.IntN(20) < 11 {
			c.mint()
		} else {
			c.revoke(c.random.IntN(len(c.held)))
		}
	}
}

func (c *client) mint() {
	ctx, cancel := context.WithCancel(c.m.t.Context())
	defer cancel()
	// Its caller goes away meanwhile. Over the wire the answer may be faster than the word of that, and then the token is
	// nobody's until its deadline.
	if c.random.IntN(50) == 0 && !overGRPC {
		time.AfterFunc(time.Duration(c.random.IntN(1000))*time.Microsecond, cancel)
	}
	resp, err := c.m.send(ctx, &logical.Request{Operation: logical.ReadOperation, Path: "creds/app"})
	if err != nil || resp.IsError() {
		return
	}
	if resp.Secret == nil {
		c.err = fmt.Errorf("a success without a secret: %v", resp.Data)
		return
	}
	c.minted++
	resp.Secret.IssueTime = c.m.clock.now()
	c.held = append(c.held, &leased{m: c.m, secret: resp.Secret, data: resp.Data, id: resp.Data["authorization_id"].(string)})
}

// revoke as a caller that waits, or as Vault does in the background.
func (c *client) revoke(i int) {
	l := c.held[i]
	revoke := func() error { return l.revoke(c.m.t.Context()) }
	if c.random.IntN(2) == 0 {
		revoke = l.inBackground
	}
	if revoke() != nil {
		c.doubtful[l.id] = true
		return
	}
	c.held = append(c.held[:i], c.held[i+1:]...)
}

// finish revokes again what could not be revoked. It must work now.
func (c *client) finish() {
	rest := c.held[:0]
	for _, l := range c.held {
		if c.doubtful[l.id] {
			if err := l.revoke(c.m.t.Context()); err != nil {
				c.err = err
			}
			continue
		}
		rest = append(rest, l)
	}
	c.held = rest
}

// A tenth of all calls goes wrong. What InfluxDB holds in the end is what callers hold leases for, exactly.
func TestChaos(t *testing.T) {
	const width = 8
	operations := 10000 // fewer, but a fifth at least, where the machine is slow or the race detector is on
	if testing.Short() || overGRPC {
		operations = 2000
	}
	m := newMount(t)
	server := m.connected()
	// Longer than the test: Vault, which is not there, would renew or revoke it before its end.
	m.write("roles/app", map[string]any{"read_buckets": "metrics", "write_buckets": "metrics", "ttl": "1h", "max_ttl": "1h"})
	m.write("config", map[string]any{"request_timeout": "1s"})
	ch := newChaos(t)
	server.Intercept(ch.intercept)

	clients := make([]*client, width)
	var group sync.WaitGroup
	for i := range clients {
		clients[i] = &client{m: m, random: rand.New(rand.NewPCG(ch.random.Uint64(), 0)), doubtful: map[string]bool{}} //nolint:gosec // to be repeated
	}
	enough := time.Now().Add(10 * time.Second)
	for _, c := range clients {
		group.Go(func() { c.run(operations/width, enough) })
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() { // Vault's minutes, and tidy by hand
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Second):
				_, _ = m.send(t.Context(), &logical.Request{Operation: logical.RollbackOperation})
				_, _ = m.request(logical.UpdateOperation, "tidy", nil)
			}
		}
	}()
	group.Wait()
	close(stop)
	<-stopped
	m.tidied()

	m.clock.advance(nonceAge)
	for range 3 {
		_ = m.tick() // still under faults
	}
	server.Intercept(nil)
	m.write("config", map[string]any{"request_timeout": "1m"})
	require.Eventually(t, func() bool { return ch.under.Load() == 0 }, time.Minute, time.Millisecond, "what was given up is done")
	held := m.recoverFromChaos(clients)
	t.Log("faults:", ch.met, "held in the end:", len(held))

	tokens := live(server)
	for id, token := range tokens {
		require.NotNil(t, held[id], "nobody holds a lease of %s: %s", id, token.Description)
	}
	for id := range held {
		require.NotEmpty(t, tokens[id].ID, "the lease of %s lives, and the token does not", id)
	}
	// What max_leases counts is the same.
	require.Equal(t, len(held), m.liveCount())
}

// recoverFromChaos lets the minutes pass that all takes with a sound InfluxDB, and answers the leases that callers hold.
func (m *testMount) recoverFromChaos(clients []*client) map[string]*leased {
	m.t.Helper()
	held := map[string]*leased{}
	minted, done := 0, 0
	for _, c := range clients {
		done += c.done
		c.finish()
		require.NoError(m.t, c.err)
		minted += c.minted
		for _, l := range c.held {
			held[l.id] = l
		}
	}
	m.t.Log("operations:", done, "minted:", minted, "pending:", len(m.pendingIDs()))
	m.clock.advance(nonceAge)
	for range 3 {
		require.NoError(m.t, m.tick())
	}
	require.Empty(m.t, m.pendingIDs())
	// The tokens that tried the root token in a survey and could not be deleted: their deadline is near.
	m.clock.advance(deadlineGrace + reapGrace)
	m.tidied()
	require.NoError(m.t, m.tick())
	m.tidied()
	require.Equal(m.t, tidyDone, m.tidy(nil)["state"])
	return held
}
