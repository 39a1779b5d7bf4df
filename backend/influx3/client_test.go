package influx3_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/faulttest"
	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/influx3"
	"vault-plugin-secrets-influxdb/backend/influx3/influx3test"
)

const (
	stamp = "[vault:v1:9e1a4b6c-0f2d-4a7e-8c35-d1f0b2a49e77:lease:app:0123456789abcdef:1764000000]"
	name  = "vault:v1:9e1a4b6c-0f2d-4a7e-8c35-d1f0b2a49e77:lease:app:0123456789abcdef:1764000000"
)

var admin = []influx.Permission{{Action: "write", Resource: influx.Resource{Type: influx3.Admin}}}

// clientOf is a client with the operator token, and the clock that it goes by.
func clientOf(t *testing.T, url, token string, enterprise bool) (*influx3.Client, *time.Time) {
	t.Helper()
	at := time.Now()
	c, err := influx3.New(influx.Options{URL: url, Token: token, Timeout: 5 * time.Second}, "", enterprise, func() time.Time { return at })
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c, &at
}

func request(lifetime time.Duration, permissions ...influx.Permission) influx.NewAuthorization {
	return influx.NewAuthorization{Description: "for token-alice " + stamp, Lifetime: lifetime, Permissions: permissions}
}

func asError(t *testing.T, err error) *influx.Error {
	t.Helper()
	var failed *influx.Error
	require.ErrorAs(t, err, &failed)
	return failed
}

func TestATokenIsItsName(t *testing.T) {
	server := influx3test.New(t)
	c, _ := clientOf(t, server.URL, server.RootToken(), false)
	made, err := c.CreateAuthorization(t.Context(), request(90*time.Minute, admin...))
	require.NoError(t, err)
	require.Equal(t, name, made.ID)
	require.Equal(t, "for token-alice "+stamp, made.Description)
	require.Equal(t, server.ClusterID(), made.Cluster)
	require.WithinDuration(t, time.Now().Add(90*time.Minute), made.Expires, time.Minute)
	read, err := c.GetAuthorization(t.Context(), name)
	require.NoError(t, err)
	require.Equal(t, []string{name, stamp}, []string{read.ID, read.Description})
	require.WithinDuration(t, time.Now(), read.CreatedAt, time.Minute)
	require.NoError(t, c.AskForAuthorization(t.Context(), name, time.Minute))

	var listed []string
	server.AddToken("made by hand")
	require.NoError(t, c.ScanAuthorizations(t.Context(), func(at time.Time) { require.WithinDuration(t, time.Now(), at, time.Minute) },
		func(a *influx.Listed) { listed = append(listed, string(a.ID)+" "+string(a.Description)) }))
	require.Equal(t, []string{name + " " + stamp}, listed)

	mine, _ := clientOf(t, server.URL, made.Token, false)
	self, err := mine.Self(t.Context())
	require.NoError(t, err)
	require.Equal(t, name, self.ID)
	require.False(t, self.Permanent)
	operator, err := c.Self(t.Context())
	require.NoError(t, err)
	require.Equal(t, influx3.OperatorName, operator.ID)
	require.True(t, operator.Permanent)

	require.NoError(t, c.DeleteAuthorization(t.Context(), name, nil))
	require.True(t, influx.Is(c.DeleteAuthorization(t.Context(), name, nil), influx.Gone))
	_, err = c.GetAuthorization(t.Context(), name)
	require.True(t, influx.Is(err, influx.Gone))
	require.True(t, influx.Is(mine.AskForAuthorization(t.Context(), name, time.Minute), influx.BadToken))
}

func TestEveryTokenHasAnEnd(t *testing.T) {
	server := influx3test.New(t)
	c, _ := clientOf(t, server.URL, server.RootToken(), false)
	made, err := c.CreateAuthorization(t.Context(), request(0, admin...))
	require.NoError(t, err)
	require.WithinDuration(t, time.Now().Add(10*365*24*time.Hour), made.Expires, time.Minute)
	server.ResetRequests()
	for lifetime, says := range map[time.Duration]string{-1: "has passed already", 101 * 365 * 24 * time.Hour: "100 years"} {
		_, err := c.CreateAuthorization(t.Context(), request(lifetime, admin...))
		require.ErrorContains(t, err, says)
		require.True(t, asError(t, err).NotApplied())
	}
	require.Empty(t, server.Requests())
}

// What each answer proves. Only what names its cluster is InfluxDB's own.
func TestWhatAnswersProve(t *testing.T) {
	server := influx3test.New(t)
	c, _ := clientOf(t, server.URL, server.RootToken(), false)
	_, err := c.CreateAuthorization(t.Context(), request(time.Hour, admin...)) // by which it knows whose its tokens are
	require.NoError(t, err)
	own := func(status int, body string) faulttest.Interceptor {
		return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.Header().Set("cluster-uuid", server.ClusterID())
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}
	}
	proxy := func(status int) faulttest.Interceptor {
		return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(status)
			_, _ = w.Write([]byte("<html>hello</html>"))
		}
	}
	for says, answer := range map[string]struct {
		of         faulttest.Interceptor
		kind       influx.Kind
		notApplied bool
		message    string
	}{
		"unknown token":        {own(401, `{"error": "the request was not authenticated"}`), influx.BadToken, true, "the request was not authenticated"},
		"no admin":             {own(403, `{"error": "unauthorized to perform requested action with the token"}`), influx.Forbidden, true, "unauthorized to perform"},
		"no database":          {own(404, "the requested resource was not found: metrics"), influx.NotFound, true, "metrics"},
		"no such endpoint":     {own(404, "Not found"), influx.NoSuchPath, true, "Not found"},
		"the name is taken":    {own(409, "token name already exists, x"), influx.Invalid, false, "already exists"},
		"without auth":         {own(405, "no"), influx.NoSuchPath, true, "no"},
		"a fault":              {own(500, "no"), influx.Unavailable, false, "no"},
		"too many":             {own(429, "no"), influx.RateLimited, true, "no"},
		"a proxy's 401":        {proxy(401), influx.NotInfluxDB, false, "not InfluxDB 3's own answer"},
		"a proxy's 404":        {proxy(404), influx.NotInfluxDB, false, "not InfluxDB 3's own answer"},
		"a proxy's 503":        {proxy(503), influx.Unavailable, false, "not InfluxDB 3's own answer"},
		"a proxy's redirect":   {proxy(302), influx.NotInfluxDB, false, "not InfluxDB 3's own answer"},
		"a success of another": {proxy(200), influx.NotInfluxDB, false, ""},
		"a page on 201":        {proxy(201), influx.NotInfluxDB, false, ""},
		"another token":        {own(201, `{"name":"x","token":"y"}`), influx.NotInfluxDB, false, "no token of the name"},
		"a connection cut":     {faulttest.Refused, influx.Unavailable, false, ""},
	} {
		server.Intercept(answer.of)
		_, err := c.CreateAuthorization(t.Context(), request(time.Hour, admin...))
		failed := asError(t, err)
		require.Equal(t, answer.kind, failed.Kind, says)
		require.Equal(t, answer.notApplied, failed.NotApplied(), says)
		require.Contains(t, failed.Error(), answer.message, says)
		require.NotContains(t, failed.Error(), "hello", says)
	}
	server.Intercept(proxy(404))
	require.True(t, influx.Is(c.DeleteAuthorization(t.Context(), name, nil), influx.NotInfluxDB), "a proxy's 404 is no proof")
	server.Intercept(proxy(200))
	require.True(t, influx.Is(c.DeleteAuthorization(t.Context(), name, nil), influx.NotInfluxDB), "nor is its 200")
	require.True(t, influx.Is(c.Reconcile(t.Context(), stamp), influx.NotInfluxDB))
	server.Intercept(proxy(201))
	require.True(t, influx.Is(c.Reconcile(t.Context(), stamp), influx.NotInfluxDB))
	server.Intercept(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { _, _ = w.Write([]byte("[]")) })
	_, err = c.GetAuthorization(t.Context(), name)
	require.True(t, influx.Is(err, influx.NotInfluxDB), "nor is an empty list of its own: %v", err)
}

// What a list of one token must be, and what a list that breaks off is.
func TestWhatListsProve(t *testing.T) {
	server := influx3test.New(t)
	c, _ := clientOf(t, server.URL, server.RootToken(), false)
	for says, answer := range map[string]struct {
		body string
		kind influx.Kind
	}{
		"another token":     {`[{"name":"another"}]`, influx.NotInfluxDB},
		"two tokens":        {`[{"name":"` + name + `"},{"name":"` + name + `"}]`, influx.NotInfluxDB},
		"no list":           {`{}`, influx.NotInfluxDB},
		"of something else": {`[5]`, influx.NotInfluxDB},
		"cut off":           {`[{"name":"` + name, influx.Unavailable},
		"cut off its end":   {`[{"name":"` + name + `"}`, influx.Unavailable},
	} {
		server.Intercept(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.Header().Set("cluster-uuid", server.ClusterID())
			_, _ = w.Write([]byte(answer.body))
		})
		found, err := c.GetAuthorization(t.Context(), name)
		require.Equal(t, answer.kind, asError(t, err).Kind, says)
		require.Nil(t, found, says)
	}
}

// On a cluster a node may not know of a token that another one has made: a 404 proves nothing before it must.
func TestA404OfACluster(t *testing.T) {
	server := influx3test.New(t, influx3test.Enterprise())
	c, at := clientOf(t, server.URL, server.RootToken(), true)
	*at = at.Add(2 * time.Minute)
	_, err := c.CreateAuthorization(t.Context(), request(time.Hour, admin...))
	require.NoError(t, err)
	server.DeleteToken(name)
	for _, err := range []error{c.DeleteAuthorization(t.Context(), name, nil), c.AskForAuthorization(t.Context(), name, time.Minute)} {
		require.True(t, influx.Is(err, influx.Unavailable))
		require.ErrorContains(t, err, "may not know of the token yet")
	}
	*at = at.Add(61 * time.Second)
	require.True(t, influx.Is(c.DeleteAuthorization(t.Context(), name, nil), influx.Gone))
	young, _ := clientOf(t, server.URL, server.RootToken(), true)
	require.True(t, influx.Is(young.DeleteAuthorization(t.Context(), name, nil), influx.Unavailable), "the process before may have made it just now")
}

func TestScopedTokens(t *testing.T) {
	server := influx3test.New(t, influx3test.Enterprise())
	server.AddDatabase("metrics")
	server.AddDatabase("logs")
	c, _ := clientOf(t, server.URL, server.RootToken(), true)
	of := func(action, kind, id string) influx.Permission {
		return influx.Permission{Action: action, Resource: influx.Resource{Type: kind, ID: id}}
	}
	_, err := c.CreateAuthorization(t.Context(), request(time.Hour, of("read", "db", "metrics"), of("read", "db", "logs"), of("write", "db", "metrics"), of("read", "system", "")))
	require.NoError(t, err)
	require.Len(t, server.Tokens(), 2)
	_, err = c.CreateAuthorization(t.Context(), influx.NewAuthorization{Description: "[x]", Permissions: []influx.Permission{of("read", "db", "nothing")}})
	require.True(t, influx.Is(err, influx.NotFound), "%v", err)
}

// A node is behind from the answer on, however long the call took; and not behind what this client has deleted itself.
func TestWhatAClusterIsBehind(t *testing.T) {
	server := influx3test.New(t, influx3test.Enterprise())
	c, at := clientOf(t, server.URL, server.RootToken(), true)
	*at = at.Add(2 * time.Minute)
	server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		*at = at.Add(59 * time.Second)
		next.ServeHTTP(w, r)
	})
	_, err := c.CreateAuthorization(t.Context(), request(time.Hour, admin...))
	require.NoError(t, err)
	server.Intercept(nil)
	*at = at.Add(2 * time.Second)
	server.DeleteToken(name)
	require.True(t, influx.Is(c.DeleteAuthorization(t.Context(), name, nil), influx.Unavailable), "it was made two seconds ago")

	_, err = c.CreateAuthorization(t.Context(), request(time.Hour, admin...))
	require.NoError(t, err)
	require.NoError(t, c.DeleteAuthorization(t.Context(), name, nil))
	require.True(t, influx.Is(c.DeleteAuthorization(t.Context(), name, nil), influx.Gone))
}

func TestSetUpIsOnce(t *testing.T) {
	server := influx3test.New(t, influx3test.Fresh())
	c, _ := clientOf(t, server.URL, "", false)
	token, err := c.SetUp(t.Context())
	require.NoError(t, err)
	require.Equal(t, server.RootToken(), token)
	_, err = c.SetUp(t.Context())
	require.Equal(t, http.StatusConflict, asError(t, err).Status)
}

func TestSeeCluster(t *testing.T) {
	server := influx3test.New(t)
	c, _ := clientOf(t, server.URL, server.RootToken(), false)
	seen, err := c.SeeCluster(t.Context(), server.ClusterID())
	require.NoError(t, err)
	require.Equal(t, influx.Seen, seen)
	seen, err = c.SeeCluster(t.Context(), "another")
	require.NoError(t, err)
	require.Equal(t, influx.NotThere, seen)
	server.Intercept(faulttest.Refused)
	seen, err = c.SeeCluster(t.Context(), server.ClusterID())
	require.Error(t, err)
	require.Equal(t, influx.NoAnswer, seen)
}

// A caller that hangs up cuts no change off: it would be half done.
func TestAChangeOutlivesItsCaller(t *testing.T) {
	server := influx3test.New(t)
	c, _ := clientOf(t, server.URL, server.RootToken(), false)
	_, err := c.CreateAuthorization(t.Context(), request(time.Hour, admin...))
	require.NoError(t, err)
	ctx, hangUp := context.WithCancel(t.Context())
	server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		hangUp()
		require.NoError(t, r.Context().Err())
		next.ServeHTTP(w, r)
	})
	require.NoError(t, c.DeleteAuthorization(ctx, name, nil))
	require.Equal(t, []string{influx3.OperatorName}, server.TokenNames())
}

func TestACatalogThatIsStuck(t *testing.T) {
	server := influx3test.New(t)
	c, _ := clientOf(t, server.URL, server.RootToken(), false)
	server.AddToken(name)
	server.Wedge()
	_, err := c.CreateAuthorization(t.Context(), influx.NewAuthorization{Description: "[x]", Permissions: admin})
	for _, err := range []error{err, c.DeleteAuthorization(t.Context(), name, nil)} {
		require.True(t, influx.Is(err, influx.Unavailable), "%v", err)
		require.ErrorContains(t, err, "restart it")
		require.False(t, asError(t, err).NotApplied())
	}
	server.Restart()
	require.NoError(t, c.DeleteAuthorization(t.Context(), name, nil))
}
