package influxtest

import (
	"cmp"
	"net/http"
	"slices"
)

// A list is cut into its page first and filtered by the caller's rights then, so that a weak token can get a page
// with holes, or an empty one with more behind it (tenant/middleware_bucket_auth.go; measured). It is never an
// error to have no right: the list is empty.

// listOrgs is GET /api/v2/orgs. "org" is the name; "name" is ignored, and so is an orgID that is none: both answer
// every organization (measured).
func (s *Server) listOrgs(c *call) (int, any, error) {
	p, err := c.page()
	if err != nil {
		return 0, nil, err
	}
	found, err := c.findOrgs(p)
	if err != nil {
		return 0, nil, err
	}
	list := orgsAnswer{Links: map[string]string{"self": "/api/v2/orgs"}, Orgs: []orgAnswer{}}
	for _, o := range found {
		if c.by.check(ByID("read", "orgs", o.id)) == nil {
			list.Orgs = append(list.Orgs, o.answer())
		}
	}
	return http.StatusOK, list, nil
}

func (c *call) findOrgs(p page) ([]*organization, error) {
	if id, err := c.idParameter("orgID"); err == nil && id != "" {
		if o := c.orgs[id]; o != nil {
			return []*organization{o}, nil
		}
		return nil, errOrgNotFound
	}
	if name := c.query.Get("org"); name != "" {
		if o := c.orgNamed(name); o != nil {
			return []*organization{o}, nil
		}
		return nil, errNoOrgNamed(name)
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
	if err != nil {
		return 0, nil, err
	}
	list := usersAnswer{Links: map[string]string{"self": "/api/v2/users"}, Users: []userAnswer{}}
	for _, u := range found {
		if c.by.check(ByID("read", "users", u.id)) == nil {
			list.Users = append(list.Users, u.answer())
		}
	}
	return http.StatusOK, list, nil
}

func (c *call) findUsers(p page) ([]*user, error) {
	id, err := c.idParameter("id")
	if err != nil {
		return nil, err
	}
	var found *user
	name := c.query.Get("name")
	switch {
	case id != "":
		found = c.users[id]
	case name != "":
		found = c.userNamed(name)
	default:
		return cut(p, inOrder(c.users), func(u *user) string { return u.id }), nil
	}
	if found == nil {
		return nil, errUserNotFound
	}
	return []*user{found}, nil
}

// listBuckets is GET /api/v2/buckets. A name with an organization answers one bucket or a 404; a name alone
// answers the buckets of that name in all organizations (measured).
func (s *Server) listBuckets(c *call) (int, any, error) {
	p, err := c.page()
	if err != nil {
		return 0, nil, err
	}
	found, err := c.findBuckets(p)
	if err != nil {
		return 0, nil, err
	}
	list := bucketsAnswer{Buckets: []bucketAnswer{}}
	for _, b := range found {
		if c.mayReadBucket(b) == nil {
			list.Buckets = append(list.Buckets, b.answer())
		}
	}
	list.Links = p.links(c.query, len(list.Buckets))
	return http.StatusOK, list, nil
}

func (c *call) findBuckets(p page) ([]*bucket, error) {
	orgID, err := c.idParameter("orgID")
	if err != nil {
		return nil, err
	}
	id, err := c.idParameter("id")
	if err != nil {
		return nil, err
	}
	if id != "" {
		if b := c.buckets[id]; b != nil {
			return []*bucket{b}, nil
		}
		return nil, errBucketNotFound
	}
	if org := c.query.Get("org"); orgID == "" && org != "" {
		o := c.orgNamed(org)
		if o == nil {
			return nil, errNoOrgNamed(org)
		}
		orgID = o.id
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
		if b := c.bucketNamed(orgID, name); b != nil {
			return []*bucket{b}, nil
		}
		return nil, failure(notFound, "bucket %q not found", name)
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
	list := authorizationsAnswer{
		Links:          map[string]string{"self": "/api/v2/authorizations"},
		Authorizations: []*authorizationAnswer{},
	}
	for _, a := range inOrder(c.authorizations) {
		if !wanted(a) || c.mayRead(a) != nil {
			continue
		}
		if answer, err := c.answer(a, s.storedValue(a)); err == nil {
			list.Authorizations = append(list.Authorizations, answer)
		}
	}
	return http.StatusOK, list, nil
}

// authorizationFilter reads the filters that there are: userID, user, orgID, org and id. An ID goes before the
// name beside it, and id before all; "token", "limit" and "offset" are ignored (measured).
func (c *call) authorizationFilter() (func(*authorization) bool, error) {
	userID, err := c.idParameter("userID")
	if err != nil {
		return nil, err
	}
	orgID, err := c.idParameter("orgID")
	if err != nil {
		return nil, err
	}
	id, err := c.idParameter("id")
	if err != nil {
		return nil, err
	}
	if name := c.query.Get("user"); userID == "" && name != "" {
		u := c.userNamed(name)
		if u == nil {
			return nil, errUserNotFound
		}
		userID = u.id
	}
	if name := c.query.Get("org"); orgID == "" && name != "" {
		o := c.orgNamed(name)
		if o == nil {
			return nil, errNoOrgNamed(name)
		}
		orgID = o.id
	}
	if id != "" {
		if c.authorizations[id] == nil {
			return nil, errAuthorizationNotFound
		}
		return func(a *authorization) bool { return a.id == id }, nil
	}
	return func(a *authorization) bool {
		return (userID == "" || a.userID == userID) && (orgID == "" || a.orgID == orgID)
	}, nil
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
