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
		storm.Go(func() { answers <- client.DeleteAuthorization(t.Context(), id, nil) })
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
	e := failed(t, client.DeleteAuthorization(ctx, unknownID, nil))
	require.True(t, e.NotApplied())
	require.Equal(t, influx.Unavailable, e.Kind)

	release()
	storm.Wait()
	close(answers)
	for err := range answers {
		require.NoError(t, err)
	}
}

// While an address moves, one connection leads to one InfluxDB and the next to another: what is looked at to prove an absence
// is asked over the connection that said it, whatever others are idle by then.
func TestAnAbsenceIsProvenOverItsConnection(t *testing.T) {
	srv := influxtest.New(t)
	type asked struct{ method, from string }
	calls := make(chan asked, 10)
	srv.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		calls <- asked{r.Method + " " + r.URL.Path, r.RemoteAddr}
		next.ServeHTTP(w, r)
	})
	release := srv.Stall(http.MethodGet, "/api/v2/orgs")
	client := connect(t, srv)
	var other sync.WaitGroup
	other.Go(func() { _, _ = client.OrganizationByID(t.Context(), srv.OrgID()) })
	eventually(t, func() bool { return len(srv.Requests()) == 1 }, "a call on another connection")
	require.NoError(t, client.DeleteAuthorization(t.Context(), "0000000000000bad", func(ctx context.Context) error {
		release()
		other.Wait() // so that its connection is the one used last
		_, err := client.Me(ctx)
		return err
	}))
	deleted, looked := <-calls, <-calls
	require.Equal(t, []string{"DELETE /api/v2/authorizations/0000000000000bad", "GET /api/v2/me"}, []string{deleted.method, looked.method})
	require.Equal(t, deleted.from, looked.from)

	err := client.DeleteAuthorization(t.Context(), "0000000000000bad", func(ctx context.Context) error {
		srv.Refuse("", "/")
		_, err := client.Me(ctx)
		require.Error(t, err)
		srv.Intercept(nil)
		_, err = client.Me(ctx)
		return err
	})
	require.True(t, influx.Is(err, influx.Unavailable), "%v", err)
	require.ErrorContains(t, err, "the connection was lost before it was seen which InfluxDB has answered")
}
