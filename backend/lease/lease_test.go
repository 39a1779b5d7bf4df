package lease

import (
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/store"
)

func TestLimits(t *testing.T) {
	const minute = 60
	for _, c := range []struct {
		name      string
		role      store.Role
		requested time.Duration
		want      TTLs
		warning   string
	}{
		{"the mount's", store.Role{}, 0, TTLs{time.Hour, 24 * time.Hour}, ""},
		{"the role's", store.Role{TTL: 10 * minute, MaxTTL: 120 * minute}, 0, TTLs{10 * time.Minute, 2 * time.Hour}, ""},
		{"max_ttl alone bounds the default", store.Role{MaxTTL: 30 * minute}, 0, TTLs{30 * time.Minute, 30 * time.Minute}, ""},
		{"the mount's maximum bounds the role's", store.Role{TTL: 40 * 60 * minute, MaxTTL: 48 * 60 * minute}, 0, TTLs{24 * time.Hour, 24 * time.Hour}, ""},
		{"less requested", store.Role{TTL: 10 * minute}, 90 * time.Second, TTLs{90 * time.Second, 24 * time.Hour}, ""},
		{"more than ttl requested", store.Role{TTL: 10 * minute}, 20 * time.Minute, TTLs{20 * time.Minute, 24 * time.Hour}, ""},
		{"too much requested", store.Role{MaxTTL: 60 * minute}, 5 * time.Hour, TTLs{time.Hour, time.Hour}, "ttl: 5h0m0s is longer than allowed; the lease has 1h0m0s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			limits, err := Limits(&c.role, logical.StaticSystemView{DefaultLeaseTTLVal: time.Hour, MaxLeaseTTLVal: 24 * time.Hour})
			require.NoError(t, err)
			got, warnings := limits.WithRequested(c.requested)
			require.Equal(t, c.want, got)
			if c.warning == "" {
				require.Empty(t, warnings)
			} else {
				require.Equal(t, []string{c.warning}, warnings)
			}
		})
	}
}

// A failed look-up of the mount's limits reads as 0.
func TestLimitsNeedTheMounts(t *testing.T) {
	_, err := Limits(&store.Role{TTL: 60, MaxTTL: 60}, logical.StaticSystemView{DefaultLeaseTTLVal: time.Hour})
	require.ErrorIs(t, err, ErrNoMountLimits)
	unknownDefault := logical.StaticSystemView{MaxLeaseTTLVal: time.Hour}
	_, err = Limits(&store.Role{MaxTTL: 60}, unknownDefault)
	require.ErrorIs(t, err, ErrNoMountLimits)
	_, err = Limits(&store.Role{TTL: 60}, unknownDefault)
	require.NoError(t, err, "the default is not needed")
}

func TestEndBy(t *testing.T) {
	limits := TTLs{time.Hour, 2 * time.Hour}
	got, ok := limits.EndBy(now.Add(90*time.Minute), now)
	require.True(t, ok)
	require.Equal(t, TTLs{time.Hour, 90 * time.Minute}, got)
	got, ok = limits.EndBy(now.Add(time.Minute), now)
	require.True(t, ok)
	require.Equal(t, TTLs{time.Minute, time.Minute}, got)
	_, ok = limits.EndBy(now, now)
	require.False(t, ok)
}
