package influx3

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"vault-plugin-secrets-influxdb/backend/influx"
)

// How long tokens live that nothing else ends, and at most: InfluxDB 3.10.1 takes absurdly many seconds for none, 100 years
// are right. One is always given: a resource token of Enterprise 3.11.3 without an end was reported to be dead at once
// (influxdata/influxdb#27620).
const (
	unending = 10 * 365 * 24 * time.Hour
	longest  = 100 * 365 * 24 * time.Hour
)

// leftoverLife is how long the token lives that Reconcile makes, should its deletion fail.
const leftoverLife = time.Minute

// OperatorName is the name of the token that a server's setup makes. It can't be deleted.
const OperatorName = "_admin"

// Admin is the resource type of the one permission of an admin token, which allows everything.
const Admin = "admin"

// newToken is what a token is made from.
type newToken struct {
	Name        string   `json:"token_name"`
	Expiry      int64    `json:"expiry_secs"`
	Permissions []access `json:"permissions,omitempty"`
}

// access is what a resource token of Enterprise may do.
type access struct {
	Type    string   `json:"resource_type"`
	Names   []string `json:"resource_names"`
	Actions []string `json:"actions"`
}

// answer is what the making of a token is answered with.
type answer struct {
	Name  string `json:"name"`
	Token string `json:"token"`
	// Expiry is when the token ends, by the server's clock.
	Expiry string `json:"expiry"`
}

// NameOf returns the name of a token of a description: the stamp at its end, without brackets. DescriptionOf undoes it.
func NameOf(description string) string {
	return strings.TrimSuffix(description[strings.LastIndexByte(description, '[')+1:], "]")
}

// DescriptionOf returns the description of a token of a name.
func DescriptionOf(name string) string { return "[" + name + "]" }

// CreateAuthorization makes a token that ends by itself, in ten years at the latest unless a longer life is asked for. The answer alone holds its value. A
// failed call whose Error is not NotApplied may have made it all the same, also where it says that the name is taken.
func (c *Client) CreateAuthorization(ctx context.Context, a influx.NewAuthorization) (*influx.Authorization, error) {
	lifetime := cmp.Or(a.Lifetime, unending)
	name := NameOf(a.Description)
	call := creation(newToken{Name: name, Expiry: int64((lifetime + time.Second - 1) / time.Second), Permissions: accesses(a.Permissions)})
	switch {
	case len(a.Permissions) == 0: // without any the call is one for an admin token
		return nil, c.api.Failure(call, 0, refusal("the token would grant nothing"))
	case lifetime <= 0:
		return nil, c.api.Failure(call, 0, refusal("the token's end has passed already"))
	case lifetime > longest:
		return nil, c.api.Failure(call, 0, refusal("InfluxDB 3 takes a token that ends later than in 100 years for one that never ends; set max_ttl"))
	}
	if err := c.meet(ctx); err != nil {
		return nil, err
	}
	var made answer
	cluster, err := c.api.Do(context.WithoutCancel(ctx), call, &made, influx.ClusterHeader)
	c.recent.add(name, c.now()) // the call may have taken as long as a node may be behind
	if err != nil {
		return nil, err
	}
	if made.Token == "" || made.Name != name {
		return nil, c.api.Failure(call, http.StatusCreated, influx.Verdict{Kind: influx.NotInfluxDB, Message: "the answer holds no token of the name that was asked for", Proof: influx.Unproven})
	}
	expires, err := time.Parse(time.RFC3339Nano, made.Expiry)
	if err != nil { // nothing that is decided depends on it, and the token must not be lost to it
		expires = c.now().Add(lifetime)
	}
	return &influx.Authorization{
		ID: name, Token: made.Token, Description: a.Description, Permissions: a.Permissions, Cluster: cluster, Expires: expires,
	}, nil
}

// meet finds out which InfluxDB the client's tokens are to be of, before the first one where that is not known. One that does
// not tell is asked for none: it would not confirm that a token is deleted either. The error is one of a call that changed nothing.
func (c *Client) meet(ctx context.Context) error {
	if c.KnownCluster() != "" {
		return nil
	}
	cluster, err := c.Cluster(ctx)
	v := refusal("InfluxDB does not say which cluster it is, by which another one at the same address could be told from it; it takes 3.7 or later")
	if failed, ok := errors.AsType[*influx.Error](err); ok {
		v.Kind, v.Message, v.Own = failed.Kind, failed.Message, failed.FromInfluxDB()
	}
	if err != nil || cluster == "" {
		return c.api.Failure(influx.Call{Method: http.MethodGet, Path: pingPath}, 0, v)
	}
	c.Learn(cluster)
	return nil
}

func creation(t newToken) influx.Call {
	path := namedAdminPath
	if len(t.Permissions) > 0 {
		path = enterprisePath
	}
	return influx.Call{Method: http.MethodPost, Path: path, Body: t, Success: http.StatusCreated, Judge: judge}
}

func refusal(message string) influx.Verdict {
	return influx.Verdict{Kind: influx.Invalid, Message: message, Proof: influx.NotApplied, Own: true}
}

// accesses are permissions as Enterprise takes them; none for an admin token. Resources with the same actions stand together.
func accesses(permissions []influx.Permission) []access {
	var all []access
	actions := map[influx.Resource][]string{}
	var resources []influx.Resource
	for _, p := range permissions {
		if p.Resource.Type == Admin {
			return nil
		}
		if actions[p.Resource] == nil {
			resources = append(resources, p.Resource)
		}
		actions[p.Resource] = append(actions[p.Resource], p.Action)
	}
	for _, r := range resources {
		name := r.ID
		if name == "" {
			name = "*"
		}
		same := slices.IndexFunc(all, func(a access) bool { return a.Type == r.Type && slices.Equal(a.Actions, actions[r]) })
		if same < 0 {
			all = append(all, access{Type: r.Type, Actions: actions[r]})
			same = len(all) - 1
		}
		all[same].Names = append(all[same].Names, name)
	}
	return all
}

// DeleteAuthorization deletes a token, which is refused from then on by the node that has answered. An Error of kind Gone says
// that there was none. On Enterprise that counts only once every node must know of the token.
// Then prove is asked, where it is not nil, and its answer counts instead.
func (c *Client) DeleteAuthorization(ctx context.Context, name string, prove func(context.Context) error) error {
	err := c.delete(ctx, name)
	if err == nil {
		c.recent.add(name, time.Time{}) // from now on a node that does not know of it is right
	}
	if err = c.unlessRecent(name, err); prove != nil && influx.Is(err, influx.Gone) {
		return prove(ctx)
	}
	return err
}

// delete takes nothing for a deletion but what the server itself says is one: a proxy's page is a 200, too. Like every change it
// does not end with its caller: what is cut off is half done, and may leave the catalog stuck.
func (c *Client) delete(ctx context.Context, name string) error {
	call := influx.Call{Method: http.MethodDelete, Path: tokenPath, Query: url.Values{"token_name": {name}}, Success: http.StatusOK, Judge: c.judgeOfOurs}
	cluster, err := c.api.Delete(context.WithoutCancel(ctx), call, influx.ClusterHeader)
	if err == nil {
		err = c.success(call, cluster)
	}
	return err
}

// unlessRecent makes an error of kind Gone one that proves nothing, where another node may have made the token just now.
func (c *Client) unlessRecent(name string, err error) error {
	if influx.Is(err, influx.Gone) && c.recent.has(name) {
		return c.api.Failure(influx.Call{Method: http.MethodGet, Path: tokenPath}, http.StatusNotFound, influx.Verdict{
			Kind: influx.Unavailable, Message: "this node may not know of the token yet; it is asked again in a minute", Proof: influx.Unproven, Own: true,
		})
	}
	return err
}

// Reconcile ends what a CreateAuthorization of unknown outcome may have made, by its stamp. Not to be found proves nothing: a call that is cut
// off is carried out on disk, and in memory with the next change of the catalog (measured on 3.10.1: of 580 abandoned calls a
// quarter to five of six were in no list and there after a restart). So the same name is asked for again, with a minute to
// live: whether it is taken or not, it is there then, and is deleted. The first call must have ended long ago. On Enterprise
// the token is an admin token all the same: nobody gets to see it.
func (c *Client) Reconcile(ctx context.Context, stamp string) error {
	name := NameOf(stamp)
	call := creation(newToken{Name: name, Expiry: int64(leftoverLife / time.Second)})
	call.Judge = c.judgeOfOurs
	cluster, err := c.api.Do(context.WithoutCancel(ctx), call, nil, influx.ClusterHeader)
	if err == nil {
		if err = c.success(call, cluster); err != nil {
			_ = c.delete(ctx, name) // what was made where it has no business
		}
	}
	if taken, ok := errors.AsType[*influx.Error](err); ok && taken.Status == http.StatusConflict && taken.FromInfluxDB() {
		err = nil
	}
	if err != nil {
		return err
	}
	err = c.delete(ctx, name)
	if influx.Is(err, influx.Gone) && c.recent == nil { // on a cluster another node may be behind
		return nil
	}
	return err
}
