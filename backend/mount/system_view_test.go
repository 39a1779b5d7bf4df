package mount

import (
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"
)

// askedSystem counts what Vault is asked: over the plugin protocol each question is a call of its own.
type askedSystem struct {
	*logical.StaticSystemView

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
	return s.StaticSystemView.Tainted()
}

func (s *askedSystem) LocalMount() bool {
	s.note("local mount")
	return s.StaticSystemView.LocalMount()
}

func TestVaultIsAskedOnceASecond(t *testing.T) {
	now := time.Now()
	vault := &askedSystem{StaticSystemView: &logical.StaticSystemView{
		DefaultLeaseTTLVal: time.Hour, MaxLeaseTTLVal: 24 * time.Hour, ReplicationStateVal: consts.ReplicationPerformancePrimary,
	}}
	h := NewSystemView(vault, func() time.Time { return now })
	all := func() []any { return []any{h.ReplicationState(), h.DefaultLeaseTTL(), h.MaxLeaseTTL()} }

	before := all()
	vault.DefaultLeaseTTLVal, vault.MaxLeaseTTLVal, vault.ReplicationStateVal = time.Minute, 2*time.Minute, consts.ReplicationPerformanceStandby
	now = now.Add(SystemViewAge - 1)
	require.Equal(t, before, all())
	require.Len(t, vault.asked(), 3)

	now = now.Add(1)
	require.Equal(t, []any{consts.ReplicationPerformanceStandby, time.Minute, 2 * time.Minute}, all())
	require.Len(t, vault.asked(), 3)
}

// A call that failed reads as zero: nothing is concluded from it.
func TestVaultIsAskedAgainAfterAFailure(t *testing.T) {
	vault := &askedSystem{StaticSystemView: &logical.StaticSystemView{}}
	h := NewSystemView(vault, time.Now)
	require.Zero(t, h.MaxLeaseTTL())
	vault.MaxLeaseTTLVal = time.Hour
	require.Equal(t, time.Hour, h.MaxLeaseTTL())
	require.Len(t, vault.asked(), 2)
}

func TestVaultIsAskedAgainWhenTheClockIsSetBack(t *testing.T) {
	now := time.Now()
	vault := &askedSystem{StaticSystemView: &logical.StaticSystemView{MaxLeaseTTLVal: time.Hour}}
	h := NewSystemView(vault, func() time.Time { return now })
	h.MaxLeaseTTL()
	now = now.Add(-time.Hour)
	h.MaxLeaseTTL()
	require.Len(t, vault.asked(), 2)
}
