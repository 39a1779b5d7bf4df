package influxtest

import (
	"encoding/json"
	"net/http"
	"strings"
)

// setUp makes what New promises, as POST /api/v2/setup does (measured; tenant/service_onboarding.go).
func (s *Server) setUp() {
	s.userID = s.AddUser(UserName)
	s.orgID = s.AddOrg(OrgName)
	s.bucketID = s.AddBucket(s.orgID, BucketName)
	root := s.store.addToken(&authorization{
		description: UserName + "'s Token", orgID: s.orgID, userID: s.userID, permissions: s.rootPermissions(s.orgID, s.userID),
	})
	s.rootID = root.id
	if s.rootValue != "" {
		s.store.revalue(root, s.rootValue)
	}
}

// setupRequest is the body of POST /api/v2/setup (onboarding.go).
type setupRequest struct {
	Username, Password, Org, Bucket, Token string

	RetentionPeriodSeconds int64
}

// setup is GET and POST /api/v2/setup, which take no token.
func (s *Server) setup(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Method == http.MethodGet {
		writeJSON(w, http.StatusOK, map[string]bool{"allowed": s.fresh})
		return
	}
	var request setupRequest
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		writeError(w, failure(invalid, "invalid json structure: %v", err))
		return
	}
	answer, err := s.onboard(request)
	if err != nil {
		writeError(w, err)
		return
	}
	writeJSON(w, http.StatusCreated, answer)
}

// onboard makes the first user, organization, bucket and token. Nothing is left half done here; influxd leaves
// itself unusable when the bucket's retention is below an hour (measured).
func (s *Server) onboard(request setupRequest) (map[string]any, error) {
	if !s.fresh {
		return nil, failure(conflict, "onboarding has already been completed")
	}
	var missing []string
	for _, field := range []struct{ name, value string }{
		{"username", request.Username}, {"org", request.Org}, {"bucket", request.Bucket},
	} {
		if field.value == "" {
			missing = append(missing, field.name)
		}
	}
	if len(missing) > 0 {
		return nil, failure(unprocessable, "onboarding failed: missing required fields [%s]", strings.Join(missing, ","))
	}
	if length := len(request.Password); length > 0 && (length < 8 || length > 72) {
		return nil, failure(invalid, "passwords must be between 8 and 72 characters long")
	}
	s.fresh = false
	owner, err := s.store.addUser(request.Username, active)
	if err != nil {
		return nil, err
	}
	org, err := s.store.addOrg(request.Org, owner.id)
	if err != nil {
		return nil, err
	}
	first, err := s.store.addBucket(org.id, request.Bucket)
	if err != nil {
		return nil, err
	}
	root := s.store.addToken(&authorization{
		description: request.Username + "'s Token", orgID: org.id, userID: owner.id, permissions: OperatorPermissions(),
	})
	if request.Token != "" {
		s.store.revalue(root, request.Token)
	}
	s.userID, s.orgID, s.bucketID, s.rootID = owner.id, org.id, first.id, root.id
	return map[string]any{
		"user":   map[string]string{"id": owner.id, "name": owner.name, "status": active},
		"org":    map[string]string{"id": org.id, "name": org.name},
		"bucket": map[string]string{"id": first.id, "name": first.name, "orgID": org.id},
		"auth": map[string]any{
			"id": root.id, "token": root.token, "status": active, "description": root.description,
			"orgID": org.id, "org": org.name, "userID": owner.id, "user": owner.name,
			"permissions": root.permissions,
		},
	}, nil
}

// revalue gives an authorization the value that its maker chose.
func (s *store) revalue(a *authorization, token string) {
	delete(s.byToken, a.token)
	a.token = token
	s.byToken[token] = a.id
	s.issued[len(s.issued)-1] = token
}
