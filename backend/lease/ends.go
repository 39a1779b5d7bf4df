package lease

import (
	"fmt"
	"math"
	"time"
	"unique"
)

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
type owner struct{ role, connection string }

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
func (e *ends) put(number uint64, d Data, ttl time.Duration, now time.Time) time.Duration {
	if e.start.IsZero() {
		e.start = now
	}
	shard := e.shard(number)
	if *shard == nil {
		*shard = map[uint64]end{}
	}
	at := e.clock(now) + ttl
	(*shard)[number] = end{at, unique.Make(owner{d.Role, d.Connection})}
	return at
}

// Extend notes that a lease may last for ttl from now; it never makes one shorter. It is false where the token is claimed
// as one without a lease: it must not be renewed. What the process has not issued has no end that it would know.
func (c *Counter) Extend(d Data, ttl time.Duration, now time.Time) bool {
	number, err := parseID(d.AuthorizationID)
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
			ended = append(ended, Data{AuthorizationID: fmt.Sprintf("%016x", number), Connection: of.connection, Role: of.role})
		}
		c.mu.Unlock()
	}
	return ended
}

// MayHaveLease reports whether this process has issued a token and its lease may still run, whatever the wall clock says:
// Vault's timers do not go by that either.
func (c *Counter) MayHaveLease(id string, now time.Time) bool {
	number, err := parseID(id)
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
		number, _ := parseID(d.AuthorizationID)
		delete(c.claimed, number)
	}
}

// Forget drops the end of a token's lease: its deletion is written down. It counts until it is deleted.
func (c *Counter) Forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if number, err := parseID(id); err == nil {
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
