package influx

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// Named is a thing that has an ID and a name: an organization or a user.
type Named struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// User is an InfluxDB user.
type User struct {
	Named
	// Status is "active" or "inactive".
	Status string `json:"status"`
}

// Bucket is a bucket and the organization it belongs to.
type Bucket struct {
	Named
	OrgID string `json:"orgID"`
}

// Server says what answered.
type Server struct {
	// Version is X-Influxdb-Version without a leading v, such as 2.9.1; empty where the server sends none.
	Version string
	// Build is X-Influxdb-Build: OSS, Core, Enterprise, …
	Build string
}

// pageSize is the most that InfluxDB gives of orgs, buckets and users in one answer.
const pageSize = 100

// pingStatuses are those of a server that answers: 204 for InfluxDB 1 and 2, 200 for InfluxDB 3.
var pingStatuses = []int{http.StatusOK, http.StatusNoContent}

// Ping asks what server this is. It shows the token only to a server that wants one for this, as InfluxDB 3 does:
// nothing secret has been sent to an address that only redirects to https. InfluxDB Cloud Serverless has no such endpoint:
// then what is known is that InfluxDB answers.
func (c *Client) Ping(ctx context.Context) (Server, error) {
	server, err := c.ping(ctx, request{method: http.MethodGet, path: "/ping", success: pingStatuses, anonymous: true})
	e, ok := errors.AsType[*Error](err)
	switch {
	case !ok:
	case e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden:
		return c.ping(ctx, request{method: http.MethodGet, path: "/ping", success: pingStatuses})
	case e.Kind == NoSuchPath && e.FromInfluxDB():
		return Server{Version: e.Version, Build: e.Build}, nil
	}
	return server, err
}

func (c *Client) ping(ctx context.Context, r request) (Server, error) {
	var server Server
	ctx, cancel := c.withTimeout(ctx)
	defer cancel()
	err := c.stream(ctx, r, func(resp *http.Response) error {
		server.Version = strings.TrimPrefix(resp.Header.Get("X-Influxdb-Version"), "v")
		server.Build = resp.Header.Get("X-Influxdb-Build")
		// InfluxDB 3 says it in the body as well.
		var body struct {
			Version string `json:"version"`
		}
		if decode(io.LimitReader(resp.Body, maxErrorBody), &body) == nil && server.Version == "" {
			server.Version = body.Version
		}
		return nil
	})
	return server, err
}

// Me is the user that owns the client's token. It proves the token: unlike a list, it is refused for one
// that is unknown or inactive. A token that may not read its user gets the user's ID beside the error, which is
// MissingPermission: InfluxDB says read:users/<id> is what it lacks.
func (c *Client) Me(ctx context.Context) (User, error) {
	var me User
	r := request{method: http.MethodGet, path: "me"}
	err := c.call(ctx, r, &me)
	e, ok := errors.AsType[*Error](err)
	switch {
	case ok && strings.HasPrefix(e.Permission, "read:users/"):
		me.ID = strings.TrimPrefix(e.Permission, "read:users/")
	case err == nil && me.ID == "":
		err = c.notAskedFor(r, http.StatusOK)
	}
	return me, err
}

// Organizations lists the first hundred organizations that the token may see: none at all is an answer too.
func (c *Client) Organizations(ctx context.Context) ([]Named, error) {
	var answer struct {
		Orgs []Named `json:"orgs"`
	}
	query := url.Values{"limit": {strconv.Itoa(pageSize)}}
	err := c.call(ctx, request{method: http.MethodGet, path: "orgs", query: query}, &answer)
	return answer.Orgs, err
}

// Users lists the first hundred users that the token may see.
func (c *Client) Users(ctx context.Context) ([]Named, error) {
	var answer struct {
		Users []Named `json:"users"`
	}
	query := url.Values{"limit": {strconv.Itoa(pageSize)}}
	err := c.call(ctx, request{method: http.MethodGet, path: "users", query: query}, &answer)
	return answer.Users, err
}

// Organization finds an organization by its exact name. An unknown one is NotFound; one that the token may
// not see is MissingPermission.
func (c *Client) Organization(ctx context.Context, name string) (Named, error) {
	var answer struct {
		Orgs []Named `json:"orgs"`
	}
	// The parameter is org: the server ignores name and then answers all.
	query := url.Values{"org": {name}}
	if err := c.call(ctx, request{method: http.MethodGet, path: "orgs", query: query}, &answer); err != nil {
		return Named{}, err
	}
	for _, org := range answer.Orgs {
		if org.Name == name {
			return org, nil
		}
	}
	return Named{}, c.unseen("orgs", name, "read:orgs", len(answer.Orgs))
}

// OrganizationByID reads one organization.
func (c *Client) OrganizationByID(ctx context.Context, id string) (Named, error) {
	var org Named
	err := c.get(ctx, "orgs", id, &org, &org.ID)
	return org, err
}

// Bucket finds a bucket of one organization by its exact name.
func (c *Client) Bucket(ctx context.Context, orgID, name string) (Bucket, error) {
	var answer struct {
		Buckets []Bucket `json:"buckets"`
	}
	query := url.Values{"orgID": {orgID}, "name": {name}}
	if err := c.call(ctx, request{method: http.MethodGet, path: "buckets", query: query}, &answer); err != nil {
		return Bucket{}, err
	}
	for _, bucket := range answer.Buckets {
		if bucket.Name == name && strings.EqualFold(bucket.OrgID, orgID) {
			return bucket, nil
		}
	}
	return Bucket{}, c.unseen("buckets", name, "read:orgs/"+orgID+"/buckets", len(answer.Buckets))
}

// BucketByID reads one bucket.
func (c *Client) BucketByID(ctx context.Context, id string) (Bucket, error) {
	var bucket Bucket
	err := c.get(ctx, "buckets", id, &bucket, &bucket.ID)
	return bucket, err
}

// Buckets lists up to limit buckets of one organization that the token may read.
func (c *Client) Buckets(ctx context.Context, orgID string, limit int) ([]Bucket, error) {
	var all []Bucket
	query := url.Values{"orgID": {orgID}, "limit": {strconv.Itoa(pageSize)}}
	for len(all) < limit {
		var page struct {
			Links   struct{ Next string } `json:"links"`
			Buckets []Bucket              `json:"buckets"`
		}
		if err := c.call(ctx, request{method: http.MethodGet, path: "buckets", query: query}, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Buckets...)
		if page.Links.Next == "" || len(page.Buckets) == 0 {
			return all, nil
		}
		query.Set("after", page.Buckets[len(page.Buckets)-1].ID)
	}
	return all[:limit], nil
}

// User finds a user by its exact name.
func (c *Client) User(ctx context.Context, name string) (User, error) {
	var answer struct {
		Users []User `json:"users"`
	}
	query := url.Values{"name": {name}}
	if err := c.call(ctx, request{method: http.MethodGet, path: "users", query: query}, &answer); err != nil {
		return User{}, err
	}
	for _, user := range answer.Users {
		if user.Name == name {
			return user, nil
		}
	}
	return User{}, c.unseen("users", name, "read:users", len(answer.Users))
}

// UserByID reads one user.
func (c *Client) UserByID(ctx context.Context, id string) (User, error) {
	var user User
	err := c.get(ctx, "users", id, &user, &user.ID)
	return user, err
}

// ResourceOrg reads the organization of a resource of a type that has an endpoint of its own: telegrafs, tasks,
// dashboards, variables, checks and most others. For the rest it is NoSuchPath or NotFound. orgID is where it is
// looked for by the one endpoint that wants to know.
func (c *Client) ResourceOrg(ctx context.Context, orgID, resourceType, id string) (string, error) {
	r := request{method: http.MethodGet, path: url.PathEscape(resourceType) + "/" + url.PathEscape(id)}
	switch resourceType {
	case "dbrp":
		r.path, r.query = "dbrps/"+url.PathEscape(id), url.Values{"orgID": {orgID}}
	case "documents": // listed as a type, and answered 500 by 2.7 and 2.9
		return "", &Error{Kind: NoSuchPath, operation: "GET " + c.base + "/api/v2/documents", Message: "has no endpoint"}
	}
	var resource struct {
		OrgID string `json:"orgID"`
		Label struct {
			OrgID string `json:"orgID"`
		} `json:"label"`
		Content struct { // of a dbrp
			OrgID string `json:"orgID"`
		} `json:"content"`
	}
	if err := c.call(ctx, r, &resource); err != nil {
		return "", err
	}
	return resource.OrgID + resource.Label.OrgID + resource.Content.OrgID, nil
}

// ResourceTypes lists the types that permissions can name. A server without the endpoint answers NoSuchPath.
func (c *Client) ResourceTypes(ctx context.Context) ([]string, error) {
	var types []string
	err := c.call(ctx, request{method: http.MethodGet, path: "resources"}, &types)
	return types, err
}

// unseen is the error for a look-up by name that was answered with a list without it. InfluxDB answers 404
// for a name that does not exist, and 200 with an empty list where the token may not see it, or is inactive.
// It answers others to a name that it trims or ignores, as it does an empty one.
func (c *Client) unseen(path, name, permission string, others int) error {
	e := &Error{Kind: MissingPermission, Status: http.StatusOK, Permission: permission, connected: true, own: true,
		operation: "GET " + c.base + "/api/v2/" + path,
		Message:   "the root token can't see it: it is inactive or lacks " + permission}
	if others > 0 {
		e.Kind, e.Permission, e.Message = NotFound, "", strconv.Quote(name)+" not found"
	}
	return e
}
