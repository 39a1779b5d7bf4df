package influxtest_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/faulttest"
	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

func TestFail(t *testing.T) {
	srv := influxtest.New(t)
	srv.Fail("", "/api/v2/", 503, "text/html", "<html>down</html>")
	srv.Fail("POST", "/api/v2/authorizations", 500, "", "")

	answer, body := get(t, srv, "/api/v2/me", srv.RootToken())
	require.Equal(t, 503, answer.StatusCode)
	require.Equal(t, "text/html", answer.Header.Get("Content-Type"))
	require.Empty(t, answer.Header.Get("X-Influxdb-Version"), "a proxy's answer, not InfluxDB's")
	require.Equal(t, "<html>down</html>", body)

	answer, err := create(context.Background(), srv)
	require.NoError(t, err)
	require.Equal(t, 500, answer.StatusCode, "the newest fault goes first")
	require.NotContains(t, answer.Header, "Content-Type")
	answer, _ = get(t, srv, "/ping", "")
	require.Equal(t, 204, answer.StatusCode, "other requests are not touched")

	srv.Intercept(nil)
	answer, _ = get(t, srv, "/api/v2/me", srv.RootToken())
	require.Equal(t, 200, answer.StatusCode)
	require.Equal(t, []string{srv.RootID()}, tokenIDs(srv))
}

func TestRefuseDoesNothing(t *testing.T) {
	srv := influxtest.New(t)
	srv.Refuse("POST", "/api/v2/authorizations")
	_, err := create(context.Background(), srv)
	require.Error(t, err)
	require.Len(t, srv.Requests(), 1)
	require.Equal(t, []string{srv.RootID()}, tokenIDs(srv))
}

func TestLoseAnswerDoesWhatWasAsked(t *testing.T) {
	srv := influxtest.New(t)
	srv.LoseAnswer("POST", "/api/v2/authorizations")
	_, err := create(context.Background(), srv)
	require.Error(t, err)
	require.Len(t, srv.Tokens(), 2)
}

func TestReplaceAnswerDoesWhatWasAsked(t *testing.T) {
	srv := influxtest.New(t)
	srv.ReplaceAnswer("POST", "/api/v2/authorizations", 403, "text/html", "<html>denied</html>")
	answer, err := create(context.Background(), srv)
	require.NoError(t, err)
	require.Equal(t, 403, answer.StatusCode)
	require.Equal(t, "text/html", answer.Header.Get("Content-Type"))
	require.Empty(t, answer.Header.Get("X-Influxdb-Version"))
	require.Len(t, srv.Tokens(), 2)
}

func TestRedirect(t *testing.T) {
	there, srv := influxtest.New(t), influxtest.New(t)
	srv.Redirect("", "/ping", there.URL+"/influx")
	_, _ = get(t, srv, "/ping?verbose=true", "")
	require.Equal(t, []influxtest.Request{{Method: "GET", Path: "/influx/ping", Query: "verbose=true"}}, there.Requests())
}

func TestStarting(t *testing.T) {
	srv := influxtest.New(t)
	up := srv.Starting("v2.10.0")
	for _, path := range []string{"/ping", "/api/v2/me"} {
		answer, body := get(t, srv, path, srv.RootToken())
		require.Equal(t, 503, answer.StatusCode)
		require.Equal(t, "{\"status\":\"starting\"}\n", body)
		require.Equal(t, "v2.10.0", answer.Header.Get("X-Influxdb-Version"))
		require.Equal(t, "application/json; charset=utf-8", answer.Header.Get("Content-Type"))
	}
	up()
	up() // a second time does nothing
	answer, _ := get(t, srv, "/ping", "")
	require.Equal(t, 204, answer.StatusCode)
}

func TestShiftClock(t *testing.T) {
	srv := influxtest.New(t)
	srv.ShiftClock(-time.Hour)
	answer, _ := get(t, srv, "/ping", "")
	date, err := http.ParseTime(answer.Header.Get("Date"))
	require.NoError(t, err)
	require.WithinDuration(t, time.Now().Add(-time.Hour), date, time.Minute)
}

// Another server at the same address knows the same operator token and nothing else.
func TestInstead(t *testing.T) {
	srv := influxtest.New(t, influxtest.RootToken("the same"))
	other := influxtest.New(t, influxtest.RootToken(srv.RootToken()))
	srv.Intercept(influxtest.Instead(other))
	for path, status := range map[string]int{
		"/api/v2/orgs/" + other.OrgID(): 200, "/api/v2/orgs/" + srv.OrgID(): 404,
		"/api/v2/users/" + srv.UserID(): 404, "/api/v2/authorizations/" + srv.RootID(): 404,
	} {
		answer, _ := get(t, srv, path, srv.RootToken())
		require.Equal(t, status, answer.StatusCode, path)
	}
	require.Len(t, other.Requests(), 4)
	srv.Intercept(nil)
	answer, _ := get(t, srv, "/api/v2/orgs/"+srv.OrgID(), srv.RootToken())
	require.Equal(t, 200, answer.StatusCode)
}

func TestBackup(t *testing.T) {
	srv := influxtest.New(t)
	before, _ := srv.AddToken(srv.OrgID(), srv.UserID())
	restore := srv.Backup()
	for range 2 {
		srv.DeleteToken(before)
		since, _ := srv.AddToken(srv.OrgID(), srv.UserID())
		srv.RenameBucket(srv.BucketID(), "renamed")
		restore()
		require.Equal(t, []string{srv.RootID(), before}, tokenIDs(srv))
		answer, body := get(t, srv, "/api/v2/buckets/"+srv.BucketID(), srv.RootToken())
		require.Equal(t, 200, answer.StatusCode)
		require.Contains(t, body, influxtest.BucketName)
		again, _ := srv.AddToken(srv.OrgID(), srv.UserID())
		require.NotEqual(t, since, again)
		srv.DeleteToken(again)
	}
}

func TestEraseTokenValues(t *testing.T) {
	srv := influxtest.New(t)
	id, token := srv.AddToken(srv.OrgID(), srv.UserID(), influxtest.OperatorPermissions()...)
	srv.EraseTokenValues()
	answer, body := get(t, srv, "/api/v2/me", token)
	require.Equal(t, 401, answer.StatusCode)
	require.Contains(t, body, "unauthorized access")
	answer, _ = get(t, srv, "/api/v2/authorizations/"+id, srv.RootToken())
	require.Equal(t, 200, answer.StatusCode)
}

func TestStall(t *testing.T) {
	t.Run("until it is released", func(t *testing.T) {
		srv := influxtest.New(t)
		release := srv.Stall("POST", "/api/v2/authorizations")
		done := make(chan *http.Response)
		go func() {
			answer, _ := create(context.Background(), srv)
			done <- answer
		}()
		arrived(t, srv)
		answer, _ := get(t, srv, "/api/v2/me", srv.RootToken())
		require.Equal(t, 200, answer.StatusCode, "others are answered meanwhile")
		require.Len(t, srv.Tokens(), 1)
		release()
		release() // a second time does nothing
		require.Equal(t, 201, (<-done).StatusCode)
		require.Len(t, srv.Tokens(), 2)
	})
	t.Run("until the client hangs up, and is done all the same", func(t *testing.T) {
		srv := influxtest.New(t)
		srv.Stall("POST", "/api/v2/authorizations")
		ctx, hangUp := context.WithCancel(t.Context())
		failed := make(chan error)
		go func() {
			_, err := create(ctx, srv)
			failed <- err
		}()
		arrived(t, srv)
		hangUp()
		require.Error(t, <-failed)
		require.Eventually(t, func() bool { return len(srv.Tokens()) == 2 }, time.Minute, time.Millisecond)
	})
	t.Run("until the test ends, and is dropped", func(t *testing.T) {
		var srv *influxtest.Server
		failed := make(chan error)
		t.Run("test", func(t *testing.T) {
			srv = influxtest.New(t)
			srv.Stall("POST", "/api/v2/authorizations")
			go func() {
				_, err := create(context.Background(), srv)
				failed <- err
			}()
			arrived(t, srv)
		})
		require.Error(t, <-failed)
		require.Len(t, srv.Tokens(), 1)
	})
}

func TestPostpone(t *testing.T) {
	srv := influxtest.New(t)
	happen := srv.Postpone("POST", "/api/v2/authorizations")
	_, err := create(context.Background(), srv)
	require.Error(t, err)
	require.Len(t, srv.Tokens(), 1)
	happen()
	happen() // a second time does nothing
	require.Len(t, srv.Tokens(), 2)
}

func TestPostponedPatchUndoesADeletion(t *testing.T) {
	srv := influxtest.New(t)
	id, _ := srv.AddToken(srv.OrgID(), srv.UserID())
	happen := srv.Postpone("PATCH", "/api/v2/authorizations")
	_, err := ask(t.Context(), srv, "PATCH", "/api/v2/authorizations/"+id, `{"status":"inactive"}`)
	require.Error(t, err)
	answer, err := ask(t.Context(), srv, "DELETE", "/api/v2/authorizations/"+id, "")
	require.NoError(t, err)
	require.Equal(t, 204, answer.StatusCode)
	require.NotContains(t, tokenIDs(srv), id)
	happen()
	require.Contains(t, tokenIDs(srv), id)
}

func TestIntercept(t *testing.T) {
	t.Run("changes while requests run", func(t *testing.T) {
		srv := influxtest.New(t)
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for range 20 {
					srv.Intercept(faulttest.Lost)
					srv.Fail("POST", "/", 500, "text/plain", "no")
					_, _ = create(context.Background(), srv)
					srv.Intercept(nil)
					_, _ = create(context.Background(), srv)
					_, _ = srv.Tokens(), srv.Requests()
				}
			})
		}
		all.Wait()
		require.Greater(t, len(srv.Tokens()), 1)
	})
	t.Run("may wait for ever without holding up the end", func(t *testing.T) {
		never := make(chan struct{})
		t.Cleanup(func() { close(never) })
		t.Run("test", func(t *testing.T) {
			srv := influxtest.New(t)
			srv.Intercept(func(http.ResponseWriter, *http.Request, http.Handler) { <-never })
			go func() { _, _ = create(context.Background(), srv) }()
			arrived(t, srv)
		})
	})
}

// arrived waits until a request is with the interceptor.
func arrived(t *testing.T, srv *influxtest.Server) {
	t.Helper()
	require.Eventually(t, func() bool { return len(srv.Requests()) == 1 }, time.Minute, time.Millisecond)
}

// create asks for a token.
func create(ctx context.Context, srv *influxtest.Server) (*http.Response, error) {
	return ask(ctx, srv, http.MethodPost, "/api/v2/authorizations",
		`{"orgID":"`+srv.OrgID()+`","permissions":[{"action":"read","resource":{"type":"views"}}]}`)
}

// ask makes a request with the root token, on a connection of its own.
func ask(ctx context.Context, srv *influxtest.Server, method, path, body string) (*http.Response, error) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	request, err := http.NewRequestWithContext(ctx, method, srv.URL+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Token "+srv.RootToken())
	answer, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	return answer, answer.Body.Close()
}
