package influx3test

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Target is an InfluxDB 3 that has its operator token, for Contract to ask.
type Target struct {
	URL           string // without a slash at the end
	OperatorToken string // the token "_admin"
	Product       string // "core" or "enterprise"
	Version       string // as in the server's headers, "3.10.1"
}

// clause is one statement about InfluxDB 3 that the product relies on.
type clause struct {
	says  string
	check func(*suite)
}

// Contract tests that a server keeps what the product relies on. The tokens that it makes have names of their own, and it
// deletes all of them; databases stay, because no other than the operator's way of deleting them is known. Wording is
// compared where the product looks at it or shows it.
func Contract(t *testing.T, target Target) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}, Timeout: time.Minute}
	t.Cleanup(client.CloseIdleConnections)
	clauses := slices.Concat(serverClauses, createClauses, deleteClauses, expiryClauses, listClauses, abandonedClauses,
		databaseClauses)
	if target.Product == "enterprise" {
		clauses = slices.Concat(clauses, enterpriseClauses)
	}
	for _, c := range clauses {
		t.Run(c.says, func(t *testing.T) { c.check(&suite{t, target, client}) })
	}
}

// suite is a clause's test, with what it takes to ask the server.
type suite struct {
	*testing.T
	Target
	client *http.Client
}

// uniqueName is a name that no other token or database has.
func uniqueName() string { return "contract-" + rand.Text()[:16] }

// tokenAnswer is the body of a 201.
type tokenAnswer struct {
	ID        uint64 `json:"id"`
	Name      string
	Token     string
	Hash      string
	CreatedAt time.Time `json:"created_at"`
	Expiry    *time.Time
}

// namedAdmin is the body of a call that makes an admin token. Without seconds it never expires.
func namedAdmin(name string, seconds ...uint64) map[string]any {
	body := map[string]any{"token_name": name}
	if len(seconds) > 0 {
		body["expiry_secs"] = seconds[0]
	}
	return body
}

// mint makes an admin token for this test.
func (s *suite) mint(name string, seconds ...uint64) tokenAnswer {
	s.Helper()
	var made tokenAnswer
	s.operator("POST", namedAdminPath, namedAdmin(name, seconds...)).is(201).into(&made)
	s.deleteAfterwards(name)
	return made
}

func deletePath(name string) string { return tokenPath + "?token_name=" + url.QueryEscape(name) }

// deleteAfterwards deletes what the test made, unless the test has done so itself.
func (s *suite) deleteAfterwards(name string) {
	s.Cleanup(func() {
		if r := s.operator("DELETE", deletePath(name), nil); r.status != 200 && r.status != 404 {
			s.Errorf("%s left behind: %d %s", name, r.status, r.body)
		}
	})
}

// row is a row of system.tokens; what has no value is nil.
type row struct {
	ID          *uint64 `json:"token_id"`
	Name        *string `json:"name"`
	CreatedAt   *string `json:"created_at"`
	Expiry      *string `json:"expiry"`
	Hash        *string `json:"hash"`
	Permissions *string `json:"permissions"`
}

// queryBody is the body of a query with one parameter.
func queryBody(query, parameter string) map[string]any {
	return map[string]any{"db": internalDatabase, "q": query, "params": map[string]string{"p": parameter}, "format": "json"}
}

const allColumns = "SELECT token_id, name, created_at, expiry, hash, permissions FROM system.tokens WHERE "

// rows asks for rows of system.tokens, with all columns.
func (s *suite) rows(where, parameter string) []row {
	s.Helper()
	var rows []row
	s.operator("POST", queryPath, queryBody(allColumns+where, parameter)).is(200).into(&rows)
	return rows
}

// listed is the names that match a pattern.
func (s *suite) listed(pattern string) []string {
	s.Helper()
	names := []string{}
	for _, r := range s.rows("name LIKE $p", pattern) {
		names = append(names, *r.Name)
	}
	return names
}

// works reports whether a token is known, by asking for what every token may ask for on Core.
func (s *suite) works(token string) bool {
	s.Helper()
	r := s.call("POST", queryPath, token, queryBody("SELECT name FROM system.tokens WHERE name = $p", OperatorName))
	require.Contains(s.T, []int{200, 401}, r.status, r.body)
	return r.status == 200
}

// eventually waits until something is so.
func (s *suite) eventually(what string, so func() bool) {
	s.Helper()
	for limit := time.Now().Add(time.Minute); !so(); <-time.After(20 * time.Millisecond) {
		require.True(s.T, time.Now().Before(limit), "in vain: %s", what)
	}
}
