package influxtest

import (
	"net/http"
	"time"
)

// authorizationAnswer is an authorization as InfluxDB answers it. There is no expiry: tokens live until they are
// deleted (authorization/http_server.go; measured).
type authorizationAnswer struct {
	ID          string             `json:"id"`
	Token       string             `json:"token"`
	Status      string             `json:"status"`
	Description string             `json:"description"`
	OrgID       string             `json:"orgID"`
	Org         string             `json:"org"`
	UserID      string             `json:"userID"`
	User        string             `json:"user"`
	Permissions []permissionAnswer `json:"permissions"`
	Links       map[string]string  `json:"links"`
	CreatedAt   time.Time          `json:"createdAt"`
	UpdatedAt   time.Time          `json:"updatedAt"`
}

type authorizationsAnswer struct {
	Links          map[string]string      `json:"links"`
	Authorizations []*authorizationAnswer `json:"authorizations"`
}

// createRequest is all that InfluxDB reads of the body; a "token" or "id" of the caller's is ignored (measured).
type createRequest struct {
	Status      string     `json:"status"`
	OrgID       identifier `json:"orgID"`
	UserID      identifier `json:"userID"`
	Description string     `json:"description"`
	Permissions []struct {
		Action   string `json:"action"`
		Resource struct {
			Type  string     `json:"type"`
			ID    identifier `json:"id"`
			OrgID identifier `json:"orgID"`
		} `json:"resource"`
	} `json:"permissions"`
}

// createAuthorization is POST /api/v2/authorizations. The order of the checks is InfluxDB's
// (authorization/http_server.go, middleware_auth.go, service.go; the answers measured).
func (s *Server) createAuthorization(c *call) (int, any, error) {
	a, err := c.requestedAuthorization(s.resourceTypes())
	if err != nil {
		return 0, nil, err
	}
	if a.userID == "" {
		a.userID = c.by.userID
	}
	if err := c.mayCreate(a); err != nil {
		return 0, nil, err
	}
	for _, p := range a.permissions {
		if p.Resource.OrgID != "" && p.Resource.OrgID != a.orgID {
			return 0, nil, failure(invalid, "permission %s is not for org id %s", p, a.orgID)
		}
	}
	if c.users[a.userID] == nil || c.orgs[a.orgID] == nil {
		return 0, nil, errUnableToCreate
	}
	c.addToken(a)
	answer, err := c.answer(a, a.token) // the one time that a hashed token's value is answered
	return http.StatusCreated, answer, err
}

// requestedAuthorization decodes and validates what the caller wants; types are the resource types that there are.
func (c *call) requestedAuthorization(types []string) (*authorization, error) {
	var request createRequest
	if err := c.decode(&request); err != nil {
		return nil, failure(invalid, "invalid json structure: %v", err)
	}
	if len(request.Permissions) == 0 {
		return nil, failure(invalid, "authorization must include permissions")
	}
	a := &authorization{
		status: request.Status, description: request.Description,
		orgID: string(request.OrgID), userID: string(request.UserID),
	}
	for _, r := range request.Permissions {
		p := Permission{r.Action, Resource{r.Resource.Type, string(r.Resource.ID), string(r.Resource.OrgID)}}
		if err := p.valid(types); err != nil {
			return nil, err
		}
		a.permissions = append(a.permissions, p)
	}
	if a.orgID == "" {
		return nil, failure(invalid, "org id required: invalid ID")
	}
	if a.status != "" && a.status != active && a.status != inactive {
		return nil, errInvalidStatus
	}
	return a, nil
}

// mayCreate checks the caller's rights: to write authorizations of the organization, to write the user who will
// own the token, and to have itself all that it grants. Only the last is a 403 (measured).
func (c *call) mayCreate(a *authorization) error {
	err := c.by.checkAll(InOrg("write", "authorizations", a.orgID), ByID("write", "users", a.userID))
	if err != nil {
		return err
	}
	for _, p := range a.permissions {
		if err := c.by.check(p); err != nil {
			return failure(forbidden, "permission %s is not allowed: %v", p, err)
		}
	}
	for _, p := range a.permissions {
		if p.Resource.Type == "instance" {
			return failure(internal, "authorizations cannot be created with the instance type, it is only used during setup")
		}
	}
	return nil
}

// mayRead is what it takes to see an authorization; mayWrite what it takes to change or delete it. Neither
// includes the other (authorization/middleware_auth.go; measured).
func (c *call) mayRead(a *authorization) error {
	return c.by.checkAll(InOrgByID("read", "authorizations", a.id, a.orgID), ByID("read", "users", a.userID))
}

func (c *call) mayWrite(a *authorization) error {
	return c.by.checkAll(InOrgByID("write", "authorizations", a.id, a.orgID), ByID("write", "users", a.userID))
}

// answer is an authorization as it is answered. It fails for an orphan, whose organization or owner is gone: so a
// 404 does not mean that the authorization is gone (measured).
func (c *call) answer(a *authorization, token string) (*authorizationAnswer, error) {
	o, u := c.orgs[a.orgID], c.users[a.userID]
	if o == nil {
		return nil, errOrgNotFound
	}
	if u == nil {
		return nil, errUserNotFound
	}
	return &authorizationAnswer{
		ID: a.id, Token: token, Status: a.status, Description: a.description,
		OrgID: a.orgID, Org: o.name, UserID: a.userID, User: u.name,
		Permissions: c.decorate(a.permissions),
		Links:       map[string]string{"self": "/api/v2/authorizations/" + a.id, "user": "/api/v2/users/" + a.userID},
		CreatedAt:   a.created, UpdatedAt: a.updated,
	}, nil
}

// storedValue is the token value that an authorization still tells after its creation: none where tokens are
// hashed, and that is an empty string (measured in both modes).
func (s *Server) storedValue(a *authorization) string {
	switch {
	case s.cloud:
		return maskedValue
	case s.hashed:
		return ""
	}
	return a.token
}

// getAuthorization is GET /api/v2/authorizations/{id}. An unknown ID is a 404 also for a caller without any
// rights, who for a known one gets a 401.
func (s *Server) getAuthorization(c *call) (int, any, error) {
	a := c.authorizations[c.id]
	if a == nil {
		return 0, nil, errAuthorizationNotFound
	}
	if err := c.mayRead(a); err != nil {
		return 0, nil, err
	}
	answer, err := c.answer(a, s.storedValue(a))
	return http.StatusOK, answer, err
}

// patchAuthorization is PATCH /api/v2/authorizations/{id}: status and description, nothing else. An orphan is
// changed although the answer is a 404 (measured). In influxd a PATCH that runs beside a DELETE can bring the
// authorization back; here one that is postponed does.
func (s *Server) patchAuthorization(c *call) (int, any, error) {
	var request struct {
		Status      *string `json:"status"`
		Description *string `json:"description"`
	}
	if err := c.decode(&request); err != nil {
		return 0, nil, err
	}
	a := c.authorizations[c.id]
	if a == nil {
		return 0, nil, errAuthorizationNotFound
	}
	if err := c.mayRead(a); err != nil {
		return 0, nil, err
	}
	if err := c.mayWrite(a); err != nil {
		return 0, nil, err
	}
	if request.Status != nil {
		switch *request.Status {
		case active, inactive:
			a.status = *request.Status
		case "":
			a.status = active
		default:
			return 0, nil, failure(invalid, "encodeAuthorization: unknown authorization status")
		}
	}
	if request.Description != nil {
		a.description = *request.Description
	}
	a.updated = time.Now().UTC()
	answer, err := c.answer(a, s.storedValue(a))
	return http.StatusOK, answer, err
}

// deleteAuthorization is DELETE /api/v2/authorizations/{id}. It takes no right to read, works on orphans, and
// takes effect with the next request (measured).
func (s *Server) deleteAuthorization(c *call) (int, any, error) {
	a := c.authorizations[c.id]
	if a == nil {
		return 0, nil, errAuthorizationNotFound
	}
	if err := c.mayWrite(a); err != nil {
		return 0, nil, err
	}
	c.deleteToken(a)
	return http.StatusNoContent, nil, nil
}
