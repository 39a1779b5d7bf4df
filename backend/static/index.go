package static

import (
	"slices"
	"sync"
	"time"

	"vault-plugin-secrets-influxdb/backend/background"
	"vault-plugin-secrets-influxdb/backend/store"
)

// index is what a tick needs to know of the static roles, so that it reads only those that have something due. Its zero
// value is ready.
type index struct {
	mu       sync.Mutex
	byName   map[string]entry
	backoffs map[string]*background.Backoff
}

// entry is one static role.
type entry struct {
	// due is when there is something to do; zero for never.
	due time.Time
	// id and connection are the current token's; previousOn is the connection of the one before.
	id, connection, previousOn string
	// skipped is the last planned rotation, if its window passed without one.
	skipped *store.SkippedRotation
	// missing says that InfluxDB does not know the current token any more.
	missing bool
}

// put notes a role as it was stored.
func (x *index) put(name string, r *store.StaticRole) {
	x.mu.Lock()
	defer x.mu.Unlock()
	e := entry{due: r.NextRotation, id: r.Current.AuthorizationID, connection: r.Current.Connection, skipped: r.Skipped}
	if before := x.byName[name]; before.id == e.id {
		e.missing = before.missing
	}
	if r.Deleted {
		e.due, e.skipped = r.LastRotation, nil // long ago: the deletion is to be finished
	}
	if r.Previous != nil {
		e.previousOn = r.Previous.Connection
		if e.due.IsZero() || r.Previous.Ends.Before(e.due) {
			e.due = r.Previous.Ends
		}
	}
	x.setLocked(name, e)
}

func (x *index) setLocked(name string, e entry) {
	if x.byName == nil {
		x.byName = map[string]entry{}
	}
	x.byName[name] = e
}

func (x *index) remove(name string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.byName, name)
	delete(x.backoffs, name)
}

// markDue has the next tick look at a role: its intention may have been left behind.
func (x *index) markDue(name string, now time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if e := x.byName[name]; e.due.IsZero() || now.Before(e.due) {
		e.due = now
		x.setLocked(name, e)
	}
}

// markMissing notes that InfluxDB does not know a role's current token any more.
func (x *index) markMissing(name, id string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if e := x.byName[name]; e.id == id {
		e.missing = true
		x.setLocked(name, e)
	}
}

// isMissing reports whether a role's current token was seen to be gone.
func (x *index) isMissing(name, id string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	e := x.byName[name]
	return e.missing && e.id == id
}

// due returns the names of the roles that have something to do, the oldest first. A token of another connection than the
// current one is to be replaced, too; an empty connection stands for none.
func (x *index) due(now time.Time, connection string) []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	var names []string
	for name, e := range x.byName {
		inTime := !e.due.IsZero() && !now.Before(e.due)
		onOtherConnection := connection != "" && e.connection != connection
		if inTime || onOtherConnection || e.missing {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int { return x.byName[a].due.Compare(x.byName[b].due) })
	return names
}

// backoff counts the attempts to rotate one role that failed.
func (x *index) backoff(name string) *background.Backoff {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.backoffs == nil {
		x.backoffs = map[string]*background.Backoff{}
	}
	if x.backoffs[name] == nil {
		x.backoffs[name] = &background.Backoff{}
	}
	return x.backoffs[name]
}

// lastError is why a role's last rotation failed; "" when it did not.
func (x *index) lastError(name string) string {
	x.mu.Lock()
	defer x.mu.Unlock()
	if b := x.backoffs[name]; b != nil {
		return b.LastError()
	}
	return ""
}

// failures are the last errors of the roles whose last rotation failed, by name.
func (x *index) failures() map[string]string {
	x.mu.Lock()
	defer x.mu.Unlock()
	failures := map[string]string{}
	for name, b := range x.backoffs {
		if failure := b.LastError(); failure != "" {
			failures[name] = failure
		}
	}
	return failures
}

// skips are the rotations that were skipped, by the names of their roles.
func (x *index) skips() map[string]*store.SkippedRotation {
	x.mu.Lock()
	defer x.mu.Unlock()
	skips := map[string]*store.SkippedRotation{}
	for name, e := range x.byName {
		if e.skipped != nil {
			skips[name] = e.skipped
		}
	}
	return skips
}

// tokensOn returns the current tokens of static roles on a connection: the roles' names by authorization ID.
func (x *index) tokensOn(connection string) map[string]string {
	x.mu.Lock()
	defer x.mu.Unlock()
	names := map[string]string{}
	for name, e := range x.byName {
		if e.connection == connection && e.id != "" {
			names[e.id] = name
		}
	}
	return names
}

// uses reports whether a static role has a token on a connection.
func (x *index) uses(connection string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, e := range x.byName {
		if e.connection == connection || e.previousOn == connection {
			return true
		}
	}
	return false
}
