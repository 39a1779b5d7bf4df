package influxtest

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// store is what the server holds. Its maps are keyed by ID; IDs all have the same length, so that their order as
// strings is their order as numbers, in which influxd lists.
type store struct {
	orgs           map[string]*organization
	users          map[string]*user
	buckets        map[string]*bucket
	authorizations map[string]*authorization

	byToken map[string]string // token value to authorization ID
	issued  []string          // every token value, the operator token's first
	lastID  uint64
}

type organization struct {
	id, name         string
	members          map[string]bool // IDs of users
	created, updated time.Time
}

type user struct {
	id, name, status string
}

type bucket struct {
	id, orgID, name, description string
	system                       bool
	created, updated             time.Time
}

type authorization struct {
	id, token, status, description, orgID, userID string
	permissions                                   []Permission
	created, updated                              time.Time
}

const (
	active   = "active"
	inactive = "inactive"
)

func newStore() *store {
	return &store{
		orgs:           map[string]*organization{},
		users:          map[string]*user{},
		buckets:        map[string]*bucket{},
		authorizations: map[string]*authorization{},
		byToken:        map[string]string{},
		lastID:         firstID(),
	}
}

// firstID draws where a server's IDs begin: influxd's hold the time and its own number, so that two servers never give
// the same one.
func firstID() uint64 {
	var raw [4]byte
	_, _ = rand.Read(raw[:]) // never fails: it ends the program first
	return 0x11ae_0000_0000_0000 | uint64(binary.BigEndian.Uint32(raw[:]))<<16
}

// clone returns a copy that shares nothing with s.
func (s *store) clone() *store {
	return &store{
		orgs: cloneValues(s.orgs, func(o *organization) { o.members = maps.Clone(o.members) }), users: cloneValues(s.users, nil),
		buckets: cloneValues(s.buckets, nil), authorizations: cloneValues(s.authorizations, nil),
		byToken: maps.Clone(s.byToken), issued: slices.Clone(s.issued), lastID: s.lastID,
	}
}

func cloneValues[T any](m map[string]*T, deepen func(*T)) map[string]*T {
	cloned := make(map[string]*T, len(m))
	for key, value := range m {
		again := *value
		if deepen != nil {
			deepen(&again)
		}
		cloned[key] = &again
	}
	return cloned
}

// nextID makes the ID of a user or an authorization: ever growing, so that a list is in the order of creation.
func (s *store) nextID() string {
	s.lastID += 0x1000
	return fmt.Sprintf("%016x", s.lastID)
}

// randomID makes the ID of an organization or a bucket, which influxd draws at random.
func randomID() string {
	for {
		var raw [8]byte
		_, _ = rand.Read(raw[:]) // never fails: it ends the program first
		if n := binary.BigEndian.Uint64(raw[:]); n != 0 {
			return fmt.Sprintf("%016x", n)
		}
	}
}

// newToken makes a token value: 64 random bytes in URL-safe base64, 88 characters (authorization/service.go).
func newToken() string {
	var raw [64]byte
	_, _ = rand.Read(raw[:])
	return base64.URLEncoding.EncodeToString(raw[:])
}

// inOrder returns a map's values in the order of their IDs.
func inOrder[T any](m map[string]T) []T {
	values := make([]T, 0, len(m))
	for _, id := range slices.Sorted(maps.Keys(m)) {
		values = append(values, m[id])
	}
	return values
}

func (s *store) orgNamed(name string) *organization {
	for _, o := range s.orgs {
		if o.name == strings.TrimSpace(name) { // tenant/storage_org.go trims what it looks up
			return o
		}
	}
	return nil
}

func (s *store) userNamed(name string) *user {
	for _, u := range s.users {
		if u.name == name {
			return u
		}
	}
	return nil
}

func (s *store) bucketNamed(orgID, name string) *bucket {
	for _, b := range s.buckets {
		if b.orgID == orgID && b.name == name {
			return b
		}
	}
	return nil
}

// addOrg makes an organization with its two system buckets; ownerID becomes its first member
// (tenant/service_org.go).
func (s *store) addOrg(name, ownerID string) (*organization, error) {
	switch {
	case strings.TrimSpace(name) == "":
		return nil, failure(invalid, "org name is empty")
	case s.orgNamed(name) != nil:
		return nil, failure(conflict, "organization with name %s already exists", name)
	}
	now := time.Now().UTC()
	o := &organization{id: randomID(), name: name, members: map[string]bool{ownerID: true}, created: now, updated: now}
	s.orgs[o.id] = o
	for name, use := range map[string]string{"_tasks": "task", "_monitoring": "monitoring"} {
		s.putBucket(&bucket{orgID: o.id, name: name, description: "System bucket for " + use + " logs", system: true})
	}
	return o, nil
}

func (s *store) addUser(name, status string) (*user, error) {
	if s.userNamed(name) != nil {
		return nil, failure(conflict, "user with name %s already exists", name)
	}
	u := &user{id: s.nextID(), name: name, status: status}
	s.users[u.id] = u
	return u, nil
}

func (s *store) addBucket(orgID, name string) (*bucket, error) {
	if err := validBucketName(name); err != nil {
		return nil, err
	}
	switch {
	case s.orgs[orgID] == nil:
		return nil, errOrgNotFound
	case s.bucketNamed(orgID, name) != nil:
		return nil, failure(conflict, "bucket with name %s already exists", name)
	}
	return s.putBucket(&bucket{orgID: orgID, name: name}), nil
}

func (s *store) putBucket(b *bucket) *bucket {
	b.id, b.created = randomID(), time.Now().UTC()
	b.updated = b.created
	s.buckets[b.id] = b
	return b
}

// validBucketName holds what tenant/service_bucket.go says about the names of buckets that users make.
func validBucketName(name string) error {
	switch {
	case strings.HasPrefix(name, "_"):
		return failure(invalid, "bucket name %s is invalid. Buckets may not start with underscore", name)
	case strings.Contains(name, `"`):
		return failure(invalid, "bucket name %s is invalid. Bucket names may not include quotation marks", name)
	}
	return nil
}

func (s *store) renameBucket(b *bucket, name string) error {
	if name == b.name {
		return nil
	}
	if b.system { // there is an error with better words in the source, but this one comes first (measured)
		return failure(internal, "database not found: %s", b.id)
	}
	if err := validBucketName(name); err != nil {
		return err
	}
	if s.bucketNamed(b.orgID, name) != nil {
		return failure(conflict, "bucket name is not unique")
	}
	b.name, b.updated = name, time.Now().UTC()
	return nil
}

// deleteOrg takes the organization's buckets with it, and no authorization: those stay behind as orphans
// (measured).
func (s *store) deleteOrg(id string) {
	delete(s.orgs, id)
	maps.DeleteFunc(s.buckets, func(_ string, b *bucket) bool { return b.orgID == id })
}

// deleteUser takes the user's memberships along, and no authorization: those stay behind as orphans (measured).
func (s *store) deleteUser(id string) {
	delete(s.users, id)
	for _, o := range s.orgs {
		delete(o.members, id)
	}
}

// addToken stores an authorization under a new ID and with a new value.
func (s *store) addToken(a *authorization) *authorization {
	a.id, a.token, a.created = s.nextID(), newToken(), time.Now().UTC()
	a.updated = a.created
	if a.status == "" {
		a.status = active
	}
	s.authorizations[a.id] = a
	s.byToken[a.token] = a.id
	s.issued = append(s.issued, a.token)
	return a
}

func (s *store) deleteToken(a *authorization) {
	delete(s.byToken, a.token)
	delete(s.authorizations, a.id)
}
