package backend

import "time"

// claim is a place among a role's tokens, for a mint that is under way.
type claim struct {
	live *liveTokens
	role string
	over bool
}

// claim takes a place; nil when the role has limit live tokens, or will have once all is minted that is under way.
// A limit of 0 is none. Tokens past their deadline do not count.
func (l *liveTokens) claim(role string, limit int, now time.Time) *claim {
	l.mu.Lock()
	defer l.mu.Unlock()
	if limit > 0 && l.count(role, limit, now)+l.claimed[role] >= limit {
		return nil
	}
	if l.claimed == nil {
		l.claimed = map[string]int{}
	}
	l.claimed[role]++
	return &claim{live: l, role: role}
}

// fill puts the token that was minted in the place.
func (c *claim) fill(id string, deadline time.Time) {
	c.live.mu.Lock()
	defer c.live.mu.Unlock()
	c.live.put(c.role, id, deadline)
	c.end()
}

// giveBack gives a place back that was not filled.
func (c *claim) giveBack() {
	c.live.mu.Lock()
	defer c.live.mu.Unlock()
	c.end()
}

// end wants the lock held.
func (c *claim) end() {
	if c.over {
		return
	}
	c.over = true
	if c.live.claimed[c.role]--; c.live.claimed[c.role] == 0 {
		delete(c.live.claimed, c.role)
	}
}
