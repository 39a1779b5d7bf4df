package backend

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/permission"
)

// How much is remembered, and for how long. A mint notices a stale name by InfluxDB's echo, so that the age
// bounds what is kept for nobody; the list of types has no echo and is asked for again each time it is older.
const (
	maxNames    = 10000
	namesAge    = time.Hour
	maxTypesAge = 10 * time.Minute
)

// found is a name and its ID.
type found struct {
	id, name, orgID string
	asked           time.Time
}

// nameKey is what a look-up is remembered under. A key of strings alone would have to be put together anew for
// each bucket of each mint.
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

// directory looks names up in one InfluxDB and remembers what it found. Concurrent look-ups of one name make
// one call. It is bound to one revision of a connection, and nothing of it outlives its last user: the library's
// cache with ages of its own would leave a goroutine behind for ever.
type directory struct {
	client  *influx.Client
	names   *lru.Cache[nameKey, found]
	types   atomic.Pointer[knownTypes]
	flights singleflight.Group
}

// knownTypes are the resource types that a server has listed.
type knownTypes struct {
	types []string
	asked time.Time
}

func newDirectory(client *influx.Client) *directory {
	names, _ := lru.New[nameKey, found](maxNames) // its one error is a size below 1
	return &directory{client: client, names: names}
}

// known is what is remembered of a name, if it is not too old.
func (d *directory) known(key nameKey) (found, bool) {
	f, ok := d.names.Get(key)
	return f, ok && time.Since(f.asked) < namesAge
}

// forget makes the next look-ups of what a token was asked for with ask InfluxDB; org and user are the names that
// were looked up, the role's or the configuration's. Other roles keep what is known: one that is broken must not slow
// them down.
func (d *directory) forget(orgID, org, user string, asked []permission.Permission) {
	d.names.Remove(nameKey{kind: orgByName, name: org})
	d.names.Remove(nameKey{kind: orgByID, name: orgID})
	d.names.Remove(nameKey{kind: userByName, name: user})
	for _, p := range asked {
		d.names.Remove(nameKey{bucketByName, orgID, p.Name})
		d.names.Remove(nameKey{kind: bucketByID, name: p.ID})
	}
}

// lookup answers from memory, or asks and remembers.
func (d *directory) lookup(ctx context.Context, key nameKey, ask func(context.Context) (found, error)) (found, error) {
	if known, ok := d.known(key); ok {
		return known, nil
	}
	// The call outlives a caller that goes away, because others may wait for it; the client bounds it.
	answer := d.flights.DoChan(key.String(), func() (any, error) {
		asked := time.Now()
		f, err := ask(context.WithoutCancel(ctx))
		if err == nil {
			f.asked = asked
			d.names.Add(key, f)
		}
		return f, err
	})
	select {
	case <-ctx.Done():
		return found{}, ctx.Err()
	case result := <-answer:
		return result.Val.(found), result.Err
	}
}

// BucketID finds a bucket by name.
func (d *directory) BucketID(ctx context.Context, orgID, name string) (string, error) {
	key := nameKey{bucketByName, orgID, name}
	if known, ok := d.known(key); ok { // before a closure is made for lookup: this is the path of every mint
		return known.id, nil
	}
	f, err := d.lookup(ctx, key, func(ctx context.Context) (found, error) {
		bucket, err := d.client.Bucket(ctx, orgID, name)
		return found{id: bucket.ID}, noBucket(err)
	})
	return f.id, err
}

// Bucket reads a bucket by ID.
func (d *directory) Bucket(ctx context.Context, id string) (name, orgID string, err error) {
	f, err := d.lookup(ctx, nameKey{kind: bucketByID, name: id}, func(ctx context.Context) (found, error) {
		bucket, err := d.client.BucketByID(ctx, id)
		return found{name: bucket.Name, orgID: bucket.OrgID}, noBucket(err)
	})
	return f.name, f.orgID, err
}

// ResourceOrg reads which organization a resource belongs to; orgID is the one that is hoped for.
func (d *directory) ResourceOrg(ctx context.Context, orgID, resourceType, id string) (string, error) {
	f, err := d.lookup(ctx, nameKey{resourceByID, resourceType, id}, func(ctx context.Context) (found, error) {
		orgID, err := d.client.ResourceOrg(ctx, orgID, resourceType, id)
		if influx.Is(err, influx.NotFound) || influx.Is(err, influx.Gone) || influx.Is(err, influx.NoSuchPath) || influx.Is(err, influx.NotInfluxDB) ||
			influx.Is(err, influx.MissingPermission) {
			err = &permission.NoResource{}
		}
		return found{orgID: orgID}, err
	})
	return f.orgID, err
}

func noBucket(err error) error {
	if influx.Is(err, influx.NotFound) {
		return &permission.NoBucket{}
	}
	return err
}

// ResourceTypes lists the types that the server knows; the built-in list where it has no such endpoint.
func (d *directory) ResourceTypes(ctx context.Context) ([]string, error) {
	if known := d.types.Load(); known != nil && time.Since(known.asked) < maxTypesAge {
		return known.types, nil
	}
	asked := time.Now()
	types, err := d.client.ResourceTypes(ctx)
	if influx.Is(err, influx.NoSuchPath) || influx.Is(err, influx.NotInfluxDB) {
		types, err = permission.KnownTypes, nil
	}
	if err != nil {
		return nil, err
	}
	d.types.Store(&knownTypes{types, asked})
	return types, nil
}

// OrgID finds an organization by name.
func (d *directory) OrgID(ctx context.Context, name string) (string, error) {
	f, err := d.lookup(ctx, nameKey{kind: orgByName, name: name}, func(ctx context.Context) (found, error) {
		org, err := d.client.Organization(ctx, name)
		return found{id: org.ID}, err
	})
	return f.id, err
}

// OrgName finds the name of an organization; "" where the root token may not read it.
func (d *directory) OrgName(ctx context.Context, id string) (string, error) {
	f, err := d.lookup(ctx, nameKey{kind: orgByID, name: strings.ToLower(id)}, func(ctx context.Context) (found, error) {
		org, err := d.client.OrganizationByID(ctx, id)
		if influx.Is(err, influx.MissingPermission) {
			err = nil
		}
		return found{name: org.Name}, err
	})
	return f.name, err
}

// UserID finds a user by name.
func (d *directory) UserID(ctx context.Context, name string) (string, error) {
	f, err := d.lookup(ctx, nameKey{kind: userByName, name: name}, func(ctx context.Context) (found, error) {
		user, err := d.client.User(ctx, name)
		return found{id: user.ID}, err
	})
	return f.id, err
}
