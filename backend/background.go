package backend

import "sync/atomic"

// background lets one run of a kind be under way at a time.
type background struct{ running atomic.Bool }

// start runs do in a goroutine, unless one is running. A panic in it is logged and ends that run alone.
func (g *background) start(b *backend, do func() error) {
	if !g.running.CompareAndSwap(false, true) {
		return
	}
	go func() {
		defer g.running.Store(false)
		var err error
		defer b.recovered(&err)
		if err = do(); err != nil {
			b.log.Warn("background work failed; the next minute tries again", "error", err)
		}
	}()
}
