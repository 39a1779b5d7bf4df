package influxtest

import (
	"maps"
	"slices"
)

// Token is an authorization that the server holds.
type Token struct {
	ID          string
	Token       string // the clear value, also where the server answers none
	Description string
	Status      string // "active" or "inactive"
	OrgID       string
	UserID      string
	Permissions []Permission
}

// Tokens returns the authorizations that exist, orphans and inactive ones too, in the order of their creation.
func (s *Server) Tokens() []Token {
	s.mu.Lock()
	defer s.mu.Unlock()
	tokens := make([]Token, 0, len(s.store.authorizations))
	for _, a := range inOrder(s.store.authorizations) {
		tokens = append(tokens, Token{
			ID: a.id, Token: a.token, Description: a.description, Status: a.status,
			OrgID: a.orgID, UserID: a.userID, Permissions: slices.Clone(a.permissions),
		})
	}
	return tokens
}

// AddOrg makes an organization, of which UserName is a member, and returns its ID.
func (s *Server) AddOrg(name string) string {
	s.t.Helper()
	if s.orgID != "" {
		NotOnCloud(s.t, "its tokens reach one organization")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o, err := s.store.addOrg(name, s.userID)
	s.must(err)
	return o.id
}

// AddUser makes an active user and returns its ID.
func (s *Server) AddUser(name string) string {
	s.t.Helper()
	if s.userID != "" {
		NotOnCloud(s.t, "it looks up no users")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	u, err := s.store.addUser(name, active)
	s.must(err)
	return u.id
}

// AddBucket makes a bucket and returns its ID.
func (s *Server) AddBucket(orgID, name string) string {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.store.addBucket(orgID, name)
	s.must(err)
	return b.id
}

// AddToken makes an active authorization without a description and returns its ID and value. Nothing is checked,
// so that a test can have permissions that no caller would be granted.
func (s *Server) AddToken(orgID, userID string, permissions ...Permission) (id, token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.store.addToken(&authorization{orgID: orgID, userID: userID, permissions: slices.Clone(permissions)})
	return a.id, a.token
}

// RenameBucket gives a bucket another name; its ID stays.
func (s *Server) RenameBucket(id, name string) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.must(s.store.renameBucket(find(s, s.store.buckets, "bucket", id), name))
}

// DeleteBucket deletes a bucket. Permissions for it stay where they are, and a new bucket of the same name does
// not bring them back to life: it has another ID (measured).
func (s *Server) DeleteBucket(id string) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	find(s, s.store.buckets, "bucket", id)
	delete(s.store.buckets, id)
}

// DeleteOrg deletes an organization and its buckets; its authorizations become orphans.
func (s *Server) DeleteOrg(id string) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	find(s, s.store.orgs, "organization", id)
	s.store.deleteOrg(id)
}

// DeleteUser deletes a user; its authorizations become orphans and stop working.
func (s *Server) DeleteUser(id string) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	find(s, s.store.users, "user", id)
	s.store.deleteUser(id)
}

// SetUserActive sets a user's status: the tokens of an inactive user stop working until it is active again.
func (s *Server) SetUserActive(id string, isActive bool) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	find(s, s.store.users, "user", id).status = statusWord(isActive)
}

// SetTokenActive sets an authorization's status.
func (s *Server) SetTokenActive(id string, isActive bool) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	find(s, s.store.authorizations, "authorization", id).status = statusWord(isActive)
}

// SetTokenDescription replaces an authorization's description.
func (s *Server) SetTokenDescription(id, description string) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	find(s, s.store.authorizations, "authorization", id).description = description
}

// DeleteToken deletes an authorization, as somebody does by hand.
func (s *Server) DeleteToken(id string) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.store.deleteToken(find(s, s.store.authorizations, "authorization", id))
}

// Backup copies all that the server holds; restore puts the copy back, as often as it is called. What was made since
// is gone then, and what was deleted since is there again; IDs are not given twice all the same.
func (s *Server) Backup() (restore func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	saved := s.store.clone()
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		restored := saved.clone()
		restored.lastID, restored.issued = s.store.lastID, s.store.issued
		s.store = restored
	}
}

// EraseTokenValues leaves every authorization but the operator token's without a token that works, as a downgrade does
// below the version that knows hashes (influxd downgrade).
func (s *Server) EraseTokenValues() {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.store.byToken, func(_, id string) bool { return id != s.rootID })
}

func statusWord(isActive bool) string {
	if isActive {
		return active
	}
	return inactive
}

// find returns what a test names by its ID. An ID that does not exist is a mistake in the test.
func find[T any](s *Server, m map[string]*T, kind, id string) *T {
	s.t.Helper()
	found, ok := m[id]
	if !ok {
		s.t.Fatalf("influxtest: no %s has the ID %q", kind, id)
	}
	return found
}

func (s *Server) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("influxtest: %v", err)
	}
}
