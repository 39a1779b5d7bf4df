package influxtest

import (
	"cmp"
	"net/http"
	"slices"
)

// listed is what a list answers of what was found. A list is cut into its page first and filtered by the caller's
// rights then, so that a weak token can get a page with holes, or an empty one with more behind it
// (tenant/middleware_bucket_auth.go; measured). It is never an error to have no right: the list is empty.
func listed[T, A any](found []T, mayRead func(T) error, answer func(T) A) []A {
	answers := []A{}
	for _, item := range found {
		if mayRead(item) == nil {
			answers = append(answers, answer(item))
		}
	}
	return answers
}

// one is the list of a single thing that a filter names; nothing is found where it is nil.
func one[T any](found *T, missing error) ([]*T, error) {
	if found == nil {
		return nil, missing
	}
	return []*T{found}, nil
}

func self(path string) map[string]string { return map[string]string{"self": path} }

// listOrgs is GET /api/v2/orgs. "org" is the name; "name" is ignored, and so is an orgID that is none: both answer
// every organization (measured).
func (s *Server) listOrgs(c *call) (int, any, error) {
	p, err := c.page()
	if err != nil {
		return 0, nil, err
	}
	found, err := c.findOrgs(p)
	mayRead := func(o *organization) error { return c.mayReadOrg(o.id) }
	return http.StatusOK, orgsAnswer{self("/api/v2/orgs"), listed(found, mayRead, (*organization).answer)}, err
}

func (c *call) findOrgs(p page) ([]*organization, error) {
	if id, err := c.idParameter("orgID"); err == nil && id != "" {
		return one(c.orgs[id], errOrgNotFound)
	}
	if name := c.query.Get("org"); name != "" {
		return one(c.orgNamed(name), errNoOrgNamed(name))
	}
	// Who may not read all organizations is asked for those that the token's owner is a member of
	// (tenant/middleware_org_auth.go): a permission for another one does not bring it into the list (measured).
	member, err := c.idParameter("userID")
	if (err != nil || member == "") && c.by.check(Everywhere("read", "orgs")) != nil {
		member = c.by.userID
	}
	found := inOrder(c.orgs)
	if member != "" {
		found = slices.DeleteFunc(found, func(o *organization) bool { return !o.members[member] })
	}
	p.after = "" // ignored here (measured)
	return cut(p, found, func(o *organization) string { return o.id }), nil
}

// listUsers is GET /api/v2/users.
func (s *Server) listUsers(c *call) (int, any, error) {
	p, err := c.page()
	if err != nil {
		return 0, nil, err
	}
	found, err := c.findUsers(p)
	mayRead := func(u *user) error { return c.mayReadUser(u.id) }
	return http.StatusOK, usersAnswer{self("/api/v2/users"), listed(found, mayRead, (*user).answer)}, err
}

func (c *call) findUsers(p page) ([]*user, error) {
	id, err := c.idParameter("id")
	if err != nil {
		return nil, err
	}
	if id != "" {
		return one(c.users[id], errUserNotFound)
	}
	if name := c.query.Get("name"); name != "" {
		return one(c.userNamed(name), errUserNotFound)
	}
	return cut(p, inOrder(c.users), func(u *user) string { return u.id }), nil
}

// listBuckets is GET /api/v2/buckets. A name with an organization answers one bucket or a 404; a name alone
// answers the buckets of that name in all organizations (measured).
func (s *Server) listBuckets(c *call) (int, any, error) {
	p, err := c.page()
	if err != nil {
		return 0, nil, err
	}
	found, err := c.findBuckets(p)
	buckets := listed(found, c.mayReadBucket, (*bucket).answer)
	return http.StatusOK, bucketsAnswer{p.links(c.query, len(buckets)), buckets}, err
}

func (c *call) findBuckets(p page) ([]*bucket, error) {
	ids, err := c.idParameters("orgID", "id")
	if err != nil {
		return nil, err
	}
	if id := ids["id"]; id != "" {
		return one(c.buckets[id], errBucketNotFound)
	}
	orgID, err := c.orgIDOr(ids["orgID"])
	if err != nil {
		return nil, err
	}
	name := c.query.Get("name")
	if orgID != "" {
		return c.bucketsOf(orgID, name, p)
	}
	found := skip(p, inOrder(c.buckets), func(b *bucket) string { return b.id })
	found = slices.DeleteFunc(found, func(b *bucket) bool { return name != "" && b.name != name })
	return found[:min(p.limit, len(found))], nil
}

// bucketsOf are the buckets of one organization, in the order of their names (tenant/storage_bucket.go).
func (c *call) bucketsOf(orgID, name string, p page) ([]*bucket, error) {
	if name != "" {
		return one(c.bucketNamed(orgID, name), failure(notFound, "bucket %q not found", name))
	}
	found := slices.DeleteFunc(inOrder(c.buckets), func(b *bucket) bool { return b.orgID != orgID })
	slices.SortFunc(found, func(a, b *bucket) int { return cmp.Compare(a.name, b.name) })
	if p.after != "" {
		at := slices.IndexFunc(found, func(b *bucket) bool { return b.id == p.after })
		if at < 0 {
			return nil, nil
		}
		found, p.after = found[at+1:], ""
	}
	return cut(p, found, func(b *bucket) string { return b.id }), nil
}

// listAuthorizations is GET /api/v2/authorizations. It has no pages, and it never says that it hides something:
// what the caller may not read, and every orphan, is left out (measured).
func (s *Server) listAuthorizations(c *call) (int, any, error) {
	wanted, err := c.authorizationFilter()
	if err != nil {
		return 0, nil, err
	}
	found := slices.DeleteFunc(inOrder(c.authorizations), func(a *authorization) bool {
		return !wanted(a) || c.orgs[a.orgID] == nil || c.users[a.userID] == nil
	})
	answers := listed(found, c.mayRead, func(a *authorization) *authorizationAnswer {
		answer, _ := c.answer(a, s.storedValue(a)) // no orphan: can't fail
		return answer
	})
	return http.StatusOK, authorizationsAnswer{self("/api/v2/authorizations"), answers}, nil
}

// authorizationFilter reads the filters that there are: userID, user, orgID, org and id. An ID goes before the
// name beside it, and id before all; "token", "limit" and "offset" are ignored (measured).
func (c *call) authorizationFilter() (func(*authorization) bool, error) {
	ids, err := c.idParameters("userID", "orgID", "id")
	if err != nil {
		return nil, err
	}
	userID := ids["userID"]
	if name := c.query.Get("user"); userID == "" && name != "" {
		u := c.userNamed(name)
		if u == nil {
			return nil, errUserNotFound
		}
		userID = u.id
	}
	orgID, err := c.orgIDOr(ids["orgID"])
	if err != nil {
		return nil, err
	}
	if id := ids["id"]; id != "" {
		if c.authorizations[id] == nil {
			return nil, errAuthorizationNotFound
		}
		return func(a *authorization) bool { return a.id == id }, nil
	}
	return func(a *authorization) bool {
		return (userID == "" || a.userID == userID) && (orgID == "" || a.orgID == orgID)
	}, nil
}

// orgIDOr is the ID that was given, or that of the organization that is named instead; "" is neither.
func (c *call) orgIDOr(given string) (string, error) {
	name := c.query.Get("org")
	if given != "" || name == "" {
		return given, nil
	}
	o := c.orgNamed(name)
	if o == nil {
		return "", errNoOrgNamed(name)
	}
	return o.id, nil
}

// cut is a page of a list that is in the order of its IDs.
func cut[T any](p page, list []T, id func(T) string) []T {
	list = skip(p, list, id)
	return list[:min(p.limit, len(list))]
}

// skip is a list from where its page begins.
func skip[T any](p page, list []T, id func(T) string) []T {
	if p.after != "" {
		list = slices.DeleteFunc(list, func(item T) bool { return id(item) <= p.after })
	}
	return list[min(max(p.offset, 0), len(list)):]
}
