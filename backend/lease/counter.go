package lease

import (
	"math"
	"strconv"
	"sync"
	"time"
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
	if number, err := parseID(d.AuthorizationID); err == nil {
		c.putLocked(r.role, number, d.Deadline, c.ends.put(number, d, ttl, now))
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
	if number, err := parseID(id); err == nil && c.count == n && !n.removed[number] {
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
	number, err := parseID(id)
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

// parseID reads an authorization's ID as a number, which takes less memory than its text.
func parseID(id string) (uint64, error) { return strconv.ParseUint(id, 16, 64) }
