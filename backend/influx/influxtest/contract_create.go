package influxtest

import (
	"fmt"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
)

var createClauses = []clause{
	{"create answers the authorization with its value", createAnswer},
	{"create refuses a body it cannot read or use", createErrors},
	{"create ignores what it does not know, a token value too", func(s *suite) {
		a := s.mint(s.OperatorToken, fmt.Sprintf(`{"id":%q,"token":"mine","org":"x","user":"y","expiresAt":1,"orgID":%q,
			"permissions":[{"action":"read","resource":{"type":"views","orgID":%q}}]}`, unknownID, s.OrgID, s.OrgID))
		require.NotEqual(s.T, unknownID, a.ID)
		require.NotEqual(s.T, "mine", a.Token)
		require.Equal(s.T, s.Org, a.Org)
	}},
	{"create makes an inactive token when asked", func(s *suite) {
		w := tokenRequest{Status: "inactive", OrgID: s.OrgID, Permissions: []Permission{InOrg("read", "views", s.OrgID)}}
		a := s.mint(s.OperatorToken, w)
		require.Equal(s.T, "inactive", a.Status)
	}},
	{"create takes an ID in capitals and answers small letters", func(s *suite) {
		upper := strings.ToUpper(s.OrgID)
		a := s.token(upper, strings.ToUpper(s.UserID), InOrg("read", "views", upper))
		require.Equal(s.T, s.OrgID, a.OrgID)
		require.Equal(s.T, s.OrgID, a.Permissions[0].Resource.OrgID)
	}},
	{"create keeps the description, the permissions' order and duplicates", func(s *suite) {
		read, write := InOrg("read", "views", s.OrgID), InOrg("write", "views", s.OrgID)
		w := tokenRequest{OrgID: s.OrgID, Permissions: []Permission{write, read, write},
			Description: "Räd \"x\" <y>\n [vault:v1:2b8e:lease:app:Qx7:1764000000]"}
		a := s.mint(s.OperatorToken, w)
		require.Equal(s.T, w.Description, a.Description)
		require.Equal(s.T, w.Permissions, plain(a.Permissions))
	}},
	{"create makes another one each time", func(s *suite) {
		w := tokenRequest{OrgID: s.OrgID, Description: "the same", Permissions: []Permission{InOrg("read", "views", s.OrgID)}}
		one, two := s.mint(s.OperatorToken, w), s.mint(s.OperatorToken, w)
		require.NotEqual(s.T, one.ID, two.ID)
		require.NotEqual(s.T, one.Token, two.Token)
	}},
	{"the owner is the caller's unless another is named", func(s *suite) {
		owner := s.user()
		root := s.token(s.OrgID, owner.ID, append(MintingPermissions(s.OrgID, owner.ID), InOrg("read", "views", s.OrgID))...)
		w := tokenRequest{OrgID: s.OrgID, Permissions: []Permission{InOrg("read", "views", s.OrgID)}}
		require.Equal(s.T, owner.ID, s.mint(root.Token, w).UserID)

		w.UserID = s.UserID
		s.call("POST", "/api/v2/authorizations", root.Token, w).lacks(ByID("write", "users", s.UserID))
		require.Equal(s.T, s.UserID, s.mint(s.OperatorToken, w).UserID)
	}},
	{"create takes the right to write authorizations of the organization", func(s *suite) {
		org := s.org()
		root := s.token(s.OrgID, s.UserID, append(MintingPermissions(s.OrgID, s.UserID), Everywhere("read", "views"))...)
		for _, orgID := range []string{org.ID, unknownID} {
			w := tokenRequest{OrgID: orgID, Permissions: []Permission{InOrg("read", "views", orgID)}}
			s.call("POST", "/api/v2/authorizations", root.Token, w).lacks(InOrg("write", "authorizations", orgID))
		}
	}},
	{"a right to write users of an organization is no right", func(s *suite) {
		view := InOrg("read", "views", s.OrgID)
		root := s.token(s.OrgID, s.UserID, InOrg("write", "authorizations", s.OrgID), InOrg("write", "users", s.OrgID), view)
		s.call("POST", "/api/v2/authorizations", root.Token, tokenRequest{OrgID: s.OrgID, Permissions: []Permission{view}}).
			lacks(ByID("write", "users", s.UserID))
	}},
}

func createAnswer(s *suite) {
	before := time.Now().Add(-time.Minute)
	a := s.token(s.OrgID, s.UserID, InOrg("read", "buckets", s.OrgID))
	require.Regexp(s.T, `^[0-9a-f]{16}$`, a.ID)
	require.Regexp(s.T, `^[A-Za-z0-9_-]{86}==$`, a.Token)
	require.Equal(s.T, "active", a.Status)
	require.Empty(s.T, a.Description)
	require.Equal(s.T, s.OrgID, a.OrgID)
	require.Equal(s.T, s.Org, a.Org)
	require.Equal(s.T, s.UserID, a.UserID)
	require.Equal(s.T, s.User, a.User)
	require.Equal(s.T, []Permission{InOrg("read", "buckets", s.OrgID)}, plain(a.Permissions))
	require.Equal(s.T, map[string]string{"self": tokenPath(a), "user": "/api/v2/users/" + s.UserID}, a.Links)
	require.WithinRange(s.T, a.CreatedAt, before, time.Now().Add(time.Minute))
	require.Equal(s.T, a.CreatedAt, a.UpdatedAt)
}

func createErrors(s *suite) {
	const (
		badLength = "invalid json structure: id must have a length of 16 bytes"
		badID     = "invalid json structure: invalid ID"
		badType   = "invalid resource type for permission: unknown resource type for permission"
		badAction = "invalid action type for permission: unknown action for permission"
		badStatus = "invalid status: must be active or inactive"
	)
	org := s.org()
	for body, message := range map[string]string{
		``:                                  "invalid json structure: EOF",
		`{`:                                 "invalid json structure: unexpected EOF",
		`{"orgID":ORG}`:                     "authorization must include permissions",
		`{"orgID":ORG,"permissions":[]}`:    "authorization must include permissions",
		`{"permissions":[VIEW]}`:            "org id required: invalid ID",
		`{"orgID":"","permissions":[VIEW]}`: badLength,
		`{"orgID":"04f061","permissions":[VIEW]}`:                                                 badLength,
		`{"orgID":"zzzzzzzzzzzzzzzz","permissions":[VIEW]}`:                                       badID,
		`{"orgID":"0000000000000000","permissions":[VIEW]}`:                                       badID,
		`{"orgID":ORG,"userID":"x","permissions":[VIEW]}`:                                         badLength,
		`{"orgID":ORG,"permissions":[{"action":"read","resource":{"type":"views","id":""}}]}`:     badLength,
		`{"orgID":ORG,"permissions":[{"action":"read","resource":{"type":"views","orgID":"x"}}]}`: badLength,
		`{"orgID":"0000000000000001","permissions":[EVERYVIEW]}`:                                  "unable to create token",
		`{"orgID":ORG,"userID":"0000000000000001","permissions":[VIEW]}`:                          "unable to create token",
		`{"orgID":ORG,"permissions":[{"action":"read","resource":{"type":"metrics"}}]}`:           badType,
		`{"orgID":ORG,"permissions":[{"action":"read","resource":{}}]}`:                           badType,
		`{"orgID":ORG,"permissions":[{"action":"execute","resource":{"type":"views"}}]}`:          badAction,
		`{"orgID":ORG,"permissions":[{"resource":{"type":"views"}}]}`:                             badAction,
		`{"orgID":ORG,"status":"paused","permissions":[VIEW]}`:                                    badStatus,
		`{"orgID":OTHER,"permissions":[VIEW]}`: fmt.Sprintf(
			"permission read:orgs/%s/views is not for org id %s", s.OrgID, org.ID),
	} {
		sent := strings.NewReplacer(
			"EVERYVIEW", `{"action":"read","resource":{"type":"views"}}`,
			"VIEW", `{"action":"read","resource":{"type":"views","orgID":ORG}}`).Replace(body)
		sent = strings.NewReplacer("ORG", `"`+s.OrgID+`"`, "OTHER", `"`+org.ID+`"`).Replace(sent)
		r := s.operator("POST", "/api/v2/authorizations", sent)
		r.about += " " + sent
		r.fails(400, "invalid", message)
	}
	// The rest of the message is Go's, with the names of InfluxDB's own types.
	message := s.operator("POST", "/api/v2/authorizations", `{"orgID":5}`).errorIs(400, "invalid")
	require.Contains(s.T, message, "invalid json structure: ")
}

// plain is permissions without the names that the server adds.
func plain(answers []permissionAnswer) []Permission {
	permissions := make([]Permission, 0, len(answers))
	for _, a := range answers {
		permissions = append(permissions, Permission{a.Action, a.Resource.Resource})
	}
	return permissions
}
