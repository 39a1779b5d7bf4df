// Package mount is what every part of the engine knows of where it runs: the mount, its clock and log, Vault's own state,
// and how long to wait before something counts as proven.
package mount

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
)

// Bounds of work that has to be finished although its caller has gone.
const (
	// WriteTimeout bounds writing down what must not be forgotten.
	WriteTimeout = 30 * time.Second
	// RotationTimeout bounds one rotation as a whole.
	RotationTimeout = 2 * time.Minute
)

// Mount is one mount of the engine.
type Mount struct {
	// UUID is Vault's UUID of the backend: it marks our tokens in InfluxDB. It survives a move of the mount, and is not
	// the uuid that sys/mounts shows.
	UUID string
	Log  hclog.Logger
	Now  func() time.Time
	// System is Vault as it tells of itself; nil where Vault asks for the plugin's type alone.
	System logical.SystemView

	// unreadable are the errors that LogUnreadable has logged.
	unreadable sync.Map
}

// LogUnreadable logs that an entry of storage can't be read, once in the life of the process.
func (m *Mount) LogUnreadable(err error) {
	if _, repeated := m.unreadable.LoadOrStore(err.Error(), nil); !repeated {
		m.Log.Error("an entry of storage can't be read; the rest goes on, and check says how to be rid of it", "error", err)
	}
}

// Active reports whether background work runs here: where leases live, on the active node of each cluster.
func (m *Mount) Active() bool {
	return !m.System.ReplicationState().HasState(consts.ReplicationPerformanceStandby | consts.ReplicationDRSecondary)
}

// WriteSafe reports whether replicated storage may be written here.
func (m *Mount) WriteSafe() bool {
	return m.Active() && (m.System.LocalMount() || !m.System.ReplicationState().HasState(consts.ReplicationPerformanceSecondary))
}

// Tainted reports whether the mount is being disabled or moved.
func (m *Mount) Tainted() bool { return m.System.Tainted() }

// SystemViewAge is how long an answer of Vault about itself or the mount is cached. A mint right after `vault secrets
// tune` may still have the old lease times; Vault caps them by the new ones all the same.
const SystemViewAge = time.Second

// SystemView caches Vault's answers that are the same for every request. Each question is a call from process to process;
// two of them were measured to cost a mint a tenth of its rate.
type SystemView struct {
	logical.SystemView
	// Age is how long an answer is cached; 0 caches nothing.
	Age time.Duration
	now func() time.Time

	replication        cached[consts.ReplicationState]
	defaultTTL, maxTTL cached[time.Duration]
}

// NewSystemView caches what v answers for SystemViewAge.
func NewSystemView(v logical.SystemView, now func() time.Time) *SystemView {
	return &SystemView{SystemView: v, Age: SystemViewAge, now: now}
}

// ReplicationState is the cached answer of Vault.
func (v *SystemView) ReplicationState() consts.ReplicationState {
	return v.replication.get(v.now(), v.Age, v.SystemView.ReplicationState)
}

// DefaultLeaseTTL is the cached answer of Vault.
func (v *SystemView) DefaultLeaseTTL() time.Duration {
	return v.defaultTTL.get(v.now(), v.Age, v.SystemView.DefaultLeaseTTL)
}

// MaxLeaseTTL is the cached answer of Vault.
func (v *SystemView) MaxLeaseTTL() time.Duration {
	return v.maxTTL.get(v.now(), v.Age, v.SystemView.MaxLeaseTTL)
}

// cached is the last answer to one question.
type cached[T comparable] struct {
	last atomic.Pointer[answer[T]]
}

type answer[T comparable] struct {
	value T
	asked time.Time
}

// get asks, unless the last answer is young. Zero is how a call that failed reads: it is never cached.
func (c *cached[T]) get(now time.Time, age time.Duration, ask func() T) T {
	if last := c.last.Load(); last != nil && now.Sub(last.asked).Abs() < age {
		return last.value
	}
	value := ask()
	var failed T
	if value != failed {
		c.last.Store(&answer[T]{value, now})
	}
	return value
}
