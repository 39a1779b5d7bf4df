// Package keymutex is a mutex per key whose waiters give up with their context.
package keymutex

import (
	"context"
	"sync"
)

// Map is a mutex for each key. Its zero value is ready; it holds only the keys that somebody has locked or waits for.
type Map struct {
	mu      sync.Mutex
	entries map[string]*entry
}

// entry is one key's mutex: locked while the channel holds an element. users counts who has it or waits for it.
type entry struct {
	locked chan struct{}
	users  int
}

// Lock locks a key and returns the function that unlocks it. The only error is the context's.
func (m *Map) Lock(ctx context.Context, key string) (unlock func(), err error) {
	e := m.use(key)
	select {
	case e.locked <- struct{}{}:
		return func() {
			<-e.locked
			m.release(key, e)
		}, nil
	case <-ctx.Done():
		m.release(key, e)
		return nil, ctx.Err()
	}
}

func (m *Map) use(key string) *entry {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.entries == nil {
		m.entries = map[string]*entry{}
	}
	e := m.entries[key]
	if e == nil {
		e = &entry{locked: make(chan struct{}, 1)}
		m.entries[key] = e
	}
	e.users++
	return e
}

func (m *Map) release(key string, e *entry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e.users--; e.users == 0 {
		delete(m.entries, key)
	}
}

// Locked reports whether somebody has locked a key, or waits for it.
func (m *Map) Locked(key string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.entries[key] != nil
}
