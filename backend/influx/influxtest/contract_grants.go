package influxtest

import (
	"fmt"

	"github.com/stretchr/testify/require"
)

var grantClauses = []clause{
	{"a name in a permission is dropped and grants every bucket everywhere", nameIsDropped},
	{"a permission without IDs is for every organization", func(s *suite) {
		elsewhere := s.bucket(s.org().ID)
		token := s.token(s.OrgID, s.UserID, Everywhere("read", "buckets"))
		s.call("GET", "/api/v2/buckets/"+elsewhere.ID, token.Token, nil).is(200)
	}},
	{"nobody can grant what it does not hold", func(s *suite) {
		root := s.token(s.OrgID, s.UserID, append(MintingPermissions(s.OrgID, s.UserID), InOrg("read", "buckets", s.OrgID))...)
		for _, p := range []Permission{
			InOrg("write", "buckets", s.OrgID), Everywhere("read", "buckets"), InOrg("read", "tasks", s.OrgID),
			ByID("read", "buckets", unknownID), // an ID alone is not covered by the whole organization
		} {
			s.notGranted(root.Token, p)
		}
		s.mint(root.Token, tokenRequest{OrgID: s.OrgID, Permissions: []Permission{InOrgByID("read", "buckets", unknownID, s.OrgID)}})
	}},
	{"a permission for one bucket grants that one only", func(s *suite) {
		mine, other := s.bucket(s.OrgID), s.bucket(s.OrgID)
		held := InOrgByID("read", "buckets", mine.ID, s.OrgID)
		root := s.token(s.OrgID, s.UserID, append(MintingPermissions(s.OrgID, s.UserID), held)...)
		s.notGranted(root.Token, InOrgByID("read", "buckets", other.ID, s.OrgID))
		s.notGranted(root.Token, InOrg("read", "buckets", s.OrgID))
		token := s.mint(root.Token, tokenRequest{OrgID: s.OrgID, Permissions: []Permission{held}}).Token
		s.call("GET", "/api/v2/buckets/"+mine.ID, token, nil).is(200)
		s.call("GET", "/api/v2/buckets/"+other.ID, token, nil).lacks(InOrgByID("read", "buckets", other.ID, s.OrgID))
	}},
	{"a write of nothing tells who may write, and writes nothing", func(s *suite) {
		mine, other := s.bucket(s.OrgID), s.bucket(s.OrgID)
		reader := s.token(s.OrgID, s.UserID, InOrg("read", "buckets", s.OrgID))
		writer := s.token(s.OrgID, s.UserID, InOrgByID("write", "buckets", mine.ID, s.OrgID))
		path := "/api/v2/write?org=" + s.OrgID + "&bucket="
		require.Empty(s.T, s.call("POST", path+mine.ID, writer.Token, nil).is(204).body)
		for token, bucket := range map[string]string{writer.Token: other.ID, reader.Token: mine.ID} {
			s.call("POST", path+bucket, token, nil).fails(403, "forbidden", "insufficient permissions for write")
		}
		s.call("POST", path+unknownID, s.OperatorToken, nil).errorIs(404, "not found")
		s.setStatus(tokenPath(writer), "inactive")
		s.call("POST", path+mine.ID, writer.Token, nil).errorIs(403, "forbidden")
		s.delete(tokenPath(writer))
		s.call("POST", path+mine.ID, writer.Token, nil).fails(401, "unauthorized", "unauthorized access")
	}},
	{"instance is granted to nobody", func(s *suite) {
		s.notGranted(s.OperatorToken, Everywhere("write", "instance"))
	}},
	{"a bucket that does not exist is accepted, without names", func(s *suite) {
		a := s.token(s.OrgID, s.UserID, InOrgByID("read", "buckets", unknownID, s.OrgID))
		require.Empty(s.T, a.Permissions[0].Resource.Name)
		require.Empty(s.T, a.Permissions[0].Resource.Org)
	}},
	{"a bucket of another organization is accepted and can be had", otherOrgsBucket},
	{"the answer names buckets, organizations and users", func(s *suite) {
		b := s.bucket(s.OrgID)
		a := s.token(s.OrgID, s.UserID, InOrgByID("read", "buckets", b.ID, s.OrgID), ByID("read", "orgs", s.OrgID),
			ByID("read", "users", s.UserID), InOrg("read", "tasks", s.OrgID), Everywhere("read", "views"))
		require.Equal(s.T, [][2]string{{b.Name, s.Org}, {s.Org, ""}, {s.User, ""}, {"", s.Org}, {"", ""}}, names(a))
	}},
	{"the answer has a bucket's new name after it was renamed", func(s *suite) {
		b := s.bucket(s.OrgID)
		a := s.token(s.OrgID, s.UserID, InOrgByID("read", "buckets", b.ID, s.OrgID))
		name := uniqueName("bucket")
		s.operator("PATCH", "/api/v2/buckets/"+b.ID, map[string]string{"name": name}).is(200)
		require.Equal(s.T, [][2]string{{name, s.Org}}, names(s.reread(a)))
	}},
	{"orgs and users by organization grant nothing", func(s *suite) {
		token := s.token(s.OrgID, s.UserID, InOrg("read", "orgs", s.OrgID), InOrg("read", "users", s.OrgID)).Token
		s.call("GET", "/api/v2/orgs/"+s.OrgID, token, nil).lacks(ByID("read", "orgs", s.OrgID))
		s.call("GET", "/api/v2/me", token, nil).lacks(ByID("read", "users", s.UserID))
	}},
	{"a right to write a bucket is one to delete it, and with that to read one to rename it", func(s *suite) {
		b := s.bucket(s.OrgID)
		path, rename := "/api/v2/buckets/"+b.ID, map[string]string{"name": uniqueName("bucket")}
		read, write := InOrgByID("read", "buckets", b.ID, s.OrgID), InOrgByID("write", "buckets", b.ID, s.OrgID)
		s.call("PATCH", path, s.token(s.OrgID, s.UserID, read).Token, rename).lacks(write)
		s.call("PATCH", path, s.token(s.OrgID, s.UserID, write).Token, rename).lacks(read)
		s.call("PATCH", path, s.token(s.OrgID, s.UserID, read, write).Token, rename).is(200)
		s.call("DELETE", path, s.token(s.OrgID, s.UserID, write).Token, nil).is(204)
	}},
	{"a token can make a copy of itself", func(s *suite) {
		held := AllAccessPermissions(s.OrgID, s.UserID)
		root := s.token(s.OrgID, s.UserID, held...)
		again := s.mint(root.Token, tokenRequest{OrgID: s.OrgID, UserID: s.UserID, Permissions: held})
		require.Equal(s.T, held, plain(again.Permissions))
	}},
}

// notGranted requires that a token can't make one with this permission. It is the one 403 about permissions.
func (s *suite) notGranted(with string, p Permission) {
	s.Helper()
	s.call("POST", "/api/v2/authorizations", with, tokenRequest{OrgID: s.OrgID, Permissions: []Permission{p}}).
		fails(403, "forbidden", fmt.Sprintf("permission %s is not allowed: %s is unauthorized", p, p))
}

// Whoever sends a name gets far more than asked for, and no error.
func nameIsDropped(s *suite) {
	named, elsewhere := s.bucket(s.OrgID), s.bucket(s.org().ID)
	a := s.mint(s.OperatorToken, fmt.Sprintf(
		`{"orgID":%q,"permissions":[{"action":"read","resource":{"type":"buckets","name":%q,"org":%q}}]}`,
		s.OrgID, named.Name, s.Org))
	require.Equal(s.T, []Permission{Everywhere("read", "buckets")}, plain(a.Permissions))
	require.Equal(s.T, [][2]string{{"", ""}}, names(a))
	s.call("GET", "/api/v2/buckets/"+elsewhere.ID, a.Token, nil).is(200)
}

// InfluxDB compares the organization in a permission with the authorization's own, never with the bucket's.
func otherOrgsBucket(s *suite) {
	elsewhere := s.bucket(s.org().ID)
	root := s.token(s.OrgID, s.UserID, append(MintingPermissions(s.OrgID, s.UserID), InOrg("read", "buckets", s.OrgID))...)
	s.call("GET", "/api/v2/buckets/"+elsewhere.ID, root.Token, nil).is(401)
	a := s.mint(root.Token, tokenRequest{OrgID: s.OrgID, Permissions: []Permission{
		InOrgByID("read", "buckets", elsewhere.ID, s.OrgID)}})
	require.Equal(s.T, [][2]string{{elsewhere.Name, s.Org}}, names(a))
	s.call("GET", "/api/v2/buckets/"+elsewhere.ID, a.Token, nil).is(200)
}

// names are the name and organization that the server added to each permission.
func names(a authorizationAnswer) [][2]string {
	var found [][2]string
	for _, p := range a.Permissions {
		found = append(found, [2]string{p.Resource.Name, p.Resource.Org})
	}
	return found
}
