package backend

import (
	"sync/atomic"
	"time"

	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
)

// hostAge is how long an answer of Vault about itself or the mount holds. A mint right after `vault secrets tune`
// may still have the old lease times; Vault caps them by the new ones all the same.
const hostAge = time.Second

// host is Vault as a request asks it. Each question is a call from process to process; two of them were measured
// to cost a mint a tenth of its rate. The answers are the same for every request, so that they are asked for
// once a second, however many requests there are.
type host struct {
	logical.SystemView
	now func() time.Time
	// age is hostAge, but for tests whose Vault changes from one request to the next.
	age time.Duration

	replication        lately[consts.ReplicationState]
	defaultTTL, maxTTL lately[time.Duration]
}

func (h *host) ReplicationState() consts.ReplicationState {
	return h.replication.ask(h.now(), h.age, h.SystemView.ReplicationState)
}

func (h *host) DefaultLeaseTTL() time.Duration {
	return h.defaultTTL.ask(h.now(), h.age, h.SystemView.DefaultLeaseTTL)
}

func (h *host) MaxLeaseTTL() time.Duration {
	return h.maxTTL.ask(h.now(), h.age, h.SystemView.MaxLeaseTTL)
}

// lately is the last answer to one question.
type lately[T comparable] struct {
	last atomic.Pointer[reply[T]]
}

type reply[T comparable] struct {
	value T
	asked time.Time
}

// ask asks, unless the last answer is young. Zero is how a call that failed reads: it is never kept.
func (l *lately[T]) ask(now time.Time, age time.Duration, question func() T) T {
	if last := l.last.Load(); last != nil && now.Sub(last.asked).Abs() < age {
		return last.value
	}
	value := question()
	var failed T
	if value != failed {
		l.last.Store(&reply[T]{value, now})
	}
	return value
}
