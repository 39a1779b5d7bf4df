package connection

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/permission"
	"vault-plugin-secrets-influxdb/backend/problem"
)

// How much is cached, and for how long. A mint notices a stale name by InfluxDB's echo, so that the time only bounds what
// is cached for nobody; the list of types has no echo and is read again each time it is older.
const (
	maxNames = 10000
	nameTTL  = time.Hour
	typesTTL = 10 * time.Minute
)

// entry is a name and its ID.
type entry struct {
	id, name, orgID string
	asked           time.Time
}

// nameKey is what a look-up is cached under. A key of strings alone would have to be put together anew for each bucket of
// each mint.
type nameKey struct {
	kind      nameKind
	org, name string
}

type nameKind string

const (
	bucketByName nameKind = "bucket"
	bucketByID   nameKind = "bucket-id"
	resourceByID nameKind = "resource-id"
	orgByName    nameKind = "org"
	orgByID      nameKind = "org-id"
	userByName   nameKind = "user"
)

func (k nameKey) String() string { return strings.Join([]string{string(k.kind), k.org, k.name}, "/") }

// Names looks names up in one InfluxDB and caches what it found; it is a permission.Directory. Concurrent look-ups of one
// name make one call. It belongs to one revision of a connection, and nothing of it outlives its last user: the library's
// cache with expiry of its own would leave a goroutine behind for ever.
type Names struct {
	// client is nil for InfluxDB 3, which takes names as they are: nothing is looked up there.
	client  *influx.Client
	entries *lru.Cache[nameKey, entry]
	types   atomic.Pointer[resourceTypes]
	flights singleflight.Group
	// forgotten counts the calls of Forget.
	forgotten atomic.Int64
}

var _ permission.Directory = (*Names)(nil)

// resourceTypes are the types that a server has listed.
type resourceTypes struct {
	types []string
	asked time.Time
}

func newNames(client *influx.Client) *Names {
	entries, _ := lru.New[nameKey, entry](maxNames) // its one error is a size below 1
	return &Names{client: client, entries: entries}
}

// cached returns what is cached of a name, if it is not too old.
func (n *Names) cached(key nameKey) (entry, bool) {
	e, ok := n.entries.Get(key)
	return e, ok && time.Since(e.asked) < nameTTL
}

// Forget has the next look-ups of what a token was issued with ask InfluxDB again; org and user are the names that were
// looked up, the role's or the configuration's. Everything else stays cached: a broken role must not slow others down.
func (n *Names) Forget(orgID, org, user string, asked []permission.Permission) {
	n.forgotten.Add(1)
	n.entries.Remove(nameKey{kind: orgByName, name: org})
	n.entries.Remove(nameKey{kind: orgByID, name: orgID})
	n.entries.Remove(nameKey{kind: userByName, name: user})
	for _, p := range asked {
		n.entries.Remove(nameKey{bucketByName, orgID, p.Name})
		n.entries.Remove(nameKey{kind: bucketByID, name: p.ID})
	}
}

// Forgotten returns a number that each Forget changes: what was resolved before is not to be relied on after it.
func (n *Names) Forgotten() int64 { return n.forgotten.Load() }

// lookup returns what is cached, or asks and caches the answer.
func (n *Names) lookup(ctx context.Context, key nameKey, ask func(context.Context) (entry, error)) (entry, error) {
	if e, ok := n.cached(key); ok {
		return e, nil
	}
	// The call outlives a caller that goes away, because others may wait for it; the client bounds it.
	answer := n.flights.DoChan(key.String(), func() (any, error) {
		if e, ok := n.cached(key); ok { // a call that was under way has ended just now
			return e, nil
		}
		asked := time.Now()
		e, err := ask(context.WithoutCancel(ctx))
		if err == nil {
			e.asked = asked
			n.entries.Add(key, e)
		}
		return e, err
	})
	return await[entry](ctx, answer)
}

// await waits for an answer that is shared with others, no longer than its caller does.
func await[T any](ctx context.Context, answer <-chan singleflight.Result) (value T, err error) {
	select {
	case <-ctx.Done():
		return value, ctx.Err()
	case result := <-answer:
		return result.Val.(T), result.Err
	}
}

// BucketID finds a bucket by name.
func (n *Names) BucketID(ctx context.Context, orgID, name string) (string, error) {
	key := nameKey{bucketByName, orgID, name}
	if e, ok := n.cached(key); ok { // before a closure is made for lookup: this is the path of every mint
		return e.id, nil
	}
	e, err := n.lookup(ctx, key, func(ctx context.Context) (entry, error) {
		bucket, err := n.client.Bucket(ctx, orgID, name)
		return entry{id: bucket.ID}, noBucket(err)
	})
	return e.id, err
}

// Bucket reads a bucket by ID.
func (n *Names) Bucket(ctx context.Context, id string) (name, orgID string, err error) {
	e, err := n.lookup(ctx, nameKey{kind: bucketByID, name: id}, func(ctx context.Context) (entry, error) {
		bucket, err := n.client.BucketByID(ctx, id)
		return entry{name: bucket.Name, orgID: bucket.OrgID}, noBucket(err)
	})
	return e.name, e.orgID, err
}

// ResourceOrg reads which organization a resource belongs to; orgID is the expected one.
func (n *Names) ResourceOrg(ctx context.Context, orgID, resourceType, id string) (string, error) {
	e, err := n.lookup(ctx, nameKey{resourceByID, resourceType, id}, func(ctx context.Context) (entry, error) {
		orgID, err := n.client.ResourceOrg(ctx, orgID, resourceType, id)
		if influx.IsNotFound(err) || influx.Is(err, influx.NoSuchPath) || influx.Is(err, influx.NotInfluxDB) || influx.Is(err, influx.MissingPermission) {
			err = &permission.NoResource{}
		}
		return entry{orgID: orgID}, err
	})
	return e.orgID, err
}

func noBucket(err error) error {
	if influx.Is(err, influx.NotFound) {
		return &permission.NoBucket{}
	}
	return err
}

// ResourceTypes lists the types that the server knows; the built-in list where it has no such endpoint.
func (n *Names) ResourceTypes(ctx context.Context) ([]string, error) {
	if n.client == nil {
		return permission.Types3, nil
	}
	if cached := n.types.Load(); cached != nil && time.Since(cached.asked) < typesTTL {
		return cached.types, nil
	}
	asked := time.Now()
	types, err := n.client.ResourceTypes(ctx)
	if influx.Is(err, influx.NoSuchPath) || influx.Is(err, influx.NotInfluxDB) {
		types, err = permission.KnownTypes, nil
	}
	if err != nil {
		return nil, err
	}
	n.types.Store(&resourceTypes{types, asked})
	return types, nil
}

// OrgID finds an organization by name.
func (n *Names) OrgID(ctx context.Context, name string) (string, error) {
	e, err := n.lookup(ctx, nameKey{kind: orgByName, name: name}, func(ctx context.Context) (entry, error) {
		org, err := n.client.Organization(ctx, name)
		return entry{id: org.ID}, err
	})
	return e.id, err
}

// OrgName finds the name of an organization; "" where the root token may not read it.
func (n *Names) OrgName(ctx context.Context, id string) (string, error) {
	e, err := n.lookup(ctx, nameKey{kind: orgByID, name: strings.ToLower(id)}, func(ctx context.Context) (entry, error) {
		org, err := n.client.OrganizationByID(ctx, id)
		if influx.Is(err, influx.MissingPermission) {
			err = nil
		}
		return entry{name: org.Name}, err
	})
	return e.name, err
}

// UserID finds a user by name.
func (n *Names) UserID(ctx context.Context, name string) (string, error) {
	e, err := n.lookup(ctx, nameKey{kind: userByName, name: name}, func(ctx context.Context) (entry, error) {
		user, err := n.client.User(ctx, name)
		if influx.Is(err, influx.NoSuchPath) {
			err = problem.InField("user", "this InfluxDB looks up no users, as InfluxDB Cloud Serverless does not; write user_id instead")
		}
		return entry{id: user.ID}, err
	})
	return e.id, err
}
