package influx_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

func TestAuthorizationsAreMadeReadAndDeleted(t *testing.T) {
	for says, hashed := range map[string]bool{"values hidden": true, "values shown": false} {
		t.Run(says, func(t *testing.T) {
			srv := influxtest.New(t, influxtest.HashedTokens(hashed))
			client := connect(t, srv)
			wanted, start := order(srv), time.Now()
			wanted.Description = "made by a test"

			created, err := client.CreateAuthorization(t.Context(), wanted)
			require.NoError(t, err)
			token := srv.Tokens()[1]
			require.Equal(t, token.ID, created.ID)
			require.Equal(t, token.Token, created.Token)
			require.Equal(t, wanted.Description, token.Description)
			require.Equal(t, []influxtest.Permission{influxtest.InOrg("read", "buckets", srv.OrgID())}, token.Permissions)

			found, err := client.GetAuthorization(t.Context(), token.ID)
			require.NoError(t, err)
			require.Equal(t, wanted.Description, found.Description)
			require.Equal(t, influxtest.OrgName, found.Org)
			require.Equal(t, hashed, found.Token == "")
			require.Equal(t, created.Permissions, found.Permissions)
			require.Equal(t, created.CreatedAt, found.CreatedAt)
			require.WithinRange(t, found.CreatedAt, start, time.Now())
			require.False(t, found.Inactive())

			require.NoError(t, client.DeleteAuthorization(t.Context(), token.ID, nil))
			require.True(t, influx.Is(client.DeleteAuthorization(t.Context(), token.ID, nil), influx.Gone))
			_, err = client.GetAuthorization(t.Context(), token.ID)
			require.True(t, influx.Is(err, influx.Gone))
		})
	}
}

// A token whose owner was deleted is not gone: it can still be deleted.
func TestAnOrphanIsNotGone(t *testing.T) {
	srv := influxtest.New(t)
	client := connect(t, srv)
	user := srv.AddUser("robot")
	id, _ := srv.AddToken(srv.OrgID(), user, influxtest.Everywhere("read", "views"))
	srv.DeleteUser(user)
	_, err := client.GetAuthorization(t.Context(), id)
	require.True(t, influx.Is(err, influx.NotFound))
	require.NoError(t, client.DeleteAuthorization(t.Context(), id, nil))
}

// list collects the IDs of a list until stop.
func list(ctx context.Context, client *influx.Client) ([]string, error) {
	var ids []string
	err := client.EachAuthorization(ctx, func(a *influx.Authorization) error {
		ids = append(ids, a.ID)
		return nil
	})
	return ids, err
}

func TestTheListHoldsWhatTheTokenMaySee(t *testing.T) {
	srv := influxtest.New(t)
	wanted := []string{srv.RootID()}
	for range 250 {
		id, _ := srv.AddToken(srv.OrgID(), srv.UserID(), influxtest.Everywhere("read", "views"))
		wanted = append(wanted, id)
	}
	ids, err := list(t.Context(), connect(t, srv))
	require.NoError(t, err)
	require.Equal(t, wanted, ids)

	_, weak := srv.AddToken(srv.OrgID(), srv.UserID(), influxtest.MintingPermissions(srv.OrgID(), srv.UserID())...)
	ids, err = list(t.Context(), dial(t, influx.Options{URL: srv.URL, Token: weak}))
	require.NoError(t, err)
	require.Empty(t, ids)
}

func TestTheListSaysTheServersTime(t *testing.T) {
	srv := influxtest.New(t)
	srv.ShiftClock(-time.Hour)
	var steps []string
	var date time.Time
	err := connect(t, srv).ScanAuthorizations(t.Context(), func(at time.Time) {
		steps, date = append(steps, "dated"), at
	}, func(a *influx.Listed) { steps = append(steps, string(a.ID)) })
	require.NoError(t, err)
	require.Equal(t, []string{"dated", srv.RootID()}, steps)
	require.WithinDuration(t, time.Now().Add(-time.Hour), date, time.Minute)

	client := serve(t, answer{status: 200, content: jsonType, header: map[string]string{"Date": "yesterday"}, body: `{"authorizations":[]}`}.ServeHTTP)
	require.NoError(t, client.ScanAuthorizations(t.Context(), func(at time.Time) { date = at }, nil))
	require.Zero(t, date)
}

// Each entry is handed on before the next one has to be there.
func TestTheListIsStreamed(t *testing.T) {
	const entries = 5
	visited := make(chan string)
	client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, `{"links":{"self":"/api/v2/authorizations","authorizations":["no"]},"authorizations":[`)
		for i := range entries {
			if i > 0 {
				_, _ = io.WriteString(w, ",")
			}
			_, _ = fmt.Fprintf(w, `{"id":"%d"}`, i)
			w.(http.Flusher).Flush()
			select {
			case <-visited:
			case <-r.Context().Done():
				return
			}
		}
		_, _ = io.WriteString(w, `]}`)
	})
	var ids []string
	require.NoError(t, client.EachAuthorization(t.Context(), func(a *influx.Authorization) error {
		ids = append(ids, a.ID)
		visited <- a.ID
		return nil
	}))
	require.Equal(t, []string{"0", "1", "2", "3", "4"}, ids)
}

var errEnough = errors.New("enough")

// The visitor's error ends the list at once, also one that goes on without an end, and comes back as it is.
func TestAVisitorStopsTheList(t *testing.T) {
	client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, `{"authorizations":[{"id":"a"},{"id":"b"},`)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	var ids []string
	err := client.EachAuthorization(t.Context(), func(a *influx.Authorization) error {
		ids = append(ids, a.ID)
		return errEnough
	})
	require.Equal(t, errEnough, err)
	require.Equal(t, []string{"a"}, ids)
}

// The list may take longer than other calls: the server makes all of it before it answers.
func TestTheListMayTakeLongerThanOtherCalls(t *testing.T) {
	srv := influxtest.New(t)
	release := srv.Stall("GET", "/api/v2/authorizations")
	srv.Stall("GET", "/api/v2/me")
	client := dial(t, influx.Options{URL: srv.URL, Token: srv.RootToken(), Timeout: 2 * time.Second})
	listed := make(chan error, 1)
	go func() {
		_, err := list(t.Context(), client)
		listed <- err
	}()
	eventually(t, func() bool { return len(srv.Requests()) == 1 }, "the list is asked for")
	for range 2 { // twice as long as one call may take
		_, err := client.Me(t.Context())
		require.ErrorIs(t, err, context.DeadlineExceeded)
	}
	release()
	require.NoError(t, <-listed)
}

func TestTheListEndsWithItsContext(t *testing.T) {
	srv := influxtest.New(t)
	srv.Stall("GET", "/api/v2/authorizations")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := list(ctx, connect(t, srv))
	require.True(t, influx.Is(err, influx.Unavailable))
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

// Nothing but a whole list passes for one: what is missing from it counts as deleted.
func TestAListIsWholeOrAnError(t *testing.T) {
	tests := map[string]struct {
		body string
		kind influx.Kind
	}{
		"no entries, then the end":   {`{"authorizations":[`, influx.Unavailable},
		"cut off behind an entry":    {`{"authorizations":[{"id":"a"}`, influx.Unavailable},
		"cut off behind a comma":     {`{"authorizations":[{"id":"a"},`, influx.Unavailable},
		"cut off in an entry":        {`{"authorizations":[{"id":"a"},{"i`, influx.Unavailable},
		"cut off before the list":    {`{"links":{"self":"/api`, influx.Unavailable},
		"cut off behind a key":       {`{"links"`, influx.Unavailable},
		"nothing":                    {``, influx.NotInfluxDB},
		"a page":                     {`<html>log in</html>`, influx.NotInfluxDB},
		"JSON that is no object":     {`["authorizations",[]]`, influx.NotInfluxDB},
		"null":                       {`null`, influx.NotInfluxDB},
		"another object":             {`{"users":[]}`, influx.NotInfluxDB},
		"null for a list":            {`{"authorizations":null}`, influx.NotInfluxDB},
		"an object for a list":       {`{"authorizations":{}}`, influx.NotInfluxDB},
		"a word for a list":          {`{"authorizations":"none"}`, influx.NotInfluxDB},
		"broken JSON":                {`{"authorizations":[{"id":"a"} {"id":"b"}]}`, influx.NotInfluxDB},
		"broken JSON for a key":      {`{"authorizations":[],}`, -1},
		"keys without quotes":        {`{authorizations:[]}`, influx.NotInfluxDB},
		"an entry of another form":   {`{"authorizations":[{"id":5}]}`, influx.NotInfluxDB},
		"closed by another bracket":  {`{"authorizations":[{"id":"a"}}`, influx.NotInfluxDB},
		"a whole list and a cut end": {`{"authorizations":[{"id":"a"}]`, -1},
	}
	for says, test := range tests {
		t.Run(says, func(t *testing.T) {
			client := serve(t, answer{status: 200, content: jsonType, body: test.body}.ServeHTTP)
			_, err := list(t.Context(), client)
			for _, err := range []error{err, client.ScanAuthorizations(t.Context(), func(time.Time) {}, func(*influx.Listed) {})} {
				if test.kind < 0 { // all entries are there
					require.NoError(t, err)
					continue
				}
				e := failed(t, err)
				require.Equal(t, test.kind, e.Kind, e.Error())
			}
		})
	}
	t.Run("the connection is cut", func(t *testing.T) {
		client := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"authorizations":[{"id":"a"}`)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		})
		_, err := list(t.Context(), client)
		require.True(t, influx.Is(err, influx.Unavailable))
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	})
	t.Run("a value without an end", func(t *testing.T) {
		client := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"authorizations":[{"id":"a","description":"`)
			_, _ = io.WriteString(w, strings.Repeat("x", 64<<20)) // until the client has enough
		})
		_, err := list(t.Context(), client)
		require.True(t, influx.Is(err, influx.NotInfluxDB), "%v", err)
		require.ErrorIs(t, err, influx.ErrUnexpected)
	})
}

// A list whose answer never comes ends too: whoever waits for it would otherwise wait for ever.
func TestTheListEndsWhenItsAnswerNeverComes(t *testing.T) {
	t.Parallel()
	srv := influxtest.New(t)
	srv.Stall("GET", "/api/v2/authorizations")
	client := dial(t, influx.Options{URL: srv.URL, Token: srv.RootToken(), Timeout: 5 * time.Millisecond})
	err := client.EachAuthorization(t.Context(), func(*influx.Authorization) error { return nil })
	require.ErrorContains(t, err, "no answer within 300ms")
	require.True(t, influx.Is(err, influx.Unavailable))
}

// InfluxDB Cloud puts a word in the place of a value that it hides.
func TestARedactedValueIsNone(t *testing.T) {
	const shown = `{"id":"03a2bbf46309a000","token":"redacted"}`
	client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body := shown
		if strings.HasSuffix(r.URL.Path, "/authorizations") {
			body = `{"authorizations":[` + shown + `]}`
		}
		_, _ = io.WriteString(w, body)
	})
	one, err := client.GetAuthorization(t.Context(), "03a2bbf46309a000")
	require.NoError(t, err)
	require.Empty(t, one.Token)
	seen := 0
	require.NoError(t, client.EachAuthorization(t.Context(), func(a *influx.Authorization) error {
		seen++
		require.Empty(t, a.Token)
		return nil
	}))
	require.Equal(t, 1, seen)
}

// A time that can't be read costs nothing but itself: the answer may hold the one value of a token.
func TestATimeThatCannotBeReadIsNone(t *testing.T) {
	for _, created := range []string{`null`, `""`, `5`, `"yesterday"`, `{}`, `"2026-13-01T00:00:00Z"`} {
		client := serve(t, answer{status: 201, content: jsonType, body: `{"createdAt":` + created + `,"id":"0c","token":"v"}`}.ServeHTTP)
		a, err := client.CreateAuthorization(t.Context(), influx.NewAuthorization{})
		require.NoError(t, err, created)
		require.Equal(t, &influx.Authorization{ID: "0c", Token: "v"}, a, created)
	}
}

// What a scan says is what is there, whatever an entry leaves out or writes in another way.
func TestAScanReadsWhatTellsWhoseATokenIs(t *testing.T) {
	client := serve(t, answer{status: 200, content: jsonType, body: `{"authorizations":[
		{"links":{"id":"no","description":["no"]},"id":"a","token":"t","description":"d \u0022\n\u00e9 [\ud83d\ude00]","permissions":[{"id":"no"}]},
		{"description":"","token":"","id":"b"},{"token":"Redacted","description":null},{"id":"c","token":null,"id":"d"},{}]}`}.ServeHTTP)
	type entry struct {
		id, description string
		hidden          bool
	}
	var seen []entry
	require.NoError(t, client.ScanAuthorizations(t.Context(), func(time.Time) {}, func(l *influx.Listed) {
		seen = append(seen, entry{string(l.ID), string(l.Description), l.Hidden})
	}))
	require.Equal(t, []entry{{"a", "d \"\né [😀]", false}, {"b", "", true}, {"", "", true}, {"d", "", true}, {"", "", true}}, seen)
}

// Nothing of an entry shows in the next one, and nothing of the next one in a copy of it.
func TestEntriesOfAListAreSeparate(t *testing.T) {
	const full = `{"id":"a","token":"t","status":"inactive","description":"d","orgID":"1","org":"o","userID":"2","user":"u",
		"createdAt":"2026-01-02T03:04:05Z","permissions":[{"action":"read","resource":{"type":"buckets","id":"3","name":"n","orgID":"1","org":"o"}}]}`
	client := serve(t, answer{status: 200, content: jsonType, body: `{"authorizations":[` + full +
		`,{"id":"b","permissions":[{"action":"write","resource":{"type":"tasks"}}]},{"id":"c"}]}`}.ServeHTTP)
	var seen []influx.Authorization
	require.NoError(t, client.EachAuthorization(t.Context(), func(a *influx.Authorization) error {
		seen = append(seen, *a)
		return nil
	}))
	require.Equal(t, []influx.Authorization{
		{ID: "a", Token: "t", Status: "inactive", Description: "d", OrgID: "1", Org: "o", UserID: "2", User: "u",
			CreatedAt:   time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
			Permissions: []influx.Permission{{Action: "read", Resource: influx.Resource{Type: "buckets", ID: "3", Name: "n", OrgID: "1", Org: "o"}}}},
		{ID: "b", Permissions: []influx.Permission{{Action: "write", Resource: influx.Resource{Type: "tasks"}}}},
		{ID: "c"},
	}, seen)
	require.True(t, seen[0].Inactive())
	require.False(t, seen[1].Inactive())
}
