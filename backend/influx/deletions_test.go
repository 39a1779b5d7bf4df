package influx_test

import (
	"context"
	"errors"
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
	client, err := influx.New(influx.Options{URL: srv.URL, Token: srv.RootToken(), MaxConnections: 8, Timeout: time.Minute})
	require.NoError(t, err)
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
	failed := make(chan error, 20)
	for range 20 {
		id, _ := srv.AddToken(srv.OrgID(), srv.UserID())
		storm.Go(func() { failed <- client.DeleteAuthorization(t.Context(), id) })
	}
	require.Eventually(t, func() bool { return deletions() == 2 }, time.Minute, time.Millisecond)
	for range 6 {
		_, err = client.CreateAuthorization(t.Context(), order(srv))
		require.NoError(t, err)
	}
	require.Equal(t, 2, deletions(), "a quarter of the connections")

	// One that is given up while it waits for its turn was never sent.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var refused *influx.Error
	require.True(t, errors.As(client.DeleteAuthorization(ctx, "0000000000000001"), &refused))
	require.True(t, refused.NotApplied())
	require.Equal(t, influx.Unavailable, refused.Kind)

	release()
	storm.Wait()
	close(failed)
	for err := range failed {
		require.NoError(t, err)
	}
}
