package influxtest

import (
	"crypto/rand"
	"net/http"
	"slices"
	"testing"
	"time"
)

// Target is an InfluxDB OSS 2 server that is set up, for Contract to ask.
type Target struct {
	URL           string // without a slash at the end
	OperatorToken string // read and write everything everywhere, as setup makes it
	Org, OrgID    string // an organization
	User, UserID  string // the operator token's owner, a member of Org
	HashedTokens  bool   // as the option of that name
	Version       string // as in the server's headers, "v2.9.1"
}

// clause is one statement about InfluxDB that the product relies on.
type clause struct {
	says  string
	check func(*suite)
}

// Contract tests that a server keeps what the product relies on. It makes what it needs under names of its own
// and deletes all of it again. Wording is compared where the product looks at it or shows it.
func Contract(t *testing.T, target Target) {
	client := &http.Client{Transport: &http.Transport{}, Timeout: time.Minute}
	t.Cleanup(client.CloseIdleConnections)
	clauses := slices.Concat(serverClauses, authenticationClauses, createClauses, grantClauses, listClauses,
		changeClauses, orphanClauses, lookupClauses, bucketClauses)
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

// unknownID is an ID that nothing has: IDs this small are never given out.
const unknownID = "0000000000000001"

func uniqueName(kind string) string { return "contract " + kind + " " + rand.Text()[:12] }

// org makes an organization for this test.
func (s *suite) org() orgAnswer {
	s.Helper()
	var o orgAnswer
	s.operator("POST", "/api/v2/orgs", map[string]string{"name": uniqueName("org")}).is(201).into(&o)
	s.deleteAfterwards("/api/v2/orgs/" + o.ID)
	return o
}

// user makes an active user for this test.
func (s *suite) user() userAnswer {
	s.Helper()
	var u userAnswer
	s.operator("POST", "/api/v2/users", map[string]string{"name": uniqueName("user")}).is(201).into(&u)
	s.deleteAfterwards("/api/v2/users/" + u.ID)
	return u
}

// bucket makes a bucket for this test.
func (s *suite) bucket(orgID string) bucketAnswer {
	s.Helper()
	return s.bucketNamed(orgID, uniqueName("bucket"))
}

func (s *suite) bucketNamed(orgID, name string) bucketAnswer {
	s.Helper()
	var b bucketAnswer
	s.operator("POST", "/api/v2/buckets", map[string]string{"orgID": orgID, "name": name}).is(201).into(&b)
	s.deleteAfterwards("/api/v2/buckets/" + b.ID)
	return b
}

// tokenRequest is a body for POST /api/v2/authorizations.
type tokenRequest struct {
	Status      string       `json:"status,omitempty"`
	OrgID       string       `json:"orgID,omitempty"`
	UserID      string       `json:"userID,omitempty"`
	Description string       `json:"description,omitempty"`
	Permissions []Permission `json:"permissions"`
}

// token makes an authorization for this test, with the operator token.
func (s *suite) token(orgID, userID string, permissions ...Permission) authorizationAnswer {
	s.Helper()
	return s.mint(s.OperatorToken, tokenRequest{OrgID: orgID, UserID: userID, Permissions: permissions})
}

// mint makes an authorization for this test, with a token that must be able to.
func (s *suite) mint(with string, w any) authorizationAnswer {
	s.Helper()
	var a authorizationAnswer
	s.call("POST", "/api/v2/authorizations", with, w).is(201).into(&a)
	s.deleteAfterwards(tokenPath(a))
	return a
}

// list is the authorizations that a token sees.
func (s *suite) list(with, query string) []*authorizationAnswer {
	s.Helper()
	var list authorizationsAnswer
	s.call("GET", "/api/v2/authorizations"+query, with, nil).is(200).into(&list)
	return list.Authorizations
}

// reread is what the server now says about an authorization.
func (s *suite) reread(a authorizationAnswer) authorizationAnswer {
	s.Helper()
	var now authorizationAnswer
	s.operator("GET", tokenPath(a), nil).is(200).into(&now)
	return now
}

func tokenPath(a authorizationAnswer) string { return "/api/v2/authorizations/" + a.ID }

func ids(list []*authorizationAnswer) []string {
	found := make([]string, 0, len(list))
	for _, a := range list {
		found = append(found, a.ID)
	}
	return found
}

// deleteAfterwards deletes what the test made, unless the test has done so itself.
func (s *suite) deleteAfterwards(path string) {
	s.Cleanup(func() {
		if r := s.operator("DELETE", path, nil); r.status != 204 && r.status != 404 {
			s.Errorf("%s left behind: %d %s", path, r.status, r.body)
		}
	})
}

// setStatus sets the status of a token or a user.
func (s *suite) setStatus(path, status string) {
	s.Helper()
	s.operator("PATCH", path, map[string]string{"status": status}).is(200)
}

// delete deletes something now.
func (s *suite) delete(path string) {
	s.Helper()
	s.operator("DELETE", path, nil).is(204)
}
