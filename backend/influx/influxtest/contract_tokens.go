package influxtest

import (
	"sync"

	"github.com/stretchr/testify/require"
)

var listClauses = []clause{
	{"the least root makes and deletes tokens and sees none", leastRoot},
	{"list shows what the caller may read, of token and owner", listVisibility},
	{"list filters by organization, user and ID", listFilters},
	{"list has no pages and does not search by value", func(s *suite) {
		org := s.org()
		for range 3 {
			s.token(org.ID, s.UserID, InOrg("read", "views", org.ID))
		}
		for _, ignored := range []string{"&limit=1", "&offset=2", "&limit=x", "&token=unknown"} {
			require.Len(s.T, s.list(s.OperatorToken, "?orgID="+org.ID+ignored), 3, ignored)
		}
	}},
	{"list and get tell a value only where tokens are not hashed", func(s *suite) {
		a := s.token(s.OrgID, s.UserID, InOrg("read", "views", s.OrgID))
		want := a.Token
		if s.HashedTokens {
			want = ""
		}
		for _, path := range []string{"?id=" + a.ID, "?orgID=" + s.OrgID} {
			for _, listed := range s.list(s.OperatorToken, path) {
				if listed.ID == a.ID {
					require.Equal(s.T, want, listed.Token)
				}
			}
		}
		require.Equal(s.T, want, s.reread(a).Token)
	}},
	{"get answers what create answered", func(s *suite) {
		made := s.token(s.OrgID, s.UserID, InOrg("read", "views", s.OrgID))
		got := s.reread(made)
		made.Token = got.Token
		// Times may come back from storage in another zone, or finer.
		require.WithinDuration(s.T, made.CreatedAt, got.CreatedAt, 0)
		made.CreatedAt, made.UpdatedAt = got.CreatedAt, got.UpdatedAt
		require.Equal(s.T, made, got)
	}},
	{"get takes the right to read the token and its owner", func(s *suite) {
		a := s.token(s.OrgID, s.UserID, InOrg("read", "views", s.OrgID))
		token := s.token(s.OrgID, s.UserID, InOrg("read", "authorizations", s.OrgID)).Token
		s.call("GET", tokenPath(a), a.Token, nil).lacks(InOrgByID("read", "authorizations", a.ID, s.OrgID))
		s.call("GET", tokenPath(a), token, nil).lacks(ByID("read", "users", s.UserID))
	}},
	{"an unknown ID and a malformed one are two errors", func(s *suite) {
		for _, method := range []string{"GET", "PATCH", "DELETE"} {
			s.operator(method, "/api/v2/authorizations/"+unknownID, "{}").fails(404, "not found", "authorization not found")
			s.operator(method, "/api/v2/authorizations/x", "{}").fails(400, "invalid", "id must have a length of 16 bytes")
			s.operator(method, "/api/v2/authorizations/zzzzzzzzzzzzzzzz", "{}").fails(400, "invalid", "invalid ID")
		}
	}},
}

func leastRoot(s *suite) {
	view := InOrg("read", "views", s.OrgID)
	root := s.token(s.OrgID, s.UserID, append(MintingPermissions(s.OrgID, s.UserID), view)...)
	a := s.mint(root.Token, tokenRequest{OrgID: s.OrgID, Permissions: []Permission{view}})
	require.Empty(s.T, s.list(root.Token, ""))
	require.Empty(s.T, s.list(root.Token, "?id="+a.ID))
	s.call("GET", tokenPath(a), root.Token, nil).is(401)
	s.call("DELETE", tokenPath(a), root.Token, nil).is(204)
	s.call("DELETE", tokenPath(a), root.Token, nil).fails(404, "not found", "authorization not found")
}

func listVisibility(s *suite) {
	org, owner := s.org(), s.user()
	mine := s.token(org.ID, s.UserID, InOrg("read", "views", org.ID))
	others := s.token(org.ID, owner.ID, InOrg("read", "views", org.ID))
	s.token(s.OrgID, s.UserID, InOrg("read", "views", s.OrgID))

	tokensOnly := s.token(s.OrgID, s.UserID, Everywhere("read", "authorizations"))
	require.Empty(s.T, s.list(tokensOnly.Token, ""))
	seer := s.token(org.ID, s.UserID, InOrg("read", "authorizations", org.ID), ByID("read", "users", s.UserID))
	require.Equal(s.T, []string{mine.ID, seer.ID}, ids(s.list(seer.Token, "")))
	require.Subset(s.T, ids(s.list(s.OperatorToken, "")), []string{mine.ID, others.ID, seer.ID})
}

func listFilters(s *suite) {
	org, owner := s.org(), s.user()
	one := s.token(org.ID, s.UserID, InOrg("read", "views", org.ID))
	two := s.token(org.ID, owner.ID, InOrg("read", "views", org.ID))
	three := s.token(s.OrgID, owner.ID, InOrg("read", "views", s.OrgID))
	for query, want := range map[string][]authorizationAnswer{
		"?orgID=" + org.ID:                         {one, two},
		"?org=" + escaped(org.Name):                {one, two},
		"?userID=" + owner.ID:                      {two, three},
		"?user=" + escaped(owner.Name):             {two, three},
		"?orgID=" + org.ID + "&userID=" + owner.ID: {two},
		"?orgID=" + org.ID + "&id=" + three.ID:     {three}, // id goes before all else
		"?orgID=" + org.ID + "&org=unknown":        {one, two},
		"?orgID=" + unknownID:                      {},
		"?userID=" + unknownID:                     {},
	} {
		expected := make([]string, 0, len(want))
		for _, a := range want {
			expected = append(expected, a.ID)
		}
		require.Equal(s.T, expected, ids(s.list(s.OperatorToken, query)), query)
	}
	const path = "/api/v2/authorizations"
	s.operator("GET", path+"?org=unknown", nil).fails(404, "not found", `organization name "unknown" not found`)
	s.operator("GET", path+"?user=unknown", nil).fails(404, "not found", "user not found")
	s.operator("GET", path+"?id="+unknownID, nil).fails(404, "not found", "authorization not found")
	s.operator("GET", path+"?orgID=x", nil).fails(400, "invalid", "id must have a length of 16 bytes")
}

var changeClauses = []clause{
	{"patch changes status and description and nothing else", patchChanges},
	{"patch refuses a status it does not know", func(s *suite) {
		a := s.token(s.OrgID, s.UserID, InOrg("read", "views", s.OrgID))
		// 2.9 puts "encodeAuthorization: " before the message, 2.7 does not.
		message := s.operator("PATCH", tokenPath(a), `{"status":"paused"}`).errorIs(400, "invalid")
		require.Contains(s.T, message, "unknown authorization status")
		require.Equal(s.T, "active", s.reread(a).Status)
		s.operator("PATCH", tokenPath(a), `{`).errorIs(500, "internal error")
	}},
	{"patch takes the right to read and to write", func(s *suite) {
		a := s.token(s.OrgID, s.UserID, InOrg("read", "views", s.OrgID))
		writer := s.token(s.OrgID, s.UserID, MintingPermissions(s.OrgID, s.UserID)...)
		s.call("PATCH", tokenPath(a), writer.Token, "{}").lacks(InOrgByID("read", "authorizations", a.ID, s.OrgID))
		reader := s.token(s.OrgID, s.UserID, InOrg("read", "authorizations", s.OrgID), ByID("read", "users", s.UserID))
		s.call("PATCH", tokenPath(a), reader.Token, "{}").lacks(InOrgByID("write", "authorizations", a.ID, s.OrgID))
	}},
	{"delete answers 204 once, then 404, and works at once", func(s *suite) {
		a := s.token(s.OrgID, s.UserID, ByID("read", "users", s.UserID))
		s.call("GET", "/api/v2/me", a.Token, nil).is(200)
		require.Empty(s.T, s.operator("DELETE", tokenPath(a), nil).is(204).body)
		s.call("GET", "/api/v2/me", a.Token, nil).fails(401, "unauthorized", "unauthorized access")
		s.operator("DELETE", tokenPath(a), nil).fails(404, "not found", "authorization not found")
		s.operator("GET", tokenPath(a), nil).fails(404, "not found", "authorization not found")
		require.NotContains(s.T, ids(s.list(s.OperatorToken, "?orgID="+s.OrgID)), a.ID)
	}},
	{"delete takes the right to write the token and its owner", func(s *suite) {
		a := s.token(s.OrgID, s.UserID, InOrg("read", "views", s.OrgID))
		s.call("DELETE", tokenPath(a), a.Token, nil).lacks(InOrgByID("write", "authorizations", a.ID, s.OrgID))
		half := s.token(s.OrgID, s.UserID, InOrg("write", "authorizations", s.OrgID))
		s.call("DELETE", tokenPath(a), half.Token, nil).lacks(ByID("write", "users", s.UserID))
		// What does not exist is said to anybody, so this 404 holds whatever the root token may do.
		s.call("DELETE", "/api/v2/authorizations/"+unknownID, a.Token, nil).fails(404, "not found", "authorization not found")
	}},
	{"a token can delete itself", func(s *suite) {
		root := s.token(s.OrgID, s.UserID, MintingPermissions(s.OrgID, s.UserID)...)
		s.call("DELETE", tokenPath(root), root.Token, nil).is(204)
		s.call("DELETE", tokenPath(root), root.Token, nil).fails(401, "unauthorized", "unauthorized access")
	}},
	{"of many deletes at once one answers 204", func(s *suite) {
		a := s.token(s.OrgID, s.UserID, InOrg("read", "views", s.OrgID))
		counts := map[int]int{}
		var lock sync.Mutex
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				status := s.operator("DELETE", tokenPath(a), nil).status
				lock.Lock()
				defer lock.Unlock()
				counts[status]++
			})
		}
		all.Wait()
		require.Equal(s.T, map[int]int{204: 1, 404: 7}, counts)
	}},
}

func patchChanges(s *suite) {
	a := s.token(s.OrgID, s.UserID, InOrg("read", "views", s.OrgID))
	var answer authorizationAnswer
	s.operator("PATCH", tokenPath(a), `{"status":"inactive","description":"new","orgID":"x","token":"mine",
		"permissions":[{"action":"write","resource":{"type":"buckets"}}]}`).is(200).into(&answer)
	require.Equal(s.T, a.ID, answer.ID)
	require.Equal(s.T, "inactive", answer.Status)
	for range 2 {
		now := s.reread(a)
		require.Equal(s.T, "inactive", now.Status)
		require.Equal(s.T, "new", now.Description)
		require.Equal(s.T, a.Permissions, now.Permissions)
		require.Equal(s.T, s.OrgID, now.OrgID)
		s.operator("PATCH", tokenPath(a), `{}`).is(200)
	}
}

var orphanClauses = []clause{
	{"a token whose owner was deleted is hidden, and can be deleted", func(s *suite) {
		owner := s.user()
		a := s.token(s.OrgID, owner.ID, InOrg("read", "views", s.OrgID))
		s.delete("/api/v2/users/" + owner.ID)
		require.NotContains(s.T, ids(s.list(s.OperatorToken, "?orgID="+s.OrgID)), a.ID)
		require.Empty(s.T, s.list(s.OperatorToken, "?id="+a.ID))
		s.operator("GET", tokenPath(a), nil).fails(404, "not found", "user not found")
		root := s.token(s.OrgID, s.UserID, MintingPermissions(s.OrgID, s.UserID)...)
		s.call("DELETE", tokenPath(a), root.Token, nil).lacks(ByID("write", "users", owner.ID))
		s.operator("DELETE", tokenPath(a), nil).is(204)
	}},
	{"a token whose organization was deleted is hidden, lives, and can be deleted", func(s *suite) {
		org := s.org()
		b := s.bucket(org.ID)
		a := s.token(org.ID, s.UserID, InOrg("read", "buckets", org.ID), ByID("read", "users", s.UserID))
		s.delete("/api/v2/orgs/" + org.ID)
		require.Empty(s.T, s.list(s.OperatorToken, "?orgID="+org.ID))
		s.operator("GET", tokenPath(a), nil).fails(404, "not found", "organization not found")
		s.call("GET", "/api/v2/me", a.Token, nil).is(200)
		require.Empty(s.T, s.listed(a.Token, "buckets", "?orgID="+org.ID))
		s.call("GET", "/api/v2/buckets/"+b.ID, a.Token, nil).fails(404, "not found", "bucket not found")
		s.operator("DELETE", tokenPath(a), nil).is(204)
	}},
	{"a token whose bucket was deleted stays as it was", func(s *suite) {
		b := s.bucket(s.OrgID)
		a := s.token(s.OrgID, s.UserID, InOrgByID("read", "buckets", b.ID, s.OrgID))
		s.delete("/api/v2/buckets/" + b.ID)
		now := s.reread(a)
		require.Equal(s.T, []Permission{InOrgByID("read", "buckets", b.ID, s.OrgID)}, plain(now.Permissions))
		require.Equal(s.T, [][2]string{{"", ""}}, names(now))
		again := s.bucketNamed(s.OrgID, b.Name)
		require.NotEqual(s.T, b.ID, again.ID)
	}},
	{"a token whose owner is inactive is still shown", func(s *suite) {
		owner := s.user()
		a := s.token(s.OrgID, owner.ID, InOrg("read", "views", s.OrgID))
		s.setStatus("/api/v2/users/"+owner.ID, "inactive")
		require.Equal(s.T, []string{a.ID}, ids(s.list(s.OperatorToken, "?userID="+owner.ID)))
		s.operator("DELETE", tokenPath(a), nil).is(204)
	}},
}
