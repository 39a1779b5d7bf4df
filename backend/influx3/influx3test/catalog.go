package influx3test

import (
	"cmp"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"time"
)

// InfluxDB 3 keeps tokens and databases in a catalog: a log in the object store, one file for each write, and a copy of
// its outcome in the memory of every node. What a node answers, it answers from memory. A write is judged by memory
// first, then stored, then applied to memory; when another write has that place in the log already, the node applies what
// it lacks and judges again (read: update_committed in influxdb3_catalog). All that is odd about it follows:
//
//   - A call whose client goes away between storing and applying is half done (measured). Memory lacks it until the node
//     wants to store the next write, of whatever kind, or starts anew.
//   - A call that memory alone refuses stores nothing, and so repairs nothing: a DELETE of a half-made token is 404 time and
//     again, a POST of the name of a half-deleted one 409.
//   - A node may take no writes at all any more after calls that were cut off, until it starts anew (seen; see Wedge).
//   - Other nodes lack a write until they look.

// catalogLog is the log of all writes. Each is a change to apply.
type catalogLog []logged

type logged struct {
	apply  change
	node   int // the number of the node that wrote it
	stored time.Time
}

// change does to a catalog what a write says.
type change func(*catalog)

// node is a server process: a listener, and as much of the log as it knows.
type node struct {
	number   int
	listener *httptest.Server
	applied  int // so many writes of the log are in memory
	memory   *catalog
	wedged   bool // it can't write any more
}

func newNode(number int) *node {
	return &node{number: number, memory: &catalog{
		tokens: map[string]*token{}, byValue: map[string]*token{}, databases: map[string]uint64{},
	}}
}

// catalog is the outcome of the writes so far.
type catalog struct {
	tokens    map[string]*token // by name
	byValue   map[string]*token
	databases map[string]uint64 // name to ID
	// The IDs of the next token and the next database; none is used again (measured).
	nextToken, nextDatabase uint64
}

// token is never changed once it is in a catalog.
type token struct {
	id          uint64
	name        string
	value       string
	hash        string // SHA-512 of the value, hexadecimal
	created     time.Time
	expiry      time.Time // zero for never
	permissions []grant   // nil for an admin token
}

// admin reports whether the token may do anything.
func (t *token) admin() bool { return t.permissions == nil }

// alive reports whether the token still works. The last millisecond is the one before its expiry (read: influxdb3_authz).
func (t *token) alive(now time.Time) bool {
	return t.expiry.IsZero() || t.expiry.UnixMilli() > now.UnixMilli()
}

// inOrder returns the tokens in the order of their IDs, in which a node lists them.
func (c *catalog) inOrder() []*token {
	return slices.SortedFunc(maps.Values(c.tokens), func(a, b *token) int { return cmp.Compare(a.id, b.id) })
}

// catchUp applies all that a node lacks.
func (l catalogLog) catchUp(n *node) { l.applyTo(n, len(l)) }

func (l catalogLog) applyTo(n *node, end int) {
	for ; n.applied < end; n.applied++ {
		l[n.applied].apply(n.memory)
	}
}

// look applies what a node has learnt by now. A Core never looks (measured for 20 s). A node of Enterprise with a Lag learns
// of what itself left half done as it learns of what others wrote; without one it doesn't, so that it can be seen (assumed).
func (s *Server) look(n *node) {
	if !s.enterprise {
		return
	}
	end := n.applied
	for i := n.applied; i < len(s.log); i++ {
		own := s.log[i].node == n.number
		if own && s.lag == 0 || s.now().Sub(s.log[i].stored) < s.lag {
			continue
		}
		end = i + 1
	}
	s.log.applyTo(n, end)
}

// judge decides about a write by what a catalog holds: it returns the change to store, or a refusal.
type judge func(*catalog) (change, *failure)

// write is a catalog write of a node. One that is half done is stored and not applied.
func (s *Server) write(n *node, decide judge, half bool) *failure {
	change, refused := decide(n.memory)
	if refused != nil {
		return refused
	}
	if n.wedged {
		return text(http.StatusInternalServerError, "catalog internal error: apply_catalog_file during catch-up at %d: "+
			"CreateAdminToken: add admin token: attempted to create a resource that already exists", n.applied)
	}
	if n.applied < len(s.log) {
		s.log.catchUp(n)
		if change, refused = decide(n.memory); refused != nil {
			return refused
		}
	}
	s.log = append(s.log, logged{apply: change, node: n.number, stored: s.now()})
	if !half {
		s.log.catchUp(n)
	}
	return nil
}

// mustWrite is a write by a test, which all nodes know at once, wedged ones too.
func (s *Server) mustWrite(decide judge) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.nodes {
		s.log.catchUp(n)
	}
	wedged := s.first.wedged
	s.first.wedged = false
	refused := s.write(s.first, decide, false)
	s.first.wedged = wedged
	if refused != nil {
		s.t.Fatalf("influx3test: %s", refused.body)
	}
	for _, n := range s.nodes {
		s.log.catchUp(n)
	}
}

// stored is the catalog with all that was written, which is what a restart finds.
func (s *Server) stored() *catalog {
	n := newNode(0)
	s.log.catchUp(n)
	return n.memory
}

// addToken makes a token unless its name is taken. The first has the ID 0 (measured).
func addToken(t token) judge {
	return func(c *catalog) (change, *failure) {
		if c.tokens[t.name] != nil {
			return nil, text(http.StatusConflict, "token name already exists, "+t.name)
		}
		return func(c *catalog) {
			made := t
			made.id = c.nextToken
			c.nextToken++
			c.tokens[t.name], c.byValue[t.value] = &made, &made
		}, nil
	}
}

// deleteToken deletes a token. Only the name is looked at: whether it has expired makes no difference (measured).
func deleteToken(name string) judge {
	return func(c *catalog) (change, *failure) {
		if c.tokens[name] == nil {
			return nil, notFound(name)
		}
		return func(c *catalog) {
			delete(c.byValue, c.tokens[name].value)
			delete(c.tokens, name)
		}, nil
	}
}

// regenerate gives the operator token another value; the old one is dead (measured).
func regenerate(value string) judge {
	return func(c *catalog) (change, *failure) {
		if c.tokens[OperatorName] == nil {
			return nil, text(http.StatusInternalServerError, "missing admin token, cannot update")
		}
		return func(c *catalog) {
			again := *c.tokens[OperatorName]
			delete(c.byValue, again.value)
			again.value, again.hash = value, hashOf(value)
			c.tokens[OperatorName], c.byValue[value] = &again, &again
		}, nil
	}
}

func addDatabase(name string) judge {
	return func(c *catalog) (change, *failure) {
		if _, exists := c.databases[name]; exists {
			return nil, text(http.StatusConflict, "attempted to create a resource that already exists")
		}
		return func(c *catalog) {
			c.databases[name] = c.nextDatabase
			c.nextDatabase++
		}, nil
	}
}

func removeDatabase(name string) judge {
	return func(c *catalog) (change, *failure) {
		if _, exists := c.databases[name]; !exists {
			return nil, notFound(name)
		}
		return func(c *catalog) { delete(c.databases, name) }, nil
	}
}

// timestamp writes a time as InfluxDB does, here and in system.tokens: milliseconds (measured), or no fraction at all where
// they are 0, and a sign where the year has more than four digits (read: chrono).
func timestamp(t time.Time) string {
	t = t.UTC()
	layout := "-01-02T15:04:05"
	if t.UnixMilli()%1000 != 0 {
		layout += ".000"
	}
	year := strconv.Itoa(t.Year())
	if t.Year() > 9999 {
		year = "+" + year
	}
	return year + t.Format(layout)
}
