// Package influx3 speaks InfluxDB 3's HTTP API as far as the engine needs it: Core's and Enterprise's. It gives what it finds
// in the words of package influx, whose connections and limits it uses; it knows nothing of Vault.
//
// A token is known by its name, which is the stamp of the engine without its brackets: InfluxDB 3 has no descriptions, deletes
// by name, and takes each name once.
package influx3

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"vault-plugin-secrets-influxdb/backend/influx"
)

// The endpoints.
const (
	tokenPath      = "/api/v3/configure/token"
	adminPath      = tokenPath + "/admin"
	namedAdminPath = tokenPath + "/named_admin"
	enterprisePath = "/api/v3/enterprise/configure/token"
	queryPath      = "/api/v3/query_sql"
	pingPath       = "/ping"
)

// Client makes calls with one admin token to one InfluxDB 3. It is safe for concurrent use.
type Client struct {
	api *influx.Client
	// cluster is the ID of the InfluxDB whose tokens the client makes; nil while it is not known.
	cluster atomic.Pointer[string]
	// token is the client's own, to find its row by.
	token string
	now   func() time.Time
	// recent are the tokens that other nodes of a cluster may not know of yet; nil for Core, which is one node.
	recent *recent
}

// New returns a client for the InfluxDB of a cluster, which is "" where it is not known, that takes the time from now; it
// makes no call. The only error is a URL that can't be used.
func New(o influx.Options, cluster string, enterprise bool, now func() time.Time) (*Client, error) {
	api, err := influx.New(o)
	if err != nil {
		return nil, err
	}
	c := &Client{api: api, token: o.Token, now: now}
	c.Learn(cluster)
	if enterprise {
		c.recent = &recent{now: now, since: now(), made: map[string]time.Time{}}
	}
	return c, nil
}

// URL is the address the client was made for, in the form of influx.CleanURL.
func (c *Client) URL() string { return c.api.URL() }

// Timeout is how long one call may take.
func (c *Client) Timeout() time.Duration { return c.api.Timeout() }

// LongestLife is how long a token can live at most.
func (c *Client) LongestLife() time.Duration { return longest }

// Close gives idle connections back. Calls under way go on.
func (c *Client) Close() { c.api.Close() }

// Ping asks what server this is.
func (c *Client) Ping(ctx context.Context) (influx.Server, error) { return c.api.Ping(ctx) }

// KnownCluster returns the ID of the InfluxDB whose tokens the client makes: the one it was made for, or else the one that
// answered before its first token. "" while there is neither.
func (c *Client) KnownCluster() string {
	if known := c.cluster.Load(); known != nil {
		return *known
	}
	return ""
}

// Learn notes which InfluxDB makes the client's tokens, where that is not known yet; "" tells nothing.
func (c *Client) Learn(cluster string) {
	if cluster != "" {
		c.cluster.CompareAndSwap(nil, &cluster)
	}
}

// Cluster returns the ID of the cluster that answers; "" where it does not tell, as before InfluxDB 3.7.
func (c *Client) Cluster(ctx context.Context) (string, error) {
	return c.api.Do(ctx, influx.Call{Method: http.MethodGet, Path: pingPath, Success: http.StatusOK, Judge: judge}, nil, influx.ClusterHeader)
}

// NamesItself reports whether a server's answers name its cluster, refusals too, as from InfluxDB 3.7 on: it is asked without a token.
func (c *Client) NamesItself(ctx context.Context) (bool, error) {
	cluster, err := c.api.Do(ctx, influx.Call{Method: http.MethodGet, Path: pingPath, Anonymous: true, Success: http.StatusOK, Judge: judge}, nil, influx.ClusterHeader)
	if refused, ok := errors.AsType[*influx.Error](err); ok && refused.Status == http.StatusUnauthorized {
		return refused.FromInfluxDB(), nil
	}
	return cluster != "", err
}

// SeeCluster looks whether the cluster that answers is the one of an ID.
func (c *Client) SeeCluster(ctx context.Context, id string) (influx.Sighting, error) {
	cluster, err := c.Cluster(ctx)
	switch {
	case err != nil:
		return influx.NoAnswer, err
	case cluster == "":
		return influx.NoAnswer, errors.New("the answer to /ping names no cluster")
	case !strings.EqualFold(cluster, id):
		return influx.NotThere, nil
	}
	return influx.Seen, nil
}

// SetUp makes the operator token of a server that has none, and returns its value: the answer alone holds it. An *influx.Error
// with the status 409 says that there is one.
func (c *Client) SetUp(ctx context.Context) (token string, err error) {
	call := influx.Call{Method: http.MethodPost, Path: adminPath, Body: struct{}{}, Anonymous: true, Success: http.StatusCreated, Judge: judge}
	var made answer
	if _, err := c.api.Do(ctx, call, &made, influx.ClusterHeader); err != nil {
		return "", err
	}
	if made.Token == "" {
		return "", c.api.Failure(call, http.StatusCreated, influx.Verdict{Kind: influx.NotInfluxDB, Message: "the answer holds no token", Proof: influx.Unproven})
	}
	return made.Token, nil
}

// judge says what an answer means that is no success. What does not name its cluster comes from something in between.
func judge(r influx.Refusal) influx.Verdict {
	v := influx.Verdict{Message: words(r), Proof: influx.Unproven, Own: r.Header.Get(influx.ClusterHeader) != ""}
	v.Kind = kindOf(r, v.Own)
	switch {
	case v.Own && r.Status < http.StatusMultipleChoices: // its body may hold the value of a token
		v.Kind, v.Message = influx.NotInfluxDB, "the answer is not what was asked for"
	case !v.Own:
		v.Message = fmt.Sprintf("%s (%s, not InfluxDB 3's own answer)", http.StatusText(r.Status), r.Header.Get("Content-Type"))
	case v.Kind == influx.Gone:
		v.Proof = influx.Absent
	case strings.Contains(v.Message, stuck):
		v.Message = "InfluxDB's catalog is stuck: it makes and deletes no tokens until it is started anew; restart it (" + v.Message + ")"
	case r.Status == http.StatusConflict: // the name is taken, perhaps by this very call, which something in between has repeated
	case r.Status < http.StatusInternalServerError:
		v.Proof = influx.NotApplied
	}
	return v
}

// judgeOfOurs is judge of a call whose answer proves something of a token: another InfluxDB at the same address, as where it has
// just moved, may know the root token as well, and proves nothing.
func (c *Client) judgeOfOurs(r influx.Refusal) influx.Verdict {
	v := judge(r)
	if v.Kind == influx.Gone || r.Status == http.StatusConflict {
		if foreign, is := c.foreign(r.Header.Get(influx.ClusterHeader)); is {
			return foreign
		}
	}
	return v
}

// foreign reports whether an answer is that of another cluster than the client's, and says so.
func (c *Client) foreign(cluster string) (influx.Verdict, bool) {
	known := c.KnownCluster()
	if known == "" || cluster == "" || strings.EqualFold(known, cluster) {
		return influx.Verdict{}, false
	}
	return influx.Verdict{
		Kind: influx.Foreign, Message: fmt.Sprintf("another InfluxDB answers, of cluster %s and not %s", cluster, known), Proof: influx.Unproven,
	}, true
}

// success looks whether a success is one of the client's own InfluxDB.
func (c *Client) success(call influx.Call, cluster string) error {
	if cluster == "" {
		return c.api.Failure(call, call.Success, influx.Verdict{Kind: influx.NotInfluxDB, Message: "not InfluxDB 3's own answer", Proof: influx.Unproven})
	}
	if foreign, is := c.foreign(cluster); is {
		return c.api.Failure(call, call.Success, foreign)
	}
	return nil
}

// stuck is what a server says to every change of its catalog once calls that were cut off have left that in disorder, until it
// is started anew (seen on 3.10.1).
const stuck = "apply_catalog_file during catch-up"

// badQuery begins the refusal of a query for a column that there is not, which is a 500 (measured on 3.10.1).
const badQuery = "Schema error"

func kindOf(r influx.Refusal, own bool) influx.Kind {
	switch {
	case r.Status == http.StatusTooManyRequests:
		return influx.RateLimited
	case own && strings.HasPrefix(words(r), badQuery):
		return influx.Invalid
	case r.Status >= http.StatusInternalServerError:
		return influx.Unavailable
	case !own:
		return influx.NotInfluxDB
	}
	switch r.Status {
	case http.StatusUnauthorized:
		return influx.BadToken
	case http.StatusForbidden:
		return influx.Forbidden
	case http.StatusNotFound:
		switch {
		case strings.HasPrefix(words(r), "Not found"):
			return influx.NoSuchPath
		case r.Method == http.MethodDelete:
			return influx.Gone
		}
		return influx.NotFound
	case http.StatusMethodNotAllowed:
		return influx.NoSuchPath
	}
	return influx.Invalid
}

// words are what the server says: plain text, or JSON with an error in it.
func words(r influx.Refusal) string {
	text := strings.TrimSpace(string(r.Body))
	if within, ok := strings.CutPrefix(text, `{"error": "`); ok {
		return strings.TrimSuffix(within, `"}`)
	}
	return text
}

// syncAge is how long another node of a cluster may not know of a token, with room: it learns of it within the catalog's
// synchronization, 1 s or 10 s as the documentation has it.
const syncAge = time.Minute

// recent are the tokens that were made within syncAge, by name. Of those that the process before has made nothing is known:
// they are as old as the client at least.
type recent struct {
	now   func() time.Time
	mu    sync.Mutex
	since time.Time
	made  map[string]time.Time
	// enough is how many are held before the old ones are looked for.
	enough int
}

// add notes when a token was made, which is the zero time once it is deleted, and forgets those that are known everywhere by
// now.
func (r *recent) add(name string, made time.Time) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	r.made[name] = made
	if len(r.made) > r.enough {
		maps.DeleteFunc(r.made, func(_ string, at time.Time) bool { return now.Sub(at) > syncAge })
		r.enough = 2*len(r.made) + 1000
	}
}

// has reports whether a node may not know of a token although it exists.
func (r *recent) has(name string) bool {
	if r == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	made, known := r.made[name]
	if !known {
		made = r.since
	}
	return r.now().Sub(made) < syncAge
}
