package influx3test

import (
	"crypto/rand"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"time"
)

// newValue makes a token's value: 64 random bytes in URL-safe base64 without padding, behind "apiv3_": 92 characters.
func newValue() string {
	var raw [64]byte
	_, _ = rand.Read(raw[:]) // never fails: it ends the program first
	return "apiv3_" + base64.RawURLEncoding.EncodeToString(raw[:])
}

func hashOf(value string) string {
	sum := sha512.Sum512([]byte(value))
	return hex.EncodeToString(sum[:])
}

// newToken makes a token that is in no catalog yet. Times are whole milliseconds (read).
func (s *Server) newToken(name string, expirySecs *uint64, permissions []grant) token {
	value := newValue()
	s.issued = append(s.issued, value)
	t := token{name: name, value: value, hash: hashOf(value), created: s.now().Truncate(time.Millisecond), permissions: permissions}
	if expirySecs != nil {
		t.expiry = expiryAfter(t.created, *expirySecs)
	}
	return t
}

// expiryAfter is the time so many seconds later, and never (zero) where that is beyond InfluxDB's times (measured: absurd
// values never expire; read: the end of the year 262142).
func expiryAfter(created time.Time, seconds uint64) time.Time {
	const last = 8_210_266_876_799
	if seconds > last || created.Unix()+int64(seconds) > last {
		return time.Time{}
	}
	return time.Unix(created.Unix()+int64(seconds), int64(created.Nanosecond()))
}

// makeOperator makes the operator token of a server that has none.
func (s *Server) makeOperator() {
	s.t.Helper()
	s.mu.Lock()
	t := s.newToken(OperatorName, nil, nil)
	s.root = t.value
	s.mu.Unlock()
	s.mustWrite(addToken(t))
}

// createOperator is POST /api/v3/configure/token/admin, which looks at no token and no body: it is for the first caller
// (measured).
func (c *call) createOperator() (*answer, *failure) {
	t := c.newToken(OperatorName, nil, nil)
	a, refused := c.create(t)
	if refused == nil {
		c.root = t.value
	}
	return a, refused
}

// tokenRequest is the body of the calls that make tokens.
type tokenRequest struct {
	Name        *string       `json:"token_name"`
	ExpirySecs  *uint64       `json:"expiry_secs"`
	Permissions *[]Permission `json:"permissions"` // of createScoped
}

// createNamedAdmin is POST /api/v3/configure/token/named_admin: a token that may do anything.
func (c *call) createNamedAdmin() (*answer, *failure) {
	var request tokenRequest
	if refused := c.needsAdmin(); refused != nil {
		return nil, refused
	}
	if refused := c.decode(&request); refused != nil {
		return nil, refused
	}
	if request.Name == nil {
		return nil, missing("token_name")
	}
	return c.create(c.newToken(*request.Name, request.ExpirySecs, nil))
}

// createScoped is POST /api/v3/enterprise/configure/token: a token for single databases (documented). What it is refused
// for besides its permissions is as for admin tokens (assumed).
func (c *call) createScoped() (*answer, *failure) {
	var request tokenRequest
	if refused := c.needsAdmin(); refused != nil {
		return nil, refused
	}
	if refused := c.decode(&request); refused != nil {
		return nil, refused
	}
	switch {
	case request.Name == nil:
		return nil, missing("token_name")
	case request.Permissions == nil:
		return nil, missing("permissions")
	}
	grants, refused := c.memory.resolve(*request.Permissions)
	if refused != nil {
		return nil, refused
	}
	return c.create(c.newToken(*request.Name, request.ExpirySecs, grants))
}

// create stores a token. The answer is the only one with its value; its Content-Type is no more than "json" (measured).
func (c *call) create(t token) (*answer, *failure) {
	if refused := c.write(c.node, addToken(t), c.half); refused != nil || c.half {
		return nil, refused
	}
	made := c.memory.tokens[t.name]
	var expiry *string
	if !made.expiry.IsZero() {
		text := timestamp(made.expiry) + "Z"
		expiry = &text
	}
	return jsonAnswer(http.StatusCreated, "json", struct {
		ID        uint64  `json:"id"`
		Name      string  `json:"name"`
		Token     string  `json:"token"`
		Hash      string  `json:"hash"`
		CreatedAt string  `json:"created_at"`
		Expiry    *string `json:"expiry"`
	}{made.id, made.name, made.value, made.hash, timestamp(made.created) + "Z", expiry}), nil
}

// deleteToken is DELETE /api/v3/configure/token?token_name=, for tokens of all kinds.
func (c *call) deleteToken() (*answer, *failure) {
	if refused := c.needsAdmin(); refused != nil {
		return nil, refused
	}
	if !c.query.Has("token_name") {
		return nil, text(http.StatusBadRequest, "serde error: missing field `token_name`") // measured
	}
	name := c.query.Get("token_name")
	if name == OperatorName {
		return nil, text(http.StatusMethodNotAllowed, "cannot delete operator token")
	}
	if refused := c.write(c.node, deleteToken(name), c.half); refused != nil {
		return nil, refused
	}
	return &answer{status: http.StatusOK}, nil
}
