package influx3test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// CrashContract tests what outlives a crash: all that was answered, and what was given up either whole or not at all. It
// kills the server and starts it again.
func CrashContract(t *testing.T, core *Core) {
	client := &http.Client{Transport: &http.Transport{}, Timeout: time.Minute}
	t.Cleanup(client.CloseIdleConnections)
	s := &suite{t, Target{core.URL, core.Token, "core", ""}, client}
	crash := func() {
		core.Kill()
		client.CloseIdleConnections()
		core.Start()
	}
	made := s.mint(uniqueName(), 600)
	crash()
	require.True(t, s.works(made.Token), "a token outlives a crash right after its 201")
	s.operator("DELETE", deletePath(made.Name), nil).is(200)
	crash()
	require.False(t, s.works(made.Token), "a deletion outlives a crash right after its 200")

	prefix := uniqueName()
	names := map[string]bool{}
	for i := range abandonments {
		name := fmt.Sprintf("%s:%d", prefix, i)
		names[name] = false
		s.abandon(s.request("POST", namedAdminPath, s.OperatorToken, namedAdmin(name, 600)), patience(i))
	}
	before := len(s.listed(prefix + "%"))
	crash()
	for _, name := range s.listed(prefix + "%") {
		names[name] = true
	}
	after := 0
	for name, there := range names {
		if there {
			after++
		}
		r := s.operator("POST", namedAdminPath, namedAdmin(name, 600))
		require.Equal(t, map[bool]int{true: 409, false: 201}[there], r.status, "after a restart the list is whole")
		s.operator("DELETE", deletePath(name), nil).is(200)
	}
	t.Logf("of %d creations given up, %d were listed before the crash and %d after it", abandonments, before, after)
}
