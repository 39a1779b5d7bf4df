package backend

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
)

// askedSystem counts what Vault is asked: over the plugin protocol each question is a call of its own.
type askedSystem struct {
	*logical.StaticSystemView
	// tainted can be set while requests are under way.
	tainted atomic.Bool

	mu        sync.Mutex
	questions []string
}

func (s *askedSystem) note(question string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.questions = append(s.questions, question)
}

// asked are the questions since the last call.
func (s *askedSystem) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.questions
	s.questions = nil
	return asked
}

func (s *askedSystem) ReplicationState() consts.ReplicationState {
	s.note("replication state")
	return s.StaticSystemView.ReplicationState()
}

func (s *askedSystem) DefaultLeaseTTL() time.Duration {
	s.note("default TTL")
	return s.StaticSystemView.DefaultLeaseTTL()
}

func (s *askedSystem) MaxLeaseTTL() time.Duration {
	s.note("max TTL")
	return s.StaticSystemView.MaxLeaseTTL()
}

func (s *askedSystem) Tainted() bool {
	s.note("tainted")
	return s.tainted.Load() || s.StaticSystemView.Tainted()
}

func (s *askedSystem) LocalMount() bool {
	s.note("local mount")
	return s.StaticSystemView.LocalMount()
}
