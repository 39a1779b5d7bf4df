package lease

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzLease: no lease's data makes ParseData panic, and what was read is written as it was meant.
func FuzzLease(f *testing.F) {
	f.Add("03a2bbf46309a000", "connection", "app", "1800000000")
	f.Fuzz(func(t *testing.T, id, connection, role, deadline string) {
		data := map[string]any{authorizationKey: id, connectionKey: connection, roleKey: role, deadlineKey: deadline}
		for _, wrong := range []any{nil, 7, 1.5, true, []string{id}, map[string]any{}} {
			for key, value := range data {
				data[key] = wrong
				_, err := ParseData(data)
				require.Error(t, err)
				data[key] = value
			}
		}
		read, err := ParseData(data)
		if err != nil {
			return
		}
		again, err := ParseData(read.InternalData())
		require.NoError(t, err)
		require.Equal(t, read, again)
		require.True(t, read.Deadline.Equal(again.Deadline))
		for key, value := range read.InternalData() {
			require.IsType(t, "", value, key)
		}
	})
}
