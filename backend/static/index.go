package static

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"vault-plugin-secrets-influxdb/backend/background"
	"vault-plugin-secrets-influxdb/backend/problem"
	"vault-plugin-secrets-influxdb/backend/store"
)

// index is what a tick needs to know of the static roles, so that it reads only those that have something due. Its zero
// value is ready. It knows what was loaded.
type index struct {
	mu     sync.Mutex
	byName map[string]*entry
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
	// backoff counts the attempts to rotate the role that failed.
	backoff background.Backoff
}

// entryLocked returns a role's entry, a new one where it has none.
func (x *index) entryLocked(name string) *entry {
	if x.byName == nil {
		x.byName = map[string]*entry{}
	}
	if x.byName[name] == nil {
		x.byName[name] = &entry{}
	}
	return x.byName[name]
}

// note takes a role over as it was stored.
func (x *index) note(name string, r *store.StaticRole) {
	x.mu.Lock()
	defer x.mu.Unlock()
	e := x.entryLocked(name)
	e.missing = e.missing && e.id == r.Current.AuthorizationID
	e.id, e.connection, e.previousOn = r.Current.AuthorizationID, r.Current.Connection, ""
	e.due, e.skipped = r.NextRotation, r.Skipped
	if r.Deleted {
		e.due, e.skipped = r.LastRotation, nil // long ago: the deletion is to be finished
	}
	if r.Previous != nil {
		e.previousOn = r.Previous.Connection
		if e.due.IsZero() || r.Previous.Ends.Before(e.due) {
			e.due = r.Previous.Ends
		}
	}
}

func (x *index) remove(name string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.byName, name)
}

// markDue has the next tick look at a role: its intention may have been left behind.
func (x *index) markDue(name string, now time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if e := x.entryLocked(name); e.due.IsZero() || now.Before(e.due) {
		e.due = now
	}
}

// markMissing notes that InfluxDB does not know a role's current token any more.
func (x *index) markMissing(name, id string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if e := x.byName[name]; e != nil && e.id == id {
		e.missing = true
	}
}

// isMissing reports whether a role's current token was seen to be gone.
func (x *index) isMissing(name, id string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	e := x.byName[name]
	return e != nil && e.missing && e.id == id
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
	return &x.entryLocked(name).backoff
}

// LastError is why a role's last rotation failed, as far as this process knows; "" when it did not.
func (x *index) LastError(name string) string {
	x.mu.Lock()
	defer x.mu.Unlock()
	if e := x.byName[name]; e != nil {
		return e.backoff.LastError()
	}
	return ""
}

// TokensOn returns the current tokens of static roles on a connection: the roles' names by authorization ID.
func (x *index) TokensOn(connection string) map[string]string {
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

// Uses reports whether a static role has a current or previous token on a connection.
func (x *index) Uses(connection string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, e := range x.byName {
		if e.connection == connection || e.previousOn == connection {
			return true
		}
	}
	return false
}

// Problems names the roles whose last rotation was skipped, and those whose last one failed as far as this process knows.
func (x *index) Problems() (problems []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(x.byName)) {
		e := x.byName[name]
		if e.skipped != nil {
			problems = append(problems, fmt.Sprintf("static role %q: the rotation that was due at %s was skipped (%s), and the old token stays; rotate-role/%s makes one now", name, problem.RFC3339(e.skipped.Due), oneLine(e.skipped.Reason), name))
		}
		if failure := e.backoff.LastError(); failure != "" {
			problems = append(problems, fmt.Sprintf("static role %q: the last rotation failed, and the old token stays; it is tried again by itself: %s", name, oneLine(failure)))
		}
	}
	return problems
}

func oneLine(s string) string { return strings.ReplaceAll(s, "\n", "; ") }
