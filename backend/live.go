package backend

import (
	"context"
	"math"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/influxdata/influxdb-client-go/v2/domain"

	"vault-plugin-secrets-influxdb/backend/store"
)

// liveTokens counts the live tokens of each role, so that max_leases costs no call. It is seeded once after
// a start by a pass over InfluxDB's list; until then it knows what was minted since.
type liveTokens struct {
	mu     sync.Mutex
	seeded bool
	byRole map[string]*roleTokens
	// claimed counts the mints under way, by role, which may each become a token.
	claimed map[string]int
	// revoked are the tokens deleted while a pass runs, which its list may still name; nil when none runs.
	revoked map[uint64]bool
}

// roleTokens are the live tokens of one role.
type roleTokens struct {
	// deadlines are in unix seconds, by authorization ID.
	deadlines map[uint64]int64
	// earliest is not after any of them: until then none has passed, and a role that is full needs no look at each.
	earliest int64
}

func (l *liveTokens) add(role, id string, deadline time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.put(role, id, deadline)
}

// put wants the lock held.
func (l *liveTokens) put(role, id string, deadline time.Time) {
	number, err := strconv.ParseUint(id, 16, 64)
	if err != nil || l.revoked[number] {
		return
	}
	if l.byRole == nil {
		l.byRole = map[string]*roleTokens{}
	}
	if l.byRole[role] == nil {
		l.byRole[role] = &roleTokens{deadlines: map[uint64]int64{}, earliest: deadline.Unix()}
	}
	l.byRole[role].add(number, deadline.Unix())
}

func (t *roleTokens) add(number uint64, deadline int64) {
	t.deadlines[number] = deadline
	t.earliest = min(t.earliest, deadline)
}

func (l *liveTokens) remove(role, id string) {
	number, err := strconv.ParseUint(id, 16, 64)
	if err != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.revoked != nil {
		l.revoked[number] = true
	}
	tokens := l.byRole[role]
	if tokens == nil {
		return
	}
	delete(tokens.deadlines, number)
	if len(tokens.deadlines) == 0 {
		delete(l.byRole, role)
	}
}

// count is how many live tokens a role has; it looks at each only where there may be limit of them. It wants the lock
// held.
func (l *liveTokens) count(role string, limit int, now time.Time) int {
	tokens := l.byRole[role]
	if tokens == nil {
		return 0
	}
	if len(tokens.deadlines)+l.claimed[role] >= limit && tokens.earliest < now.Unix() {
		tokens.dropPassed(now.Unix())
	}
	return len(tokens.deadlines)
}

func (t *roleTokens) dropPassed(now int64) {
	t.earliest = math.MaxInt64
	for id, deadline := range t.deadlines {
		if deadline < now {
			delete(t.deadlines, id)
		} else {
			t.earliest = min(t.earliest, deadline)
		}
	}
}

// last is the latest deadline of all, and how many tokens are known to live.
func (l *liveTokens) last(now time.Time) (count int, deadline time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	latest := int64(0)
	for _, tokens := range l.byRole {
		for _, unix := range tokens.deadlines {
			if unix >= now.Unix() {
				count++
				latest = max(latest, unix)
			}
		}
	}
	return count, time.Unix(latest, 0)
}

// reset forgets everything: the next tokens are another connection's.
func (l *liveTokens) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.byRole, l.seeded = nil, false
}

// seedLive makes the pass, once after a start.
func (b *backend) seedLive(ctx context.Context, s logical.Storage) error {
	b.live.mu.Lock()
	seeded := b.live.seeded
	b.live.revoked = map[uint64]bool{}
	b.live.mu.Unlock()
	defer func() {
		b.live.mu.Lock()
		b.live.revoked = nil
		b.live.mu.Unlock()
	}()
	if seeded {
		return nil
	}
	config, err := store.GetConfig(ctx, s)
	if err != nil || config == nil {
		return err
	}
	e, err := b.endpoints.open(config)
	if err != nil {
		return err
	}
	count := b.visitLive(func(id string, st stamp) { b.live.add(st.role, id, st.deadline) })
	err = e.client.EachAuthorization(ctx, func(a domain.Authorization) error {
		count(a)
		return nil
	})
	if err == nil {
		b.live.mu.Lock()
		b.live.seeded = true
		b.live.mu.Unlock()
	}
	return err
}

// stampOf reads the stamp of a token, if it is one of a mount's.
func stampOf(a domain.Authorization, mountUUID string) (id string, st stamp, ok bool) {
	if a.Id == nil {
		return "", stamp{}, false
	}
	if a.Description == nil {
		return *a.Id, stamp{}, false
	}
	st, ok = parseStamp(*a.Description)
	return *a.Id, st, ok && st.mount == mountUUID
}

// visitLive makes a visitor of tokens that picks the lease tokens of this mount whose deadline has not passed.
func (b *backend) visitLive(visit func(id string, st stamp)) func(domain.Authorization) {
	now := b.now()
	return func(a domain.Authorization) {
		id, st, mine := stampOf(a, b.mountUUID)
		if mine && st.kind == kindLease && st.role != probeRole && st.deadline.After(now) {
			visit(id, st)
		}
	}
}
