package influx3test

import "time"

// Token is a token that the server holds.
type Token struct {
	ID          uint64
	Name        string
	Value       string
	Created     time.Time
	Expiry      time.Time    // zero for never
	Permissions []Permission // nil for an admin token
}

// Tokens returns the tokens that are stored, expired ones too, in the order of their creation: what a restart would find.
// A half-done creation is among them, what was half deleted is not.
func (s *Server) Tokens() []Token {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.stored()
	tokens := make([]Token, 0, len(c.tokens))
	for _, t := range c.inOrder() {
		tokens = append(tokens, Token{t.id, t.name, t.value, t.created, t.expiry, t.shown(c)})
	}
	return tokens
}

// TokenNames are the names of Tokens.
func (s *Server) TokenNames() []string {
	var names []string
	for _, t := range s.Tokens() {
		names = append(names, t.Name)
	}
	return names
}

// AddToken makes a token that never expires and returns its value: an admin token, or one with these permissions, whose
// databases must exist. Core would make none with permissions.
func (s *Server) AddToken(name string, permissions ...Permission) (value string) {
	s.t.Helper()
	return s.add(name, nil, permissions)
}

// AddExpiringToken is AddToken with a number of seconds for which the token works.
func (s *Server) AddExpiringToken(name string, seconds uint64, permissions ...Permission) (value string) {
	s.t.Helper()
	return s.add(name, &seconds, permissions)
}

func (s *Server) add(name string, expirySecs *uint64, permissions []Permission) string {
	s.t.Helper()
	s.mu.Lock()
	var grants []grant
	if len(permissions) > 0 {
		var refused *failure
		if grants, refused = s.stored().resolve(permissions); refused != nil {
			s.mu.Unlock()
			s.t.Fatalf("influx3test: %s", refused.body)
		}
	}
	t := s.newToken(name, expirySecs, grants)
	s.mu.Unlock()
	s.mustWrite(addToken(t))
	return t.value
}

// DeleteToken deletes a token, as somebody does by hand. It may be the operator token, which no call deletes.
func (s *Server) DeleteToken(name string) {
	s.t.Helper()
	s.mustWrite(deleteToken(name))
}

// RegenerateRoot gives the operator token another value, as somebody does by hand; RootToken returns it from now on.
func (s *Server) RegenerateRoot() {
	s.t.Helper()
	value := newValue()
	s.mustWrite(regenerate(value))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.root = value
	s.issued = append(s.issued, value)
}

// AddDatabase makes a database.
func (s *Server) AddDatabase(name string) {
	s.t.Helper()
	s.mustWrite(addDatabase(name))
}

// RemoveDatabase removes a database. Tokens for it reach nothing, also when there is one of this name again.
func (s *Server) RemoveDatabase(name string) {
	s.t.Helper()
	s.mustWrite(removeDatabase(name))
}

// Backup copies all that is stored; restore puts the copy back, as often as it is called. What was made since is gone
// then, and what was deleted since is there again.
func (s *Server) Backup() (restore func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	saved, root := append(catalogLog{}, s.log...), s.root
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.log, s.root = append(catalogLog{}, saved...), root
		for _, n := range s.nodes {
			n.applied, n.memory = 0, newNode(0).memory
			s.log.catchUp(n)
		}
	}
}
