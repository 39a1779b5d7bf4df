package lease

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"
	"unique"
)

// Counter counts the live tokens of each role, so that max_leases costs no call. A Count adds those that exist already,
// once after a start; until then it knows what was issued since. Of what was issued since it knows when the lease ends,
// too. Its zero value is ready.
type Counter struct {
	mu   sync.Mutex
	ends ends
	// claimed are the tokens that ClaimEnded has returned and Unclaim has not given back.
	claimed map[uint64]bool

	counted, needed bool
	// lookedAt says that it was looked whether some role has a cap, since the start or the last Reset.
	lookedAt bool
	// count is the Count under way; nil when none is.
	count  *Count
	byRole map[string]*roleTokens
	// reserved counts the reservations that are open, by role.
	reserved map[string]int
}

// Count is the count of the tokens that exist already, from one list of them. A nil one counts nothing. Reset ends it: what
// it adds from then on is dropped.
type Count struct {
	counter *Counter
	// removed are the tokens removed meanwhile, which the list that is being counted may still name.
	removed map[uint64]bool
}

// roleTokens are the live tokens of one role.
type roleTokens struct {
	// deadlines are in unix seconds, by authorization ID.
	deadlines map[uint64]int64
	// earliest is not after any of them, and firstEnd not after the end of any of their leases: until then none has
	// passed, and a role that is full needs no look at each.
	earliest int64
	firstEnd time.Duration
}

// Reservation is room for one token of a role, held while the token is being issued.
type Reservation struct {
	counter *Counter
	role    string
	closed  bool
}

// Reserve makes a reservation. It fails when the role has max live tokens, or will have once everything is issued
// that is reserved. A max of 0 is no limit. Tokens past their deadline, or past the end of their lease, do not count.
func (c *Counter) Reserve(role string, max int, now time.Time) (*Reservation, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.needed = c.needed || max > 0
	if max > 0 && c.liveLocked(role, max, now)+c.reserved[role] >= max {
		return nil, false
	}
	if c.reserved == nil {
		c.reserved = map[string]int{}
	}
	c.reserved[role]++
	return &Reservation{counter: c, role: role}, true
}

// Commit counts the token that was issued, under a lease of ttl, and ends the reservation.
func (r *Reservation) Commit(d Data, ttl time.Duration, now time.Time) {
	c := r.counter
	c.mu.Lock()
	defer c.mu.Unlock()
	if number, around, err := parseID(d.AuthorizationID); err == nil {
		c.putLocked(r.role, number, d.Deadline, c.ends.put(number, around, d, ttl, now))
	}
	r.releaseLocked()
}

// Release ends a reservation for which no token was issued. After Commit it does nothing.
func (r *Reservation) Release() {
	r.counter.mu.Lock()
	defer r.counter.mu.Unlock()
	r.releaseLocked()
}

func (r *Reservation) releaseLocked() {
	if r.closed {
		return
	}
	r.closed = true
	if r.counter.reserved[r.role]--; r.counter.reserved[r.role] == 0 {
		delete(r.counter.reserved, r.role)
	}
}

// NeedsCount reports whether the tokens that exist already are still to be counted: they are not, and some role has a cap.
// anyCapped looks whether one has. It is asked once: a role that is given a cap later needs the count with its first mint.
func (c *Counter) NeedsCount(anyCapped func() (bool, error)) (bool, error) {
	c.mu.Lock()
	counted, needed, looked := c.counted, c.needed, c.lookedAt
	c.mu.Unlock()
	if counted || needed || looked {
		return needed && !counted, nil
	}
	capped, err := anyCapped()
	if err != nil {
		return false, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lookedAt, c.needed = true, c.needed || capped
	return c.needed && !c.counted, nil
}

// StartCount begins to count the tokens that exist already; nil where they are counted. One that fails is begun anew by
// the next call.
func (c *Counter) StartCount() *Count {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counted {
		return nil
	}
	c.count = &Count{counter: c, removed: map[uint64]bool{}}
	return c.count
}

// Add counts a token, unless it was removed since the count began.
func (n *Count) Add(role, id string, deadline time.Time) {
	if n == nil {
		return
	}
	c := n.counter
	c.mu.Lock()
	defer c.mu.Unlock()
	if number, _, err := parseID(id); err == nil && c.count == n && !n.removed[number] {
		c.putLocked(role, number, deadline, c.ends.of(number))
	}
}

// End ends the count. complete says that all of the list was read.
func (n *Count) End(complete bool) {
	if n == nil {
		return
	}
	n.counter.mu.Lock()
	defer n.counter.mu.Unlock()
	if n.counter.count == n {
		n.counter.count, n.counter.counted = nil, complete
	}
}

// Remove takes a token out that was revoked.
func (c *Counter) Remove(role, id string) {
	number, _, err := parseID(id)
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.count != nil {
		c.count.removed[number] = true
	}
	c.forgetLocked(number)
	if tokens := c.byRole[role]; tokens != nil {
		if delete(tokens.deadlines, number); len(tokens.deadlines) == 0 {
			delete(c.byRole, role)
		}
	}
}

// Last returns how many live tokens are known, and the latest of their deadlines.
func (c *Counter) Last(now time.Time) (count int, deadline time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	latest := int64(0)
	for _, tokens := range c.byRole {
		for _, unix := range tokens.deadlines {
			if unix >= now.Unix() {
				count++
				latest = max(latest, unix)
			}
		}
	}
	return count, time.Unix(latest, 0)
}

// Live returns how many live tokens each role has; nil until those are counted that existed before.
func (c *Counter) Live(now time.Time) map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.counted {
		return nil
	}
	live := make(map[string]int, len(c.byRole))
	for role := range c.byRole {
		live[role] = c.liveLocked(role, 0, now)
	}
	return live
}

// Reset drops all tokens from the count: the next ones are another connection's. The ends of their leases stay known.
func (c *Counter) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.byRole, c.counted, c.needed, c.lookedAt, c.count = nil, false, false, false, nil
}

func (c *Counter) putLocked(role string, number uint64, deadline time.Time, end time.Duration) {
	if c.byRole == nil {
		c.byRole = map[string]*roleTokens{}
	}
	tokens := c.byRole[role]
	if tokens == nil {
		tokens = &roleTokens{deadlines: map[uint64]int64{}, earliest: math.MaxInt64, firstEnd: math.MaxInt64}
		c.byRole[role] = tokens
	}
	tokens.deadlines[number] = deadline.Unix()
	tokens.earliest, tokens.firstEnd = min(tokens.earliest, deadline.Unix()), min(tokens.firstEnd, end)
}

// liveLocked returns how many live tokens a role has. It looks at each only where there may be limit of them.
func (c *Counter) liveLocked(role string, limit int, now time.Time) int {
	tokens := c.byRole[role]
	if tokens == nil {
		return 0
	}
	if passed := tokens.earliest < now.Unix() || tokens.firstEnd < c.ends.clock(now); passed && len(tokens.deadlines)+c.reserved[role] >= limit {
		c.dropPassedLocked(tokens, now)
	}
	return len(tokens.deadlines)
}

func (c *Counter) dropPassedLocked(tokens *roleTokens, now time.Time) {
	tokens.earliest, tokens.firstEnd = math.MaxInt64, math.MaxInt64
	for number, deadline := range tokens.deadlines {
		end := c.ends.of(number)
		if deadline < now.Unix() || end < c.ends.clock(now) {
			delete(tokens.deadlines, number)
		} else {
			tokens.earliest, tokens.firstEnd = min(tokens.earliest, deadline), min(tokens.firstEnd, end)
		}
	}
}

// parseID reads an authorization's ID as a number, which takes less memory than its text. On InfluxDB 3, where the ID is a
// stamp, the number is its nonce, and what stands around that the same for many tokens: all of a role that end in the same
// second.
func parseID(id string) (number uint64, around frame, err error) {
	if end := strings.LastIndexByte(id, ':'); end >= digits {
		around, id = frame{id[:end-digits], id[end:]}, id[end-digits:end]
	}
	number, err = strconv.ParseUint(id, 16, 64)
	return number, around, err
}

// digits is the length of an ID of InfluxDB 2, and of a nonce.
const digits = 16

// frame is what stands before and behind an ID's number.
type frame struct{ before, behind string }

// id returns the ID of a number.
func (f frame) id(number uint64) string {
	return fmt.Sprintf("%s%0*x%s", f.before, digits, number, f.behind)
}

// ends are the last moments at which the tokens that this process has issued can have a lease. A caller that hangs up
// while Vault is handed the answer leaves a token for which Vault registers no lease, and tells nobody. The process sees
// each renewal and each revocation of what it has issued, so that it knows which tokens those are.
//
// Moments are durations since the first token was issued, on the monotonic clock, as Vault's own timers are: neither a
// step of the wall clock nor a machine that was suspended ends a lease. A token takes one entry of 24 bytes.
type ends struct {
	start time.Time
	// shards are many small maps, so that nobody waits for a look at all of them.
	shards [64]map[uint64]end
}

type end struct {
	at    time.Duration
	owner unique.Handle[owner]
}

// owner is what the deletion of a token needs besides its ID. There are few different ones.
type owner struct {
	role, connection string
	around           frame
}

// clock is the time on the clock of the ends.
func (e *ends) clock(now time.Time) time.Duration { return now.Sub(e.start) }

// shard spreads by the milliseconds of InfluxDB's IDs, which stand above a machine and a sequence number that is mostly 0.
func (e *ends) shard(number uint64) *map[uint64]end {
	return &e.shards[(number>>22^number)%uint64(len(e.shards))]
}

// of returns the end of a token's lease; never where the process has not issued it.
func (e *ends) of(number uint64) time.Duration {
	if known, ok := (*e.shard(number))[number]; ok {
		return known.at
	}
	return math.MaxInt64
}

// put notes a token that was issued, and returns when its lease ends.
func (e *ends) put(number uint64, around frame, d Data, ttl time.Duration, now time.Time) time.Duration {
	if e.start.IsZero() {
		e.start = now
	}
	shard := e.shard(number)
	if *shard == nil {
		*shard = map[uint64]end{}
	}
	at := e.clock(now) + ttl
	(*shard)[number] = end{at, unique.Make(owner{d.Role, d.Connection, around})}
	return at
}

// Extend notes that a lease may last for ttl from now; it never makes one shorter. It is false where the token is claimed
// as one without a lease: it must not be renewed. What the process has not issued has no end that it would know.
func (c *Counter) Extend(d Data, ttl time.Duration, now time.Time) bool {
	number, _, err := parseID(d.AuthorizationID)
	if err != nil {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	shard := *c.ends.shard(number)
	known, ok := shard[number]
	if !ok || c.claimed[number] {
		return !ok
	}
	ended := known.at < c.ends.clock(now)
	known.at = max(known.at, c.ends.clock(now)+ttl)
	shard[number] = known
	if ended { // it may not be in the count any more
		c.putLocked(d.Role, number, d.Deadline, known.at)
	}
	return true
}

// ClaimEnded returns tokens whose leases have ended for more than margin and were neither renewed nor revoked, at most
// limit of them. They are the caller's: none of them can be renewed, or claimed again, before Unclaim.
func (c *Counter) ClaimEnded(now time.Time, margin time.Duration, limit int) []Data {
	var ended []Data
	for n := range c.ends.shards {
		c.mu.Lock()
		for number, e := range c.ends.shards[n] {
			if len(ended) == limit {
				break
			}
			if e.at+margin >= c.ends.clock(now) || c.claimed[number] {
				continue
			}
			if c.claimed == nil {
				c.claimed = map[uint64]bool{}
			}
			c.claimed[number] = true
			of := e.owner.Value()
			ended = append(ended, Data{AuthorizationID: of.around.id(number), Connection: of.connection, Role: of.role})
		}
		c.mu.Unlock()
	}
	return ended
}

// MayHaveLease reports whether this process has issued a token and its lease may still run, whatever the wall clock says:
// Vault's timers do not go by that either.
func (c *Counter) MayHaveLease(id string, now time.Time) bool {
	number, _, err := parseID(id)
	if err != nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	known, ok := (*c.ends.shard(number))[number]
	return ok && known.at >= c.ends.clock(now)
}

// Unclaim gives back what was claimed. What was not removed meanwhile is claimed again by the next ClaimEnded.
func (c *Counter) Unclaim(ended []Data) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range ended {
		number, _, _ := parseID(d.AuthorizationID)
		delete(c.claimed, number)
	}
}

// Forget drops the end of a token's lease: its deletion is written down. It counts until it is deleted.
func (c *Counter) Forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if number, _, err := parseID(id); err == nil {
		c.forgetLocked(number)
	}
}

func (c *Counter) forgetLocked(number uint64) {
	shard := c.ends.shard(number)
	if delete(*shard, number); len(*shard) == 0 {
		*shard = nil // a map never gives its memory back
	}
}

// Close drops all that is known of ends: the renewals that follow are not seen here.
func (c *Counter) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.ends.shards[:])
}
