package mint

import (
	"context"
	"net/http"
	"sync"
	"time"

	"vault-plugin-secrets-influxdb/backend/mount"
	"vault-plugin-secrets-influxdb/backend/problem"
)

const (
	// quiesceTimeout bounds the wait for the mints under way: Vault holds its state lock meanwhile.
	quiesceTimeout = 10 * time.Second
	// taintInterval is how often revocations ask Vault, at most: each question is a call.
	taintInterval = time.Second
)

var errTainted = &problem.Error{Status: http.StatusServiceUnavailable, Text: "the mount is being disabled or moved; no token is handed out"}

// gate keeps account of the mints that are under way, and of whether the mount was seen to be tainted.
type gate struct {
	mu       sync.Mutex
	underWay int
	// idle is closed when no mint is under way any more; nil unless somebody waits for that.
	idle chan struct{}
	// ended is when the last mint ended.
	ended time.Time
	// tainted has each mint ask Vault, and closed refuse without asking. asked is when a revocation last did.
	tainted, closed bool
	asked           time.Time
}

// Quiesce is called when Vault says that the mount is being disabled or moved. Vault revokes the leases that it knows, and
// then the mount may be gone: a token that is handed out meanwhile would stay for ever. So each mint that ends from now on
// asks Vault, and its token is deleted where the mount is still tainted. Quiesce returns when no mint is under way and
// what was answered last is registered, after a bounded time, or when ctx ends.
func (m *Minter) Quiesce(ctx context.Context) {
	wait(ctx, m.gate.close(), quiesceTimeout)
	wait(ctx, nil, mount.Registration-m.mount.Now().Sub(m.gate.lastEnd()))
}

// wait returns when done is closed, after a time, or when ctx ends.
func wait(ctx context.Context, done <-chan struct{}, limit time.Duration) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// Resume is called when Vault says that the mount is not tainted: mints ask nothing any more.
func (m *Minter) Resume() {
	m.gate.mu.Lock()
	defer m.gate.mu.Unlock()
	m.gate.tainted = false
}

// SuspectsTaint reports whether a revocation should ask Vault if the mount is tainted: mints are under way that do not ask
// themselves. Usually the tick before has seen it.
func (m *Minter) SuspectsTaint() bool {
	g, now := &m.gate, m.mount.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.tainted || g.underWay == 0 || now.Sub(g.asked).Abs() < taintInterval {
		return false
	}
	g.asked = now
	return true
}

// Close is called when the mount ends. Where it was tainted it is gone, and Vault may not be there to be asked: a call that
// fails reads as no taint. It reports whether it was.
func (m *Minter) Close() (tainted bool) {
	m.gate.mu.Lock()
	defer m.gate.mu.Unlock()
	m.gate.closed = true
	return m.gate.tainted
}

// isTainted asks Vault, where a tick or a revocation has seen that the mount is tainted. It may not be any more: one that
// was moved goes on.
func (m *Minter) isTainted() bool {
	m.gate.mu.Lock()
	tainted, closed := m.gate.tainted, m.gate.closed
	m.gate.mu.Unlock()
	return tainted && (closed || m.mount.Tainted())
}

func (g *gate) begin() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.underWay++
}

func (g *gate) end(now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ended = now
	if g.underWay--; g.underWay == 0 && g.idle != nil {
		close(g.idle)
		g.idle = nil
	}
}

// close has each mint ask Vault. What it returns is closed when none is under way.
func (g *gate) close() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tainted = true
	if g.idle == nil {
		g.idle = make(chan struct{})
	}
	idle := g.idle
	if g.underWay == 0 {
		close(idle)
		g.idle = nil
	}
	return idle
}

func (g *gate) lastEnd() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.ended
}
