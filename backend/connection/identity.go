package connection

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/problem"
)

// foreignPause is how long another InfluxDB at the address is taken to stay there: a look for each of a thousand pending
// deletions would tell no more than one.
const foreignPause = time.Minute

// ForeignError says that another InfluxDB answers at the address of a connection than the one that issued its tokens.
type ForeignError struct{ URL, Missing string }

// Error names what is missing there, and the ways on.
func (e *ForeignError) Error() string {
	return fmt.Sprintf("another InfluxDB answers at %s than the one that issued the tokens: it knows no %s. Write the url under which the right one is reached to config, or give its tokens up with abandon_previous=true", e.URL, e.Missing)
}

// IsForeign reports whether err says that another InfluxDB has answered: a ForeignError, or an answer that says so itself.
func IsForeign(err error) bool {
	_, foreign := errors.AsType[*ForeignError](err)
	return foreign || influx.Is(err, influx.Foreign)
}

// identity is what this process knows, besides what is stored, of which InfluxDB a connection leads to.
type identity struct {
	now   func() time.Time
	looks singleflight.Group
	// looking holds one element while a look is under way, and proving while one is that goes over the connection of an
	// answer: such a one must not wait for another that waits for a connection.
	looking, proving chan struct{}

	mu sync.Mutex
	// userID is the root token's user, and orgs are the organizations that were minted in last, by their IDs, as the
	// answers to mints tell them.
	userID string
	orgs   *lru.Cache[string, struct{}]
	// foreign is what the last look said, if it was of another InfluxDB; it holds until foreignUntil.
	foreign      error
	foreignUntil time.Time
}

func newIdentity(now func() time.Time) *identity {
	orgs, _ := lru.New[string, struct{}](maxLearned) // its one error is a size below 1
	return &identity{now: now, looking: make(chan struct{}, 1), proving: make(chan struct{}, 1), orgs: orgs}
}

// Delete deletes an authorization; it is the only place that does. nil means that the InfluxDB that issued it says that
// the token is gone: deleted now, or not there.
func (c *Connection) Delete(ctx context.Context, id string) error {
	err := c.Client.DeleteAuthorization(ctx, id, c.proveHere)
	switch {
	case err == nil:
		c.identity.record(nil) // no other has a token of this ID
	case influx.Is(err, influx.Foreign):
		err = &ForeignError{URL: c.Client.URL(), Missing: "cluster " + c.V3.KnownCluster()}
		c.identity.record(err)
	}
	return err
}

// Gone reports whether err, of a call that named an authorization, proves that it does not exist any more.
func (c *Connection) Gone(ctx context.Context, err error) bool {
	return influx.Is(err, influx.Gone) && c.proveGone(ctx) == nil
}

// proveGone returns nil where an answer "authorization not found" is proof: another InfluxDB at the same address may know
// the root token as well, and answers the same to each ID. Where that was seen within the last minute it is not asked
// again: a look for each of a thousand tokens would tell no more.
func (c *Connection) proveGone(ctx context.Context) error {
	_, err := c.identify(ctx, "unless it was foreign", func(ctx context.Context) (bool, error) {
		if err := c.identity.lastForeign(); err != nil {
			return false, err
		}
		return c.look(ctx)
	})
	return err
}

// proveHere is proveGone over the connection on which the answer came, which is that of the context. A look that others began
// may have gone over another one, and have seen another InfluxDB.
func (c *Connection) proveHere(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.Client.Timeout())
	defer cancel()
	select { // one at a time: where it sees another InfluxDB, those that wait need not look
	case c.identity.proving <- struct{}{}:
		defer func() { <-c.identity.proving }()
	case <-bounded.Done():
		return fmt.Errorf("whether this is the InfluxDB that issued the token could not be seen: %w", bounded.Err())
	}
	if err := c.identity.lastForeign(); err != nil {
		return err
	}
	_, err := c.look(bounded)
	return err
}

// Identify finds out whether the InfluxDB that answers is the one that the connection was made for. It looks for what is
// known of that one by ID: one thing that is seen is proof, whatever else is missing. A *ForeignError says that all that
// can be read is missing; neither true nor an error that nothing is known, or nothing can be read. The look begins after
// the call, so that it judges whatever was answered before. Concurrent calls share one.
func (c *Connection) Identify(ctx context.Context) (bool, error) {
	return c.identify(ctx, "in any case", c.look)
}

func (c *Connection) identify(ctx context.Context, key string, look func(context.Context) (bool, error)) (bool, error) {
	i := c.identity
	return await[bool](ctx, i.looks.DoChan(key, func() (any, error) {
		i.looking <- struct{}{}
		defer func() { <-i.looking }()
		i.looks.Forget(key) // whoever asks from now on needs a look that begins later
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.Client.Timeout())
		defer cancel()
		return look(bounded)
	}))
}

func (i *identity) lastForeign() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.now().Before(i.foreignUntil) {
		return i.foreign
	}
	return nil
}

// record notes how a look ended.
func (i *identity) record(err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.foreign, i.foreignUntil = nil, time.Time{}
	if IsForeign(err) {
		i.foreign, i.foreignUntil = err, i.now().Add(foreignPause)
	}
}

// look asks for one thing after the other, until one is seen, and notes how that ended.
func (c *Connection) look(ctx context.Context) (seen bool, err error) {
	defer func() { c.identity.record(err) }()
	var missing []string
	for _, known := range c.landmarks() {
		sighting, lookErr := known.see(ctx, known.id)
		switch sighting {
		case influx.Seen:
			return true, nil
		case influx.NotThere:
			missing = append(missing, known.kind+" "+known.id)
		case influx.NoAnswer:
			if ctx.Err() != nil {
				return false, fmt.Errorf("whether this is the InfluxDB that issued the token could not be seen: %w", lookErr)
			}
			err = fmt.Errorf("whether this is the InfluxDB that issued the token could not be seen: %w", lookErr)
		}
	}
	if err == nil && len(missing) > 0 {
		err = &ForeignError{URL: c.Client.URL(), Missing: problem.NameSome(missing)}
	}
	return false, err
}

// landmark is something that the InfluxDB of a connection has, by an ID that no other InfluxDB has.
type landmark struct {
	kind, id string
	see      func(ctx context.Context, id string) (influx.Sighting, error)
}

// How many organizations are remembered, and how many of them, those that were minted in last, are looked for.
const (
	maxLearned   = 1000
	maxLandmarks = 100
)

// landmarks are what is known of a connection's InfluxDB: the root token's user first, whose ID every token is told. InfluxDB
// 3 has one, its cluster.
func (c *Connection) landmarks() []landmark {
	if c.V3 != nil {
		return slices.DeleteFunc([]landmark{{"cluster", c.V3.KnownCluster(), c.V3.SeeCluster}}, func(l landmark) bool { return l.id == "" })
	}
	userID := c.identity.learnedUser()
	orgIDs := c.identity.orgs.Keys()
	orgIDs = orgIDs[max(0, len(orgIDs)-maxLandmarks):]
	if c.Found != nil {
		orgIDs = append(append(orgIDs, c.Found.OrgIDs...), c.Found.DefaultOrgID)
	}
	marks := []landmark{
		{"user", cmp.Or(c.RootUserID(), userID), c.V2.SeeOwnUser},
		{"authorization", c.RootID(), c.V2.SeeAuthorization},
	}
	slices.Sort(orgIDs)
	for _, id := range slices.Compact(orgIDs) {
		marks = append(marks, landmark{"organization", id, c.V2.SeeOrganization})
	}
	return slices.DeleteFunc(marks, func(l landmark) bool { return l.id == "" })
}

func (i *identity) learnedUser() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.userID
}

// CheckIssued returns a *ForeignError where another InfluxDB has issued a token; ownerID is who was asked for to own it.
// A token without an owner of its own belongs to the root token's user, whose ID is known; of others the organization
// is, or it is found out once which InfluxDB this is. What the answers tell is remembered: it is recognized by that.
func (c *Connection) CheckIssued(ctx context.Context, a *influx.Authorization, ownerID string) error {
	if c.V3 != nil {
		if known := c.V3.KnownCluster(); known != "" && !strings.EqualFold(a.Cluster, known) {
			return &ForeignError{URL: c.Client.URL(), Missing: "cluster " + known}
		}
		return nil
	}
	userID := cmp.Or(c.RootUserID(), c.identity.learnedUser())
	_, learned := c.identity.orgs.Get(a.OrgID) // which keeps it among those used last
	switch {
	case ownerID == "" && a.UserID != "":
		if userID != "" && !strings.EqualFold(a.UserID, userID) {
			return &ForeignError{URL: c.Client.URL(), Missing: "user " + userID}
		}
		userID = a.UserID
	case learned, c.Found != nil && slices.Contains(c.Found.OrgIDs, a.OrgID):
		return nil
	default:
		seen, err := c.Identify(ctx)
		switch {
		case IsForeign(err):
			return err
		case err != nil: // it proves nothing
			return nil
		case !seen && userID == "":
			me, _ := c.V2.Me(ctx)
			userID = me.ID
		}
	}
	c.identity.learn(a.OrgID, userID)
	return nil
}

func (i *identity) learn(orgID, userID string) {
	i.orgs.Add(orgID, struct{}{})
	i.mu.Lock()
	defer i.mu.Unlock()
	i.userID = userID
}
