package influx

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Named is a thing that has an ID and a name: an organization, a user or a bucket.
type Named struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	// Status is a user's: "active" or "inactive".
	Status string `json:"status"`
	// OrgID is the organization that a bucket belongs to.
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
	case c.token != "" && (e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden):
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
func (c *Client) Me(ctx context.Context) (Named, error) {
	var me Named
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
	orgs, _, err := c.page(ctx, "orgs", url.Values{"limit": {strconv.Itoa(pageSize)}})
	return orgs, err
}

// Users lists the first hundred users that the token may see.
func (c *Client) Users(ctx context.Context) ([]Named, error) {
	users, _, err := c.page(ctx, "users", url.Values{"limit": {strconv.Itoa(pageSize)}})
	return users, err
}

// Buckets lists up to limit buckets of one organization that the token may read.
func (c *Client) Buckets(ctx context.Context, orgID string, limit int) ([]Named, error) {
	var all []Named
	query := url.Values{"orgID": {orgID}, "limit": {strconv.Itoa(pageSize)}}
	for len(all) < limit {
		buckets, more, err := c.page(ctx, "buckets", query)
		if err != nil {
			return nil, err
		}
		all = append(all, buckets...)
		if !more || len(buckets) == 0 {
			return all, nil
		}
		query.Set("after", buckets[len(buckets)-1].ID)
	}
	return all[:limit], nil
}

// page asks for things of one kind: orgs, users or buckets. It reports whether there are more.
func (c *Client) page(ctx context.Context, kind string, query url.Values) (things []Named, more bool, err error) {
	var answer struct {
		Links struct {
			Next string `json:"next"`
		} `json:"links"`
		Orgs    []Named `json:"orgs"`
		Users   []Named `json:"users"`
		Buckets []Named `json:"buckets"`
	}
	err = c.call(ctx, request{method: http.MethodGet, path: kind, query: query}, &answer)
	return slices.Concat(answer.Orgs, answer.Users, answer.Buckets), answer.Links.Next != "", err
}

// Organization finds an organization by its exact name. An unknown one is NotFound; one that the token may
// not see is MissingPermission.
func (c *Client) Organization(ctx context.Context, name string) (Named, error) {
	// The parameter is org: the server ignores name and then answers all.
	return c.named(ctx, "orgs", url.Values{"org": {name}}, name, "read:orgs")
}

// User finds a user by its exact name.
func (c *Client) User(ctx context.Context, name string) (Named, error) {
	return c.named(ctx, "users", url.Values{"name": {name}}, name, "read:users")
}

// Bucket finds a bucket of one organization by its exact name.
func (c *Client) Bucket(ctx context.Context, orgID, name string) (Named, error) {
	return c.named(ctx, "buckets", url.Values{"orgID": {orgID}, "name": {name}}, name, "read:orgs/"+orgID+"/buckets")
}

// named finds the one thing of a kind that has just this name, and is of the organization that the query names.
// permission is what a token lacks that is shown nothing.
func (c *Client) named(ctx context.Context, kind string, query url.Values, name, permission string) (Named, error) {
	things, _, err := c.page(ctx, kind, query)
	if err != nil {
		return Named{}, err
	}
	for _, thing := range things {
		if thing.Name == name && (!query.Has("orgID") || strings.EqualFold(thing.OrgID, query.Get("orgID"))) {
			return thing, nil
		}
	}
	return Named{}, c.unseen(kind, name, permission, len(things))
}

// OrganizationByID reads one organization.
func (c *Client) OrganizationByID(ctx context.Context, id string) (Named, error) {
	return c.byID(ctx, "orgs", id)
}

// UserByID reads one user.
func (c *Client) UserByID(ctx context.Context, id string) (Named, error) {
	return c.byID(ctx, "users", id)
}

// BucketByID reads one bucket.
func (c *Client) BucketByID(ctx context.Context, id string) (Named, error) {
	return c.byID(ctx, "buckets", id)
}

func (c *Client) byID(ctx context.Context, kind, id string) (Named, error) {
	var thing Named
	err := c.get(ctx, kind, id, &thing, &thing.ID)
	return thing, err
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

// Sighting is what a look at one thing by its ID says about which InfluxDB answers. IDs of organizations, users and
// authorizations are never given twice, so that one that is seen proves that this is the InfluxDB (or a restored copy
// of it) that the ID comes from.
type Sighting string

// The sightings.
const (
	// Seen: there is such a thing.
	Seen Sighting = "seen"
	// NotThere: InfluxDB itself says that there is none. It was deleted, or this is another InfluxDB.
	NotThere Sighting = "not there"
	// Hidden: InfluxDB itself says that the token may not look, or that it has no such endpoint.
	Hidden Sighting = "hidden"
	// NoAnswer: InfluxDB did not answer, or refused the token as such. The error says which.
	NoAnswer Sighting = "no answer"
)

// SeeOrganization looks at an organization. The error is that of OrganizationByID.
func (c *Client) SeeOrganization(ctx context.Context, id string) (Sighting, error) {
	_, err := c.OrganizationByID(ctx, id)
	return sightingOf(err), err
}

// SeeAuthorization looks at an authorization. The error is that of GetAuthorization. One whose owner or organization
// was deleted is there.
func (c *Client) SeeAuthorization(ctx context.Context, id string) (Sighting, error) {
	_, err := c.GetAuthorization(ctx, id)
	if Is(err, NotFound) {
		return Seen, err
	}
	return sightingOf(err), err
}

// SeeOwnUser looks whether the user of the client's token has this ID. The error is that of Me: a token that may not
// read its user sees the ID all the same.
func (c *Client) SeeOwnUser(ctx context.Context, id string) (Sighting, error) {
	me, err := c.Me(ctx)
	switch {
	case me.ID == "":
		return sightingOf(err), err
	case strings.EqualFold(me.ID, id):
		return Seen, err
	}
	return NotThere, err
}

// sightingOf returns what the error of a look-up by ID says.
func sightingOf(err error) Sighting {
	e, ok := errors.AsType[*Error](err)
	switch {
	case err == nil:
		return Seen
	case !ok || !e.FromInfluxDB():
		return NoAnswer
	case IsNotFound(e):
		return NotThere
	case e.Kind == MissingPermission, e.Kind == Forbidden, e.Kind == NoSuchPath:
		return Hidden
	}
	return NoAnswer
}

// SetupAllowed reports whether the server was never set up. It takes no token.
func (c *Client) SetupAllowed(ctx context.Context) (bool, error) {
	var answer struct {
		Allowed bool `json:"allowed"`
	}
	err := c.call(ctx, request{method: http.MethodGet, path: "setup"}, &answer)
	return err == nil && answer.Allowed, err
}

// SetupRequest is what a fresh server is set up with.
type SetupRequest struct {
	Username string `json:"username"`
	// Password may be empty; nobody can sign in as the user then.
	Password string `json:"password,omitempty"`
	Org      string `json:"org"`
	Bucket   string `json:"bucket"`
	// RetentionSeconds is how long the bucket keeps data; 0 means for ever.
	RetentionSeconds int `json:"retentionPeriodSeconds,omitempty"`
	// Token is the value that the operator token is to have.
	Token string `json:"token"`
}

// SetupAnswer is what a setup made.
type SetupAnswer struct{ AuthorizationID, OrgID, UserID string }

// Setup makes the first user, organization, bucket and operator token of a fresh server. The token is the
// request's, so that it is known whatever becomes of the answer. A failed call whose Error is not NotApplied may
// have been carried out. A server that is set up answers Invalid (422).
func (c *Client) Setup(ctx context.Context, r SetupRequest) (*SetupAnswer, error) {
	type object struct {
		ID string `json:"id"`
	}
	var answer struct{ Auth, Org, User object }
	if err := c.call(ctx, request{method: http.MethodPost, path: "setup", body: r}, &answer); err != nil {
		return nil, err
	}
	if answer.Auth.ID == "" || answer.Org.ID == "" || answer.User.ID == "" {
		return nil, &Error{Kind: NotInfluxDB, Status: http.StatusCreated, connected: true,
			operation: "POST " + c.base + "/api/v2/setup", Message: "the answer lacks the authorization, organization or user"}
	}
	return &SetupAnswer{answer.Auth.ID, answer.Org.ID, answer.User.ID}, nil
}
