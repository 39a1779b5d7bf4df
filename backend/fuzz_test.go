package backend

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// FuzzStamp: no text makes parseStamp panic, what it reads is what stands at the end of the text, and whatever a
// caller is called, the description of its token is ours alone.
func FuzzStamp(f *testing.F) {
	mark := stamp{testUUID, kindLease, "app", "0123456789abcdef", time.Unix(1800000000, 0)}
	f.Add(mark.String())
	f.Fuzz(func(t *testing.T, text string) {
		if found, ok := parseStamp(text); ok {
			require.True(t, strings.HasSuffix(text, found.String()), "%q is read as %s", text, found)
			again, ok := parseStamp(found.String())
			require.True(t, ok)
			require.Equal(t, found, again)
		}
		fill := &caller{}
		for _, template := range []string{"", "{{.DisplayName}}", "{{.EntityID}}", text} {
			if template == text && checkDescription(text) != nil {
				continue
			}
			human, err := describe(template, who{Permissions: "Read buckets metrics", Mount: "influxdb/", Role: "app", DisplayName: text, EntityID: text}, fill)
			if err != nil {
				continue // such as an identity template, for a caller without an entity
			}
			require.LessOrEqual(t, len(human), maxHumanPart+len("…"))
			require.NotContains(t, human, stampStart)
			description := strings.TrimSpace(human + " " + mark.String())
			found, ok := parseStamp(description)
			require.True(t, ok, "%q", description)
			require.Equal(t, mark, found)
			// Whoever clones it in InfluxDB's interface owns the clone.
			if _, ok := parseStamp(description + " (cloned at 2026-01-01)"); ok {
				t.Fatalf("a clone passes for ours: %q", description)
			}
			require.Equal(t, 1, strings.Count(description, stampStart))
		}
	})
}

// FuzzLease: no lease's data makes decodeLease panic, and what was read is written as it was meant.
func FuzzLease(f *testing.F) {
	f.Add("03a2bbf46309a000", "connection", "app", "1800000000")
	f.Fuzz(func(t *testing.T, id, connection, role, deadline string) {
		data := map[string]any{leaseAuthorization: id, leaseConnection: connection, leaseRole: role, leaseDeadline: deadline}
		for _, wrong := range []any{nil, 7, 1.5, true, []string{id}, map[string]any{}} {
			for key, value := range data {
				data[key] = wrong
				_, err := decodeLease(data)
				require.Error(t, err)
				data[key] = value
			}
		}
		read, err := decodeLease(data)
		if err != nil {
			return
		}
		again, err := decodeLease(read.encode())
		require.NoError(t, err)
		require.Equal(t, read, again)
		require.True(t, read.deadline.Equal(again.deadline))
		for key, value := range read.encode() {
			require.IsType(t, "", value, key)
		}
	})
}
