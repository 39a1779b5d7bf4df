package influxtest

import "net/http"

// The organizations, users and buckets, as far as a test needs them made and changed over HTTP. Details of a
// bucket other than its name are not modelled.

// createOrg is POST /api/v2/orgs; the token's owner becomes a member (tenant/service_org.go; measured).
func (s *Server) createOrg(c *call) (int, any, error) {
	var request struct {
		Name string `json:"name"`
	}
	if err := c.decode(&request); err != nil {
		return 0, nil, failure(invalid, "failed to unmarshal json: %v", err)
	}
	if err := c.by.check(Everywhere("write", "orgs")); err != nil {
		return 0, nil, err
	}
	o, err := c.addOrg(request.Name, c.by.userID)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusCreated, o.answer(), nil
}

// deleteOrg is DELETE /api/v2/orgs/{id}.
func (s *Server) deleteOrg(c *call) (int, any, error) {
	if err := c.by.check(ByID("write", "orgs", c.id)); err != nil {
		return 0, nil, err
	}
	if c.orgs[c.id] == nil {
		return 0, nil, failure(notFound, "error deleting organization id: %s: %v", c.id, errOrgNotFound)
	}
	c.deleteOrg(c.id)
	return http.StatusNoContent, nil, nil
}

// createUser is POST /api/v2/users. Broken JSON is a 500 here (measured).
func (s *Server) createUser(c *call) (int, any, error) {
	request := struct {
		Name   string `json:"name"`
		Status string `json:"status"`
	}{Status: active}
	if err := c.decode(&request); err != nil {
		return 0, nil, err
	}
	if err := c.by.check(Everywhere("write", "users")); err != nil {
		return 0, nil, err
	}
	u, err := c.addUser(request.Name, request.Status)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusCreated, u.answer(), nil
}

// patchUser is PATCH /api/v2/users/{id}: the status.
func (s *Server) patchUser(c *call) (int, any, error) {
	var request struct {
		Status *string `json:"status"`
	}
	if err := c.decode(&request); err != nil {
		return 0, nil, err
	}
	if request.Status != nil && *request.Status != active && *request.Status != inactive {
		return 0, nil, errInvalidStatus
	}
	if err := c.by.check(ByID("write", "users", c.id)); err != nil {
		return 0, nil, err
	}
	u := c.users[c.id]
	if u == nil {
		return 0, nil, errUserNotFound
	}
	if request.Status != nil {
		u.status = *request.Status
	}
	return http.StatusOK, u.answer(), nil
}

// deleteUser is DELETE /api/v2/users/{id}.
func (s *Server) deleteUser(c *call) (int, any, error) {
	if err := c.by.check(ByID("write", "users", c.id)); err != nil {
		return 0, nil, err
	}
	if c.users[c.id] == nil {
		return 0, nil, errUserNotFound
	}
	c.deleteUser(c.id)
	return http.StatusNoContent, nil, nil
}

// createBucket is POST /api/v2/buckets.
func (s *Server) createBucket(c *call) (int, any, error) {
	var request struct {
		OrgID identifier `json:"orgID"`
		Name  string     `json:"name"`
	}
	if err := c.decode(&request); err != nil {
		return 0, nil, failure(invalid, "failed to unmarshal json: %v", err)
	}
	orgID := string(request.OrgID)
	if orgID == "" {
		return 0, nil, failure(invalid, "organization id must be provided")
	}
	if err := c.by.check(InOrg("write", "buckets", orgID)); err != nil {
		return 0, nil, err
	}
	b, err := c.addBucket(orgID, request.Name)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusCreated, b.answer(), nil
}

// patchBucket is PATCH /api/v2/buckets/{id}: the name. A new name takes the right to read the bucket as well,
// because the handler looks it up first (tenant/http_server_bucket.go; measured).
func (s *Server) patchBucket(c *call) (int, any, error) {
	var request struct {
		Name *string `json:"name"`
	}
	if err := c.decode(&request); err != nil {
		return 0, nil, failure(invalid, "failed to unmarshal json: %v", err)
	}
	b := c.buckets[c.id]
	if b == nil {
		return 0, nil, errBucketNotFound
	}
	if request.Name != nil {
		if err := c.mayReadBucket(b); err != nil {
			return 0, nil, err
		}
	}
	if err := c.by.check(InOrgByID("write", "buckets", b.id, b.orgID)); err != nil {
		return 0, nil, err
	}
	if request.Name != nil {
		if err := c.renameBucket(b, *request.Name); err != nil {
			return 0, nil, err
		}
	}
	return http.StatusOK, b.answer(), nil
}

// deleteBucket is DELETE /api/v2/buckets/{id}; the right to write the bucket is enough (measured).
func (s *Server) deleteBucket(c *call) (int, any, error) {
	b := c.buckets[c.id]
	if b == nil {
		return 0, nil, errBucketNotFound
	}
	if err := c.by.check(InOrgByID("write", "buckets", b.id, b.orgID)); err != nil {
		return 0, nil, err
	}
	if b.system {
		return 0, nil, failure(invalid, "system buckets cannot be deleted")
	}
	delete(c.buckets, c.id)
	return http.StatusNoContent, nil, nil
}
