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
	"vault-plugin-secrets-influxdb/backend/rotation"
	"vault-plugin-secrets-influxdb/backend/store"
)

// index is what a tick needs to know of the static roles, so that it reads only those that have something due. Its zero
// value is ready. It knows what was loaded.
type index struct {
	mu     sync.Mutex
	byName map[string]*entry
	// strays are the static tokens that the last list showed and no role has: the names in their stamps by authorization ID.
	strays map[string]string
	// lastTried is the role whose token was tried last, and versions are those of the servers then, by connection.
	lastTried string
	versions  map[string]string
}

// entry is one static role.
type entry struct {
	// role is the role as it was stored, without what it grants and its token's value.
	role store.StaticRole
	// bounded is the last moment at which the role's times were what they can be; as long as the clock does not go back
	// they stay so.
	bounded time.Time
	// marked says that the next tick is to look at it, whatever it has due.
	marked bool
	// unread says that it could not be read: which tokens it has is not known.
	unread bool
	// missing says that InfluxDB does not accept the current token any more.
	missing bool
	// dead is when a token of the role was last seen to be missing behind its authorization, until the next look.
	dead string
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
	e.missing = e.missing && e.role.Current.AuthorizationID == r.Current.AuthorizationID
	e.role = store.StaticRole{
		RotationPlan: r.RotationPlan, RotationTimes: r.RotationTimes, GracePeriod: r.GracePeriod, Previous: r.Previous, Deleted: r.Deleted,
		Current: store.StaticToken{AuthorizationID: r.Current.AuthorizationID, Connection: r.Current.Connection, Expires: r.Current.Expires},
	}
	e.bounded = time.Time{}
	e.marked = r.Deleted // its deletion is to be finished
	e.unread = false
}

// markUnread has each tick read a role again.
func (x *index) markUnread(name string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.entryLocked(name).unread = true
}

func (x *index) remove(name string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.byName, name)
}

// mark has the next tick look at a role: its intention may have been left behind.
func (x *index) mark(name string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.entryLocked(name).marked = true
}

// markMissing notes that InfluxDB does not accept a role's current token any more.
func (x *index) markMissing(name, id string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if e := x.byName[name]; e != nil && e.role.Current.AuthorizationID == id {
		e.missing = true
	}
}

// markDead is markMissing of a token that InfluxDB does not know, although it has its authorization.
func (x *index) markDead(name, id, at string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if e := x.byName[name]; e != nil && e.role.Current.AuthorizationID == id {
		e.missing, e.dead = true, at
	}
}

// clearDead begins a new look at which tokens are dead: those that were are replaced.
func (x *index) clearDead() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, e := range x.byName {
		if !e.missing {
			e.dead = ""
		}
	}
}

// nextToTry returns the name after the one that it returned last, in a slice, and the others. Names are sorted.
func (x *index) nextToTry(names []string) (one, others []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	next, found := slices.BinarySearch(names, x.lastTried)
	if found {
		next++
	}
	next %= len(names)
	x.lastTried = names[next]
	return names[next : next+1], slices.Delete(slices.Clone(names), next, next+1)
}

// seeVersion notes a server's version, and returns the one that was noted before.
func (x *index) seeVersion(connection, now string) (before string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.versions == nil {
		x.versions = map[string]string{}
	}
	before, x.versions[connection] = x.versions[connection], now
	return before
}

func (x *index) setStrays(strays map[string]string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.strays = strays
}

func (x *index) removeStray(id string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.strays, id)
}

// tokens returns the current and the previous tokens of all roles.
func (x *index) tokens() map[string]bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	ids := map[string]bool{}
	for _, e := range x.byName {
		ids[e.role.Current.AuthorizationID] = true
		if e.role.Previous != nil {
			ids[e.role.Previous.AuthorizationID] = true
		}
	}
	return ids
}

// isMissing reports whether a role's current token was seen to be gone.
func (x *index) isMissing(name, id string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	e := x.byName[name]
	return e != nil && e.missing && e.role.Current.AuthorizationID == id
}

// due returns the names of the roles that have something to do, the oldest first. A token of another connection than the
// current one is to be replaced, too; an empty connection stands for none.
func (x *index) due(now time.Time, connection string) []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	var names []string
	for name, e := range x.byName {
		onOtherConnection := connection != "" && e.role.Current.Connection != connection
		if e.marked || e.unread || e.missing || onOtherConnection || e.isDue(now) {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		return NextRotation(&x.byName[a].role).Compare(NextRotation(&x.byName[b].role))
	})
	return names
}

// isDue reports whether something is due for a role, or can't be due as late as it says.
func (e *entry) isDue(now time.Time) bool {
	if rotation.IsDue(e.role.RotationPlan, e.role.NextRotation, now) || isEnding(&e.role, now) || hasEnded(&e.role, now) {
		return true
	}
	now = now.Round(0) // the wall clock's: the monotonic one never goes back
	if e.bounded.IsZero() || now.Before(e.bounded) {
		corrected := e.role
		if correct(&corrected, now) {
			return true
		}
	}
	e.bounded = now
	return false
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

// NextRotations returns when each static role's token is rotated next by itself; zero for never.
func (x *index) NextRotations() map[string]time.Time {
	x.mu.Lock()
	defer x.mu.Unlock()
	next := map[string]time.Time{}
	for name, e := range x.byName {
		if e.role.Current.AuthorizationID != "" && !e.role.Deleted && !e.unread {
			next[name] = NextRotation(&e.role)
		}
	}
	return next
}

// TokensOn returns the current tokens of static roles on a connection: the roles' names by authorization ID.
func (x *index) TokensOn(connection string) map[string]string {
	x.mu.Lock()
	defer x.mu.Unlock()
	names := map[string]string{}
	for name, e := range x.byName {
		if current := e.role.Current; current.Connection == connection && current.AuthorizationID != "" {
			names[current.AuthorizationID] = name
		}
	}
	return names
}

// Uses reports whether a static role has a current or previous token on a connection, or may have: one that can't be read.
func (x *index) Uses(connection string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, e := range x.byName {
		if e.unread || e.role.Current.Connection == connection || e.role.Previous != nil && e.role.Previous.Connection == connection {
			return true
		}
	}
	return false
}

// Problems names the roles whose last rotation was skipped, or failed as far as this process knows, those that an earlier
// version stored in a way that is refused now, and what the last list of all tokens showed.
func (x *index) Problems() (problems []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(x.byName)) {
		e := x.byName[name]
		add := func(format string, args ...any) {
			problems = append(problems, fmt.Sprintf("static role %q: ", name)+fmt.Sprintf(format, args...))
		}
		if skipped := e.role.Skipped; skipped != nil && !e.role.Deleted {
			add("the rotation that was due at %s was skipped (%s), and the old token stays; rotate-role/%s makes one now", problem.RFC3339(skipped.Due), oneLine(skipped.Reason), name)
		}
		if failure := e.backoff.LastError(); failure != "" {
			until := ""
			if expires := e.role.Current.Expires; !expires.IsZero() {
				until = ", until InfluxDB ends it at " + problem.RFC3339(expires)
			}
			add("the last rotation failed, and the old token stays%s; it is tried again by itself: %s", until, oneLine(failure))
		}
		if e.dead != "" {
			add("at %s InfluxDB did not know its token any more, although it had its authorization, as after a downgrade that erases tokens; it is replaced by itself, and whoever holds the old one has to read static-creds/%s again", e.dead, name)
		}
		if rotation.HasZone(e.role.RotationPlan) {
			add("rotation_schedule names a time zone, which is ignored: it runs in UTC; write its five fields alone")
		}
		if tooLong := graceTooLong(&e.role); tooLong != "" {
			add("grace_period: %s, and the previous token works for that long; write a shorter one or a rarer schedule", tooLong)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(x.strays)) {
		problems = append(problems, fmt.Sprintf("authorization %s bears the stamp of static role %q and is no token that it has: it came back with an InfluxDB that was restored from a backup, and works until it is deleted; delete tokens/%s", id, x.strays[id], id))
	}
	return problems
}

func oneLine(s string) string { return strings.ReplaceAll(s, "\n", "; ") }
