package backend

import (
	"slices"
	"sync"
	"time"

	"vault-plugin-secrets-influxdb/backend/store"
)

// statics is what a tick needs to know of the static roles, so that it reads only those that are due.
type statics struct {
	mu       sync.Mutex
	loaded   bool
	byName   map[string]staticNote
	attempts map[string]*attempts
	loading  turns
}

// staticNote is one static role.
type staticNote struct {
	// due is when there is something to do; zero for never.
	due time.Time
	// id and connection are the current token's; previousOn is the connection of the one before.
	id, connection, previousOn string
	// skipped is the last planned rotation, if its window passed without one.
	skipped *store.SkippedRotation
	// gone says that InfluxDB does not know the current token any more.
	gone bool
}

// note keeps a role as it was stored.
func (x *statics) note(name string, role *store.StaticRole) {
	x.mu.Lock()
	defer x.mu.Unlock()
	noted := staticNote{due: role.NextRotation, id: role.Current.AuthorizationID, connection: role.Current.Connection, skipped: role.Skipped}
	if before := x.byName[name]; before.id == noted.id {
		noted.gone = before.gone
	}
	if role.Deleted {
		noted.due, noted.skipped = role.LastRotation, nil // long ago: the deletion is to be finished
	}
	if role.Previous != nil {
		noted.previousOn = role.Previous.Connection
		if noted.due.IsZero() || role.Previous.Ends.Before(noted.due) {
			noted.due = role.Previous.Ends
		}
	}
	x.set(name, noted)
}

// set wants the lock held.
func (x *statics) set(name string, noted staticNote) {
	if x.byName == nil {
		x.byName = map[string]staticNote{}
	}
	x.byName[name] = noted
}

func (x *statics) remove(name string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.byName, name)
	delete(x.attempts, name)
}

// forget has everything read again: another node has written, or it is not known what was.
func (x *statics) forget() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.loaded = false
}

// beginLoad reports whether the roles are to be read. What is written from then on is noted, or has them read again.
func (x *statics) beginLoad() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	wanted := !x.loaded
	x.loaded = true
	return wanted
}

// lookAt has a tick look at a role whose intention was left behind.
func (x *statics) lookAt(name string, now time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	noted := x.byName[name]
	noted.due = now
	x.set(name, noted)
}

// lose notes that InfluxDB does not know a role's current token any more.
func (x *statics) lose(name, id string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if noted := x.byName[name]; noted.id == id {
		noted.gone = true
		x.set(name, noted)
	}
}

// isGone reports whether a role's current token was seen to be gone.
func (x *statics) isGone(name, id string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	noted := x.byName[name]
	return noted.gone && noted.id == id
}

// due are the names of the roles that have something to do, the oldest first. A token of another connection than
// the current one is to be replaced, too; an empty connection stands for none.
func (x *statics) due(now time.Time, connection string) []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	var names []string
	for name, noted := range x.byName {
		timely := !noted.due.IsZero() && !now.Before(noted.due)
		stray := connection != "" && noted.connection != connection
		if timely || stray || noted.gone {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int { return x.byName[a].due.Compare(x.byName[b].due) })
	return names
}

// of are the attempts to rotate one role.
func (x *statics) of(name string) *attempts {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.attempts == nil {
		x.attempts = map[string]*attempts{}
	}
	if x.attempts[name] == nil {
		x.attempts[name] = &attempts{}
	}
	return x.attempts[name]
}

// failures are the last errors of the roles whose last rotation failed, by name.
func (x *statics) failures() map[string]string {
	x.mu.Lock()
	defer x.mu.Unlock()
	failed := map[string]string{}
	for name, tries := range x.attempts {
		if said := tries.lastError(); said != "" {
			failed[name] = said
		}
	}
	return failed
}

// skips are the rotations that were skipped, by the names of their roles.
func (x *statics) skips() map[string]*store.SkippedRotation {
	x.mu.Lock()
	defer x.mu.Unlock()
	skipped := map[string]*store.SkippedRotation{}
	for name, noted := range x.byName {
		if noted.skipped != nil {
			skipped[name] = noted.skipped
		}
	}
	return skipped
}

// tokensOn are the current tokens of static roles on a connection: the roles' names by authorization ID.
func (x *statics) tokensOn(connection string) map[string]string {
	x.mu.Lock()
	defer x.mu.Unlock()
	names := map[string]string{}
	for name, noted := range x.byName {
		if noted.connection == connection && noted.id != "" {
			names[noted.id] = name
		}
	}
	return names
}

// uses reports whether a static role has a token on a connection.
func (x *statics) uses(connection string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, noted := range x.byName {
		if noted.connection == connection || noted.previousOn == connection {
			return true
		}
	}
	return false
}
