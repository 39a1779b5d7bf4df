package backend

import (
	"context"
	"sync"
)

// turns serialises changes of things by their names. Whoever waits may give up.
type turns struct {
	mu     sync.Mutex
	queues map[string]*turn
}

// turn holds one element while it is somebody's; waiting counts who has it or wants it.
type turn struct {
	taken   chan struct{}
	waiting int
}

// take waits for a name's turn. Only release ends it.
func (t *turns) take(ctx context.Context, name string) (release func(), err error) {
	t.mu.Lock()
	if t.queues == nil {
		t.queues = map[string]*turn{}
	}
	queue := t.queues[name]
	if queue == nil {
		queue = &turn{taken: make(chan struct{}, 1)}
		t.queues[name] = queue
	}
	queue.waiting++
	t.mu.Unlock()
	select {
	case queue.taken <- struct{}{}:
		return func() {
			<-queue.taken
			t.leave(name, queue)
		}, nil
	case <-ctx.Done():
		t.leave(name, queue)
		return nil, ctx.Err()
	}
}

func (t *turns) leave(name string, queue *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if queue.waiting--; queue.waiting == 0 {
		delete(t.queues, name)
	}
}
