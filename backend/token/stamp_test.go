package token

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const mountUUID = "9e1a4b6c-0f2d-4a7e-8c35-d1f0b2a49e77"

// FuzzStamp: no text makes ParseStamp panic, what it reads is what stands at the end of the text, and a text of others in
// front of a stamp, once sanitized, neither passes for one nor hides it.
func FuzzStamp(f *testing.F) {
	stamp := Stamp{mountUUID, Lease, "app", "0123456789abcdef", time.Unix(1800000000, 0)}
	f.Add(stamp.String())
	f.Fuzz(func(t *testing.T, text string) {
		if found, ok := ParseStamp(text); ok {
			require.True(t, strings.HasSuffix(text, found.String()), "%q is read as %s", text, found)
			again, ok := ParseStamp(found.String())
			require.True(t, ok)
			require.Equal(t, found, again)
		}
		sanitized := Sanitize(text)
		require.NotContains(t, sanitized, stampStart)
		if _, ok := ParseStamp(sanitized); ok {
			t.Fatalf("a text passes for ours: %q", sanitized)
		}
		description := strings.TrimSpace(sanitized + " " + stamp.String())
		found, ok := ParseStamp(description)
		require.True(t, ok, "%q", description)
		require.Equal(t, stamp, found)
		require.Equal(t, 1, strings.Count(description, stampStart))
		require.Equal(t, strings.TrimSpace(sanitized), StripStamp(description))
		// Whoever clones it in InfluxDB's interface owns the clone.
		if _, ok := ParseStamp(description + " (cloned at 2026-01-01)"); ok {
			t.Fatalf("a clone passes for ours: %q", description)
		}
	})
}

func TestStampsWithoutADeadline(t *testing.T) {
	stamp := Stamp{Mount: mountUUID, Kind: Root, Role: RootRole, Nonce: "00"}
	require.Equal(t, "[vault:v1:"+mountUUID+":root:-root:00:0]", stamp.String())
	found, ok := ParseStamp(stamp.String())
	require.True(t, ok)
	require.Equal(t, stamp, found)
}
