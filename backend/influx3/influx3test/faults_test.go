package influx3test_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx3/influx3test"
)

func TestHalfDoneCreation(t *testing.T) {
	halfDone := func(t *testing.T) (*influx3test.Server, string) {
		srv := influx3test.New(t)
		srv.HalfDone("POST")
		require.Equal(t, 200, ping(t, srv.URL, srv.RootToken()), "only calls for tokens are meant")
		require.Equal(t, []string{"_admin"}, listed(t, srv.URL, srv.RootToken()))
		cut(t, srv, "POST", namedPath, named("x"))
		require.Equal(t, []string{"_admin", "x"}, srv.TokenNames(), "it is stored")
		require.Equal(t, []string{"_admin"}, listed(t, srv.URL, srv.RootToken()))
		token := srv.Tokens()[1].Value
		require.Equal(t, 401, ping(t, srv.URL, token))
		for range 2 {
			expect(t, srv, 404, "DELETE", deletion("x"), "")
		}
		return srv, token
	}
	is := func(t *testing.T, srv *influx3test.Server, token string) {
		t.Helper()
		require.Contains(t, listed(t, srv.URL, srv.RootToken()), "x")
		require.Equal(t, 200, ping(t, srv.URL, token))
		expect(t, srv, 200, "DELETE", deletion("x"), "")
		require.NotContains(t, srv.TokenNames(), "x")
	}
	t.Run("is there after a second one", func(t *testing.T) {
		srv, token := halfDone(t)
		expect(t, srv, 409, "POST", namedPath, named("x"))
		is(t, srv, token)
	})
	t.Run("is there after one of another name", func(t *testing.T) {
		srv, token := halfDone(t)
		expect(t, srv, 201, "POST", namedPath, named("y"))
		is(t, srv, token)
	})
	t.Run("is there after one that is half done itself", func(t *testing.T) {
		srv, token := halfDone(t)
		srv.HalfDone("POST")
		cut(t, srv, "POST", namedPath, named("y"))
		require.NotContains(t, listed(t, srv.URL, srv.RootToken()), "y")
		is(t, srv, token)
	})
	t.Run("is there after a database is made", func(t *testing.T) {
		srv, token := halfDone(t)
		expect(t, srv, 200, "POST", "/api/v3/configure/database", `{"db":"metrics"}`)
		is(t, srv, token)
	})
	t.Run("is there after a restart", func(t *testing.T) {
		srv, token := halfDone(t)
		srv.Restart()
		is(t, srv, token)
	})
	t.Run("is not there after a write that is refused", func(t *testing.T) {
		srv, token := halfDone(t)
		expect(t, srv, 409, "POST", namedPath, named("_admin"))
		require.Equal(t, 401, ping(t, srv.URL, token))
	})
}

func TestHalfDoneDeletion(t *testing.T) {
	halfDone := func(t *testing.T) (*influx3test.Server, string) {
		srv := influx3test.New(t)
		token := srv.AddToken("x")
		srv.HalfDone("DELETE")
		cut(t, srv, "DELETE", deletion("x"), "")
		require.Equal(t, []string{"_admin"}, srv.TokenNames(), "its deletion is stored")
		require.Equal(t, []string{"_admin", "x"}, listed(t, srv.URL, srv.RootToken()))
		require.Equal(t, 200, ping(t, srv.URL, token))
		return srv, token
	}
	t.Run("ends with a second one", func(t *testing.T) {
		srv, token := halfDone(t)
		expect(t, srv, 404, "DELETE", deletion("x"), "")
		require.Equal(t, 401, ping(t, srv.URL, token))
		require.Equal(t, []string{"_admin"}, listed(t, srv.URL, srv.RootToken()))
	})
	t.Run("ends with any write", func(t *testing.T) {
		srv, token := halfDone(t)
		srv.AddDatabase("metrics")
		require.Equal(t, 401, ping(t, srv.URL, token))
	})
	t.Run("ends with a restart", func(t *testing.T) {
		srv, token := halfDone(t)
		srv.Restart()
		require.Equal(t, 401, ping(t, srv.URL, token))
	})
	t.Run("does not end with a creation of its name", func(t *testing.T) {
		srv, token := halfDone(t)
		expect(t, srv, 409, "POST", namedPath, named("x"))
		require.Equal(t, 200, ping(t, srv.URL, token))
	})
}

func TestWedge(t *testing.T) {
	srv := influx3test.New(t)
	token := srv.AddToken("x")
	srv.Wedge()
	for _, text := range []string{
		expect(t, srv, 500, "POST", namedPath, named("y")), expect(t, srv, 500, "DELETE", deletion("x"), ""),
		expect(t, srv, 500, "POST", "/api/v3/configure/database", `{"db":"metrics"}`),
	} {
		require.Contains(t, text, "catalog internal error: apply_catalog_file during catch-up at ")
	}
	expect(t, srv, 409, "POST", namedPath, named("x"))
	expect(t, srv, 404, "DELETE", deletion("y"), "")
	require.Equal(t, 200, ping(t, srv.URL, token))
	require.Equal(t, []string{"_admin", "x"}, listed(t, srv.URL, srv.RootToken()))
	srv.AddToken("z") // a test's own fixtures work
	srv.Restart()
	expect(t, srv, 201, "POST", namedPath, named("y"))
	expect(t, srv, 200, "DELETE", deletion("x"), "")
	require.Equal(t, []string{"_admin", "z", "y"}, srv.TokenNames())
}

func TestRefuseDoesNothing(t *testing.T) {
	srv := influx3test.New(t)
	srv.Refuse("POST", namedPath)
	cut(t, srv, "POST", namedPath, named("x"))
	require.Len(t, srv.Requests(), 1)
	require.Equal(t, []string{"_admin"}, srv.TokenNames())
	srv.Intercept(nil)
	expect(t, srv, 201, "POST", namedPath, named("x"))
}

func TestLoseAnswerDoesWhatWasAsked(t *testing.T) {
	srv := influx3test.New(t)
	srv.LoseAnswer("POST", namedPath)
	cut(t, srv, "POST", namedPath, named("x"))
	require.Equal(t, []string{"_admin", "x"}, listed(t, srv.URL, srv.RootToken()), "whole, not half")
}

func TestFail(t *testing.T) {
	srv := influx3test.New(t)
	srv.Fail("", "/", 503, "text/html", "<html>down</html>")
	srv.Fail("POST", namedPath, 500, "", "")
	require.Empty(t, expect(t, srv, 500, "POST", namedPath, named("x")), "the newest fault goes first")
	require.Equal(t, "<html>down</html>", expect(t, srv, 503, "GET", "/ping", ""))
	require.Equal(t, []string{"_admin"}, srv.TokenNames())
}

func TestReplaceAnswerDoesWhatWasAsked(t *testing.T) {
	srv := influx3test.New(t)
	srv.ReplaceAnswer("POST", namedPath, 403, "text/html", "<html>denied</html>")
	require.Equal(t, "<html>denied</html>", expect(t, srv, 403, "POST", namedPath, named("x")))
	require.Equal(t, []string{"_admin", "x"}, srv.TokenNames())
}

func TestRedirect(t *testing.T) {
	there, srv := influx3test.New(t), influx3test.New(t)
	srv.Redirect("", "/ping", there.URL+"/influx")
	_, _, err := ask(t.Context(), srv, "GET", "/ping?verbose=true", "")
	require.NoError(t, err)
	require.Equal(t, []influx3test.Request{{Method: "GET", Path: "/influx/ping", Query: "verbose=true"}}, there.Requests())
}

func TestInstead(t *testing.T) {
	srv, other := influx3test.New(t), influx3test.New(t)
	srv.Intercept(influx3test.Instead(other))
	require.Equal(t, 401, ping(t, srv.URL, srv.RootToken()))
	require.Equal(t, 200, ping(t, srv.URL, other.RootToken()))
}

func TestShiftClock(t *testing.T) {
	srv := influx3test.New(t)
	srv.ShiftClock(-time.Hour)
	answer, err := http.Get(srv.URL + "/ping")
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	date, err := http.ParseTime(answer.Header.Get("Date"))
	require.NoError(t, err)
	require.WithinDuration(t, time.Now().Add(-time.Hour), date, time.Minute)
}

func TestPostpone(t *testing.T) {
	srv := influx3test.New(t)
	happen := srv.Postpone("POST", namedPath)
	cut(t, srv, "POST", namedPath, named("x"))
	require.Equal(t, []string{"_admin"}, srv.TokenNames())
	happen()
	happen() // a second time does nothing
	require.Equal(t, []string{"_admin", "x"}, srv.TokenNames())
}

func TestStall(t *testing.T) {
	arrived := func(t *testing.T, srv *influx3test.Server) {
		t.Helper()
		require.Eventually(t, func() bool { return len(srv.Requests()) == 1 }, time.Minute, time.Millisecond)
	}
	t.Run("until it is released", func(t *testing.T) {
		srv := influx3test.New(t)
		release := srv.Stall("POST", namedPath)
		done := make(chan int)
		go func() {
			status, _, _ := ask(context.Background(), srv, "POST", namedPath, named("x"))
			done <- status
		}()
		arrived(t, srv)
		require.Equal(t, 200, ping(t, srv.URL, srv.RootToken()), "others are answered meanwhile")
		require.Equal(t, []string{"_admin"}, srv.TokenNames())
		release()
		release() // a second time does nothing
		require.Equal(t, 201, <-done)
		require.Equal(t, []string{"_admin", "x"}, srv.TokenNames())
	})
	t.Run("until the client hangs up, and nothing is done", func(t *testing.T) {
		srv := influx3test.New(t)
		release := srv.Stall("POST", namedPath)
		ctx, hangUp := context.WithCancel(t.Context())
		failed := make(chan error)
		go func() {
			_, _, err := ask(ctx, srv, "POST", namedPath, named("x"))
			failed <- err
		}()
		arrived(t, srv)
		hangUp()
		require.ErrorIs(t, <-failed, context.Canceled)
		require.Equal(t, []string{"_admin"}, srv.TokenNames())
		require.NotNil(t, release)
	})
	t.Run("until the test ends", func(t *testing.T) {
		failed := make(chan error)
		t.Run("", func(t *testing.T) {
			srv := influx3test.New(t)
			srv.Stall("POST", namedPath)
			go func() {
				_, _, err := ask(context.Background(), srv, "POST", namedPath, named("x"))
				failed <- err
			}()
			arrived(t, srv)
		})
		require.Error(t, <-failed)
	})
}
