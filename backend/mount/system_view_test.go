package mount

import (
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"
)

// counting is a Vault that counts what it is asked.
type counting struct {
	*logical.StaticSystemView
	questions int
}

func (c *counting) ReplicationState() consts.ReplicationState {
	c.questions++
	return c.StaticSystemView.ReplicationState()
}

func (c *counting) DefaultLeaseTTL() time.Duration {
	c.questions++
	return c.StaticSystemView.DefaultLeaseTTL()
}

func (c *counting) MaxLeaseTTL() time.Duration {
	c.questions++
	return c.StaticSystemView.MaxLeaseTTL()
}

func TestVaultIsAskedOnceASecond(t *testing.T) {
	now := time.Now()
	vault := &counting{StaticSystemView: &logical.StaticSystemView{
		DefaultLeaseTTLVal: time.Hour, MaxLeaseTTLVal: 24 * time.Hour, ReplicationStateVal: consts.ReplicationPerformancePrimary,
	}}
	h := NewSystemView(vault, func() time.Time { return now })
	all := func() []any { return []any{h.ReplicationState(), h.DefaultLeaseTTL(), h.MaxLeaseTTL()} }

	before := all()
	vault.DefaultLeaseTTLVal, vault.MaxLeaseTTLVal, vault.ReplicationStateVal = time.Minute, 2*time.Minute, consts.ReplicationPerformanceStandby
	now = now.Add(SystemViewAge - 1)
	require.Equal(t, before, all())
	require.Equal(t, 3, vault.questions)

	now = now.Add(1)
	require.Equal(t, []any{consts.ReplicationPerformanceStandby, time.Minute, 2 * time.Minute}, all())
	require.Equal(t, 6, vault.questions)
}

// A call that failed reads as zero: nothing is concluded from it.
func TestVaultIsAskedAgainAfterAFailure(t *testing.T) {
	vault := &counting{StaticSystemView: &logical.StaticSystemView{}}
	h := NewSystemView(vault, time.Now)
	require.Zero(t, h.MaxLeaseTTL())
	vault.MaxLeaseTTLVal = time.Hour
	require.Equal(t, time.Hour, h.MaxLeaseTTL())
	require.Equal(t, 2, vault.questions)
}

func TestVaultIsAskedAgainWhenTheClockIsSetBack(t *testing.T) {
	now := time.Now()
	vault := &counting{StaticSystemView: &logical.StaticSystemView{MaxLeaseTTLVal: time.Hour}}
	h := NewSystemView(vault, func() time.Time { return now })
	h.MaxLeaseTTL()
	now = now.Add(-time.Hour)
	h.MaxLeaseTTL()
	require.Equal(t, 2, vault.questions)
}
