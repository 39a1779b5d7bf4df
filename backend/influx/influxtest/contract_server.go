package influxtest

import (
	"strings"

	"github.com/stretchr/testify/require"
)

var serverClauses = []clause{
	{"ping answers 204 without a token", func(s *suite) {
		require.Empty(s.T, s.call("GET", "/ping", "", nil).is(204).body)
		s.call("HEAD", "/ping", "", nil).is(204)
	}},
	{"health answers 200 without a token", func(s *suite) {
		var health struct{ Name, Status, Version string }
		s.call("GET", "/health", "", nil).is(200).into(&health)
		require.Equal(s.T, "influxdb", health.Name)
		require.Equal(s.T, "pass", health.Status)
		require.Equal(s.T, s.Version, health.Version)
	}},
	{"setup is closed", func(s *suite) {
		require.JSONEq(s.T, `{"allowed":false}`, s.call("GET", "/api/v2/setup", "", nil).is(200).body)
		s.call("POST", "/api/v2/setup", "", map[string]string{"username": "u", "org": "o", "bucket": "b"}).
			fails(422, "conflict", "onboarding has already been completed")
	}},
	{"every answer names version and build", everyAnswerNamesVersion},
	{"an error is a code and a message and nothing else", errorShape},
	{"an unknown path answers 404 path not found", unknownPath},
	{"a wrong method answers 405 with an empty body", func(s *suite) {
		require.Empty(s.T, s.operator("PUT", "/api/v2/authorizations", nil).is(405).body)
		require.Empty(s.T, s.operator("POST", "/api/v2/authorizations/"+unknownID, nil).is(405).body)
	}},
	{"resources lists the types for any token", func(s *suite) {
		token := s.token(s.OrgID, s.UserID, InOrg("read", "views", s.OrgID)).Token
		var types []string
		s.call("GET", "/api/v2/resources", token, nil).is(200).into(&types)
		require.Equal(s.T, ResourceTypes(), types)
		s.call("GET", "/api/v2/resources", "", nil).is(401)
	}},
}

func everyAnswerNamesVersion(s *suite) {
	for _, r := range []response{
		s.call("GET", "/ping", "", nil),
		s.call("GET", "/health", "", nil),
		s.call("GET", "/api/v2/me", "", nil),
		s.operator("GET", "/api/v2/me", nil),
		s.operator("GET", "/api/v2/nowhere", nil),
		s.operator("PUT", "/api/v2/me", nil),
	} {
		require.Equal(s.T, s.Version, r.header.Get("X-Influxdb-Version"), r.about)
		require.Equal(s.T, "OSS", r.header.Get("X-Influxdb-Build"), r.about)
	}
}

func errorShape(s *suite) {
	handler := s.operator("GET", "/api/v2/authorizations/"+unknownID, nil).is(404)
	require.Equal(s.T, "{\n\t\"code\": \"not found\",\n\t\"message\": \"authorization not found\"\n}", handler.body)
	middleware := s.call("GET", "/api/v2/me", "", nil).is(401)
	require.Equal(s.T, `{"code":"unauthorized","message":"unauthorized access"}`, middleware.body)
	for _, r := range []response{handler, middleware} {
		require.Equal(s.T, "application/json; charset=utf-8", r.header.Get("Content-Type"))
	}
}

// Only "authorization not found" means that a token is gone. A wrong base path answers a 404 in JSON as well, and
// one below a known path a 404 in plain text.
func unknownPath(s *suite) {
	s.operator("GET", "/api/v2/nowhere", nil).fails(404, "not found", "path not found")
	s.operator("DELETE", "/api/v2/api/v2/authorizations/"+unknownID, nil).fails(404, "not found", "path not found")
	s.call("GET", "/api/v2/nowhere", "", nil).fails(401, "unauthorized", "unauthorized access")
	below := s.operator("DELETE", "/api/v2/authorizations/"+unknownID+"/below", nil).is(404)
	require.False(s.T, strings.Contains(below.body, "authorization not found"), below.body)
}

var authenticationClauses = []clause{
	{"a missing, unknown or badly sent token is 401 unauthorized access", func(s *suite) {
		for _, token := range []string{
			"", "unknown", "Token unknown", "Bearer unknown", "Basic " + s.OperatorToken, "Token  " + s.OperatorToken,
			"Token " + s.OperatorToken + "x", "Token " + strings.ToUpper(s.OperatorToken) + "X",
		} {
			s.call("GET", "/api/v2/me", token, nil).fails(401, "unauthorized", "unauthorized access")
			s.call("GET", "/api/v2/buckets", token, nil).fails(401, "unauthorized", "unauthorized access")
		}
	}},
	{"Token and Bearer work in any case", func(s *suite) {
		for _, scheme := range []string{"Token", "token", "TOKEN", "Bearer", "bearer"} {
			s.call("GET", "/api/v2/me", scheme+" "+s.OperatorToken, nil).is(200)
		}
	}},
	{"me answers the owner of the token", func(s *suite) {
		owner := s.user()
		token := s.token(s.OrgID, owner.ID, ByID("read", "users", owner.ID))
		var me userAnswer
		s.call("GET", "/api/v2/me", token.Token, nil).is(200).into(&me)
		require.Equal(s.T, owner, me)
		require.Equal(s.T, "active", me.Status)
	}},
	{"a missing permission is 401 and names it", func(s *suite) {
		token := s.token(s.OrgID, s.UserID, InOrg("read", "views", s.OrgID)).Token
		s.call("GET", "/api/v2/me", token, nil).lacks(ByID("read", "users", s.UserID))
		s.call("GET", "/api/v2/orgs/"+s.OrgID, token, nil).lacks(ByID("read", "orgs", s.OrgID))
	}},
	{"an inactive token is 401 token is inactive", inactiveToken},
	{"an inactive token gets empty lists with 200", func(s *suite) {
		token := s.token(s.OrgID, s.UserID, OperatorPermissions()...)
		s.setStatus(tokenPath(token), "inactive")
		for _, kind := range []string{"authorizations", "buckets", "orgs", "users"} {
			require.Empty(s.T, s.listed(token.Token, kind, ""), kind)
		}
	}},
	{"an inactive owner is 403 User is inactive", func(s *suite) {
		owner := s.user()
		token := s.token(s.OrgID, owner.ID, ByID("read", "users", owner.ID)).Token
		s.setStatus("/api/v2/users/"+owner.ID, "inactive")
		for _, path := range []string{"me", "buckets", "nowhere"} {
			s.call("GET", "/api/v2/"+path, token, nil).fails(403, "forbidden", "User is inactive")
		}
		s.setStatus("/api/v2/users/"+owner.ID, "active")
		s.call("GET", "/api/v2/me", token, nil).is(200)
	}},
	{"a deleted owner is 403 User is inactive", func(s *suite) {
		owner := s.user()
		token := s.token(s.OrgID, owner.ID, ByID("read", "users", owner.ID)).Token
		s.delete("/api/v2/users/" + owner.ID)
		s.call("GET", "/api/v2/me", token, nil).fails(403, "forbidden", "User is inactive")
	}},
}

func inactiveToken(s *suite) {
	token := s.token(s.OrgID, s.UserID, OperatorPermissions()...)
	other := s.token(s.OrgID, s.UserID, InOrg("read", "views", s.OrgID))
	s.setStatus(tokenPath(token), "inactive")
	more := tokenRequest{OrgID: s.OrgID, Permissions: []Permission{InOrg("read", "views", s.OrgID)}}
	for _, r := range []response{
		s.call("GET", "/api/v2/me", token.Token, nil),
		s.call("GET", "/api/v2/orgs/"+s.OrgID, token.Token, nil),
		s.call("GET", tokenPath(other), token.Token, nil),
		s.call("DELETE", tokenPath(other), token.Token, nil),
		s.call("POST", "/api/v2/authorizations", token.Token, more),
	} {
		r.fails(401, "unauthorized", "token is inactive")
	}
	s.setStatus(tokenPath(token), "active")
	s.call("GET", "/api/v2/me", token.Token, nil).is(200)
}
