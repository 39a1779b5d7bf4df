package influxtest

import (
	"net/http"
	"net/url"
	"strconv"
	"time"
)

type userAnswer struct {
	Links  map[string]string `json:"links"`
	ID     string            `json:"id"`
	Name   string            `json:"name"`
	Status string            `json:"status"`
}

type orgAnswer struct {
	Links       map[string]string `json:"links"`
	ID          string            `json:"id"`
	Name        string            `json:"name"`
	Description string            `json:"description"`
	CreatedAt   time.Time         `json:"createdAt"`
	UpdatedAt   time.Time         `json:"updatedAt"`
}

type bucketAnswer struct {
	ID             string            `json:"id"`
	OrgID          string            `json:"orgID"`
	Type           string            `json:"type"` // "user" or "system"
	Description    string            `json:"description,omitempty"`
	Name           string            `json:"name"`
	RetentionRules []retentionRule   `json:"retentionRules"`
	CreatedAt      time.Time         `json:"createdAt"`
	UpdatedAt      time.Time         `json:"updatedAt"`
	Links          map[string]string `json:"links"`
	Labels         []any             `json:"labels"`
}

type retentionRule struct {
	Type                      string `json:"type"`
	EverySeconds              int    `json:"everySeconds"`
	ShardGroupDurationSeconds int    `json:"shardGroupDurationSeconds"`
}

type usersAnswer struct {
	Links map[string]string `json:"links"`
	Users []userAnswer      `json:"users"`
}

type orgsAnswer struct {
	Links map[string]string `json:"links"`
	Orgs  []orgAnswer       `json:"orgs"`
}

type bucketsAnswer struct {
	Links   pageLinks      `json:"links"`
	Buckets []bucketAnswer `json:"buckets"`
}

type pageLinks struct {
	Prev string `json:"prev,omitempty"`
	Self string `json:"self"`
	Next string `json:"next,omitempty"`
}

func (u *user) answer() userAnswer {
	return userAnswer{map[string]string{"self": "/api/v2/users/" + u.id}, u.id, u.name, u.status}
}

func (o *organization) answer() orgAnswer {
	links := map[string]string{"self": "/api/v2/orgs/" + o.id}
	for _, below := range []string{"labels", "logs", "members", "owners", "secrets"} {
		links[below] = "/api/v2/orgs/" + o.id + "/" + below
	}
	for _, beside := range []string{"buckets", "dashboards", "tasks"} {
		links[beside] = "/api/v2/" + beside + "?org=" + o.name
	}
	return orgAnswer{Links: links, ID: o.id, Name: o.name, CreatedAt: o.created, UpdatedAt: o.updated}
}

func (b *bucket) answer() bucketAnswer {
	self := "/api/v2/buckets/" + b.id
	answer := bucketAnswer{
		ID: b.id, OrgID: b.orgID, Type: "user", Description: b.description, Name: b.name,
		RetentionRules: []retentionRule{{"expire", 0, 604800}},
		CreatedAt:      b.created, UpdatedAt: b.updated,
		Links: map[string]string{
			"self": self, "labels": self + "/labels", "members": self + "/members", "owners": self + "/owners",
			"org": "/api/v2/orgs/" + b.orgID, "write": "/api/v2/write?org=" + b.orgID + "&bucket=" + b.id,
		},
		Labels: []any{},
	}
	if b.system {
		const day = 86400
		days := map[string]int{"_tasks": 3, "_monitoring": 7}[b.name]
		answer.Type, answer.RetentionRules = "system", []retentionRule{{"expire", days * day, day}}
	}
	return answer
}

// mayReadOrg and mayReadUser are what it takes to see an organization or a user, whether it exists or not.
func (c *call) mayReadOrg(id string) error  { return c.by.check(ByID("read", "orgs", id)) }
func (c *call) mayReadUser(id string) error { return c.by.check(ByID("read", "users", id)) }

// mayReadBucket is what it takes to see a bucket. A system bucket belongs to the organization's own description:
// it takes reading that, and no permission for buckets helps (authorizer/authorize.go; measured).
func (c *call) mayReadBucket(b *bucket) error {
	if b.system {
		return c.mayReadOrg(b.orgID)
	}
	return c.by.check(InOrgByID("read", "buckets", b.id, b.orgID))
}

// writePoints is POST /api/v2/write of nothing: what is there comes before who may, and no points are no error
// (http/write_handler.go; measured on 2.9.1 and 2.7.12). The points themselves are not kept.
func (s *Server) writePoints(c *call) (int, any, error) {
	o, b := c.orgs[c.query.Get("org")], c.buckets[c.query.Get("bucket")]
	switch {
	case o == nil:
		return 0, nil, failure(notFound, "organization not found")
	case b == nil:
		return 0, nil, failure(notFound, "bucket %q not found", c.query.Get("bucket"))
	case c.by.check(InOrgByID("write", "buckets", b.id, o.id)) != nil:
		return 0, nil, failure(forbidden, "insufficient permissions for write")
	}
	return http.StatusNoContent, nil, nil
}

// me is GET /api/v2/me: the token's owner. Without the right to read that user it is a 401 whose message has the
// user's ID (measured).
func (s *Server) me(c *call) (int, any, error) {
	c.id = c.by.userID
	return s.getUser(c)
}

// getUser is GET /api/v2/users/{id}. The right is checked first, so that an unknown ID is a 401 to most callers;
// so it is with organizations, but not with buckets (tenant/middleware_*_auth.go; measured).
func (s *Server) getUser(c *call) (int, any, error) {
	if err := c.mayReadUser(c.id); err != nil {
		return 0, nil, err
	}
	u := c.users[c.id]
	if u == nil {
		return 0, nil, errUserNotFound
	}
	return http.StatusOK, u.answer(), nil
}

// getOrg is GET /api/v2/orgs/{id}.
func (s *Server) getOrg(c *call) (int, any, error) {
	if err := c.mayReadOrg(c.id); err != nil {
		return 0, nil, err
	}
	o := c.orgs[c.id]
	if o == nil {
		return 0, nil, errOrgNotFound
	}
	return http.StatusOK, o.answer(), nil
}

// getBucket is GET /api/v2/buckets/{id}.
func (s *Server) getBucket(c *call) (int, any, error) {
	b := c.buckets[c.id]
	if b == nil {
		return 0, nil, errBucketNotFound
	}
	if err := c.mayReadBucket(b); err != nil {
		return 0, nil, err
	}
	return http.StatusOK, b.answer(), nil
}

// page is which part of a list is asked for. Sorting is not modelled.
type page struct {
	limit, offset int
	after         string
}

// page reads offset, after and limit, and refuses what InfluxDB refuses (paging.go; measured).
func (c *call) page() (page, error) {
	p := page{limit: 20}
	var err error
	if text := c.query.Get("offset"); text != "" {
		if p.offset, err = strconv.Atoi(text); err != nil {
			return p, failure(invalid, "offset is invalid")
		}
	}
	if p.after, err = c.idParameter("after"); err != nil {
		return p, failure(invalid, "decoding after: %v", err)
	}
	if text := c.query.Get("limit"); text != "" {
		if p.limit, err = strconv.Atoi(text); err != nil {
			return p, failure(invalid, "limit is invalid")
		}
		if p.limit < 1 || p.limit > 100 {
			return p, failure(invalid, "limit must be between 1 and 100")
		}
	}
	return p, nil
}

// links are those of a list of buckets, the only one that has them here. A name goes into them as "bucket", which
// the server itself ignores: following "next" of a list by name leads to other buckets (measured).
func (p page) links(query url.Values, shown int) pageLinks {
	at := func(offset int) string {
		values := url.Values{"descending": {"false"}, "limit": {strconv.Itoa(p.limit)}, "offset": {strconv.Itoa(offset)}}
		for from, to := range map[string]string{"id": "id", "name": "bucket", "orgID": "orgID", "org": "org", "after": "after"} {
			if v := query.Get(from); v != "" {
				values.Set(to, v)
			}
		}
		return "/api/v2/buckets?" + values.Encode()
	}
	links := pageLinks{Self: at(p.offset)}
	if shown >= p.limit {
		links.Next = at(p.offset + p.limit)
	}
	if p.offset > 0 {
		links.Prev = at(max(p.offset-p.limit, 0))
	}
	return links
}

// idParameter reads an ID from the query; "" is none.
func (c *call) idParameter(name string) (string, error) {
	text := c.query.Get(name)
	if text == "" {
		return "", nil
	}
	return parseID(text)
}

// idParameters reads several, by their names; the first that is none is the error.
func (c *call) idParameters(names ...string) (map[string]string, error) {
	ids := map[string]string{}
	for _, name := range names {
		id, err := c.idParameter(name)
		if err != nil {
			return nil, err
		}
		ids[name] = id
	}
	return ids, nil
}

func errNoOrgNamed(name string) error {
	return failure(notFound, `organization name "%s" not found`, name)
}
