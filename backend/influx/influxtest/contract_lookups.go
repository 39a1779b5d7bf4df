package influxtest

import (
	"encoding/json"
	"net/url"
	"strings"

	"github.com/stretchr/testify/require"
)

var lookupClauses = []clause{
	{"an organization is found by its exact name", func(s *suite) {
		org := s.org()
		require.Equal(s.T, []string{org.ID}, s.listed(s.OperatorToken, "orgs", "?org="+escaped(org.Name)))
		s.operator("GET", "/api/v2/orgs?org="+escaped(org.Name[:20]), nil).
			fails(404, "not found", `organization name "`+org.Name[:20]+`" not found`)
		blind := s.token(s.OrgID, s.UserID, InOrg("read", "views", s.OrgID)).Token
		require.Empty(s.T, s.listed(blind, "orgs", "?org="+escaped(org.Name)))
	}},
	{"a list of organizations ignores name and a malformed ID", func(s *suite) {
		org := s.org()
		for _, query := range []string{"?name=unknown&limit=100", "?orgID=x&limit=100", "?after=" + unknownID + "&limit=100"} {
			require.Subset(s.T, s.listed(s.OperatorToken, "orgs", query), []string{s.OrgID, org.ID}, query)
		}
	}},
	{"a list of organizations shows only those with the token's owner in them", func(s *suite) {
		mine, owner := s.org(), s.user()
		rights := []Permission{ByID("read", "orgs", mine.ID)}
		require.Equal(s.T, []string{mine.ID}, s.listed(s.token(s.OrgID, s.UserID, rights...).Token, "orgs", ""))
		stranger := s.token(s.OrgID, owner.ID, rights...).Token
		require.Empty(s.T, s.listed(stranger, "orgs", ""))
		require.Equal(s.T, []string{mine.ID}, s.listed(stranger, "orgs", "?org="+escaped(mine.Name)))
		s.call("GET", "/api/v2/orgs/"+mine.ID, stranger, nil).is(200)
	}},
	{"an organization is read by its ID, rights first", func(s *suite) {
		var org orgAnswer
		s.operator("GET", "/api/v2/orgs/"+s.OrgID, nil).is(200).into(&org)
		require.Equal(s.T, s.Org, org.Name)
		s.operator("GET", "/api/v2/orgs/"+unknownID, nil).fails(404, "not found", "organization not found")
		s.operator("GET", "/api/v2/orgs/x", nil).fails(400, "invalid", "id must have a length of 16 bytes")
		blind := s.token(s.OrgID, s.UserID, ByID("read", "orgs", s.OrgID)).Token
		s.call("GET", "/api/v2/orgs/"+unknownID, blind, nil).lacks(ByID("read", "orgs", unknownID))
	}},
	{"lists come in pages of 20, at most 100", pages},
	{"a user is found by name and by ID", func(s *suite) {
		u := s.user()
		require.Equal(s.T, []string{u.ID}, s.listed(s.OperatorToken, "users", "?name="+escaped(u.Name)))
		s.operator("GET", "/api/v2/users?name=unknown", nil).fails(404, "not found", "user not found")
		s.operator("GET", "/api/v2/users/"+u.ID, nil).is(200)
		s.operator("GET", "/api/v2/users/"+unknownID, nil).fails(404, "not found", "user not found")
		blind := s.token(s.OrgID, s.UserID, InOrg("read", "views", s.OrgID)).Token
		require.Empty(s.T, s.listed(blind, "users", "?name="+escaped(u.Name)))
		s.call("GET", "/api/v2/users/"+u.ID, blind, nil).lacks(ByID("read", "users", u.ID))
	}},
}

func pages(s *suite) {
	org := s.org()
	for range 22 {
		s.bucket(org.ID)
	}
	all := s.listed(s.OperatorToken, "buckets", "?limit=100&orgID="+org.ID)
	require.Len(s.T, all, 24, "with two system buckets")
	require.Equal(s.T, all[:20], s.listed(s.OperatorToken, "buckets", "?orgID="+org.ID))
	require.Equal(s.T, all[10:15], s.listed(s.OperatorToken, "buckets", "?limit=5&offset=10&orgID="+org.ID))
	require.Equal(s.T, all[10:15], s.listed(s.OperatorToken, "buckets", "?limit=5&orgID="+org.ID+"&after="+all[9]))
	for _, kind := range []string{"orgs", "users", "buckets"} {
		require.Len(s.T, s.listed(s.OperatorToken, kind, "?limit=1"), 1)
		for _, limit := range []string{"0", "101", "-1"} {
			s.operator("GET", "/api/v2/"+kind+"?limit="+limit, nil).fails(400, "invalid", "limit must be between 1 and 100")
		}
	}
}

var bucketClauses = []clause{
	{"a bucket is found by organization and name", func(s *suite) {
		b := s.bucket(s.OrgID)
		named := "&name=" + escaped(b.Name)
		require.Equal(s.T, []string{b.ID}, s.listed(s.OperatorToken, "buckets", "?orgID="+s.OrgID+named))
		require.Equal(s.T, []string{b.ID}, s.listed(s.OperatorToken, "buckets", "?org="+escaped(s.Org)+named))
		blind := s.token(s.OrgID, s.UserID, InOrg("read", "views", s.OrgID)).Token
		require.Empty(s.T, s.listed(blind, "buckets", "?orgID="+s.OrgID+named))
		for _, orgID := range []string{s.org().ID, unknownID} {
			for _, token := range []string{s.OperatorToken, blind} {
				s.call("GET", "/api/v2/buckets?orgID="+orgID+named, token, nil).fails(404, "not found", `bucket "`+b.Name+`" not found`)
			}
		}
	}},
	{"a bucket's name alone finds those of all organizations", func(s *suite) {
		here := s.bucket(s.OrgID)
		there := s.bucketNamed(s.org().ID, here.Name)
		found := s.listed(s.OperatorToken, "buckets", "?name="+escaped(here.Name))
		require.ElementsMatch(s.T, []string{here.ID, there.ID}, found)
		require.Empty(s.T, s.listed(s.OperatorToken, "buckets", "?name="+escaped(uniqueName("bucket"))))
	}},
	{"a bucket is read by its ID, existence first", func(s *suite) {
		b := s.bucket(s.OrgID)
		var got bucketAnswer
		s.operator("GET", "/api/v2/buckets/"+b.ID, nil).is(200).into(&got)
		require.Equal(s.T, []string{b.ID, s.OrgID, b.Name, "user"}, []string{got.ID, got.OrgID, got.Name, got.Type})
		blind := s.token(s.OrgID, s.UserID, InOrg("read", "views", s.OrgID)).Token
		s.call("GET", "/api/v2/buckets/"+b.ID, blind, nil).lacks(InOrgByID("read", "buckets", b.ID, s.OrgID))
		s.call("GET", "/api/v2/buckets/"+unknownID, blind, nil).fails(404, "not found", "bucket not found")
	}},
	{"a system bucket is read with the right to read the organization", func(s *suite) {
		for _, name := range []string{"_monitoring", "_tasks"} {
			query := "?orgID=" + s.OrgID + "&name=" + name
			orgs := s.token(s.OrgID, s.UserID, ByID("read", "orgs", s.OrgID)).Token
			require.Len(s.T, s.listed(orgs, "buckets", query), 1)
			buckets := s.token(s.OrgID, s.UserID, InOrg("read", "buckets", s.OrgID)).Token
			require.Empty(s.T, s.listed(buckets, "buckets", query))
		}
	}},
	{"a page of buckets is cut before rights are looked at", func(s *suite) {
		org := s.org()
		s.bucketNamed(org.ID, "a")
		b := s.bucketNamed(org.ID, "b")
		token := s.token(org.ID, s.UserID, InOrgByID("read", "buckets", b.ID, org.ID)).Token
		require.Equal(s.T, []string{b.ID}, s.listed(token, "buckets", "?orgID="+org.ID))
		first := s.listed(token, "buckets", "?limit=1&orgID="+org.ID)
		second := s.listed(token, "buckets", "?limit=1&offset=3&orgID="+org.ID)
		require.Empty(s.T, first)
		require.Equal(s.T, []string{b.ID}, second)
	}},
}

// listed are the IDs in a list of orgs, users, buckets or authorizations; the answer must be a 200.
func (s *suite) listed(token, kind, query string) []string {
	s.Helper()
	var whole map[string]json.RawMessage
	s.call("GET", "/api/v2/"+kind+query, token, nil).is(200).into(&whole)
	require.True(s.T, strings.HasPrefix(string(whole[kind]), "["), "an empty list is [], not null")
	var entries []struct {
		ID string `json:"id"`
	}
	require.NoError(s.T, json.Unmarshal(whole[kind], &entries))
	found := make([]string, 0, len(entries))
	for _, e := range entries {
		found = append(found, e.ID)
	}
	return found
}

func escaped(text string) string { return url.QueryEscape(text) }
