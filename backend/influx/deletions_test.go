package influx_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

// Deletions leave most connections to others, however many there are and however long they take.
func TestDeletionsLeaveRoomForMints(t *testing.T) {
	srv := influxtest.New(t)
	client := dial(t, influx.Options{URL: srv.URL, Token: srv.RootToken(), MaxConnections: 8, Timeout: time.Minute})
	release := srv.Stall(http.MethodDelete, "/")
	srv.ResetRequests()
	deletions := func() (count int) {
		for _, r := range srv.Requests() {
			if r.Method == http.MethodDelete {
				count++
			}
		}
		return count
	}

	var storm sync.WaitGroup
	answers := make(chan error, 20)
	for range 20 {
		id, _ := srv.AddToken(srv.OrgID(), srv.UserID())
		storm.Go(func() { answers <- client.DeleteAuthorization(t.Context(), id) })
	}
	eventually(t, func() bool { return deletions() == 2 }, "deletions under way")
	for range 6 {
		_, err := client.CreateAuthorization(t.Context(), order(srv))
		require.NoError(t, err)
	}
	require.Equal(t, 2, deletions(), "a quarter of the connections")

	// One that is given up while it waits for its turn was never sent.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	e := failed(t, client.DeleteAuthorization(ctx, unknownID))
	require.True(t, e.NotApplied())
	require.Equal(t, influx.Unavailable, e.Kind)

	release()
	storm.Wait()
	close(answers)
	for err := range answers {
		require.NoError(t, err)
	}
}
