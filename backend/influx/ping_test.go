package influx_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
	"vault-plugin-secrets-influxdb/backend/influx3/influx3test"
)

func TestPingOfAWholeServer(t *testing.T) {
	srv := influxtest.New(t, influxtest.Version("v2.7.12"))
	server, err := dial(t, influx.Options{URL: srv.URL}).Ping(t.Context()) // whatever the token
	require.NoError(t, err)
	require.Equal(t, influx.Server{Version: "2.7.12", Build: "OSS"}, server)
}

// What the versions and their proxies answer to GET /ping.
func TestPing(t *testing.T) {
	headers := func(version, build string) map[string]string {
		return map[string]string{"X-Influxdb-Version": version, "X-Influxdb-Build": build}
	}
	const core = `{"product_name":"InfluxDB 3 Core","version":"3.1.0","revision":"abc","process_id":"x"}`
	tests := map[string]struct {
		answer answer
		server influx.Server
		kind   influx.Kind // of the error, where there is a status that is none of success
	}{
		"2.9":                            {answer{status: 204, header: headers("v2.9.1", "OSS")}, influx.Server{Version: "2.9.1", Build: "OSS"}, 0},
		"1.8":                            {answer{status: 204, header: headers("1.8.10", "OSS")}, influx.Server{Version: "1.8.10", Build: "OSS"}, 0},
		"3.1":                            {answer{status: 200, content: "json", header: headers("3.1.0", "Core"), body: core}, influx.Server{Version: "3.1.0", Build: "Core"}, 0},
		"3.1, in the body alone":         {answer{status: 200, content: jsonType, body: core}, influx.Server{Version: "3.1.0"}, 0},
		"a proxy that hides the version": {answer{status: 204}, influx.Server{}, 0},
		"a page":                         {answer{status: 200, content: "text/html", body: "<html>"}, influx.Server{}, 0},
		"3.1 that wants a token":         {answer{status: 401, content: jsonType, header: headers("3.1.0", "Enterprise"), body: `{"error":"the request was not authenticated"}`}, influx.Server{Version: "3.1.0", Build: "Enterprise"}, influx.NotInfluxDB},
		"a proxy without the endpoint":   {answer{status: 404, content: "text/html", body: "<html>"}, influx.Server{}, influx.NotInfluxDB},
		"a server that is starting":      {answer{status: 503, header: headers("v2.9.1", "OSS")}, influx.Server{Version: "2.9.1", Build: "OSS"}, influx.Unavailable},
	}
	for says, test := range tests {
		t.Run(says, func(t *testing.T) {
			client := serve(t, test.answer.ServeHTTP)
			server, err := client.Ping(t.Context())
			if test.answer.status < 300 {
				require.NoError(t, err)
				require.Equal(t, test.server, server)
				return
			}
			e := failed(t, err)
			require.Equal(t, test.kind, e.Kind)
			require.Equal(t, test.server, influx.Server{Version: e.Version, Build: e.Build})
			require.ErrorContains(t, e, "GET "+client.URL()+"/ping: ")
		})
	}
}

// InfluxDB Cloud Serverless has no such endpoint; that its API says so is an answer. What a proxy says is none.
func TestPingWithoutTheEndpoint(t *testing.T) {
	server, err := serve(t, envelope(404, "not found", "path not found").ServeHTTP).Ping(t.Context())
	require.NoError(t, err)
	require.Zero(t, server)
	for _, answer := range []answer{{status: 404, content: jsonType, body: `{"detail":"Not Found"}`}, {status: 405}, envelope(404, "not found", "bucket not found")} {
		_, err = serve(t, answer.ServeHTTP).Ping(t.Context())
		require.Error(t, err)
	}
}

// The token is not sent in clear to an address that only leads to https, and nothing is sent to where it leads.
func TestPingOfARedirect(t *testing.T) {
	there := influxtest.New(t)
	tokens := make(chan string, 10)
	client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		tokens <- r.Header.Get("Authorization")
		http.Redirect(w, r, there.URL+"/influx/ping?next=1", http.StatusMovedPermanently)
	})
	_, err := client.Ping(t.Context())
	e := failed(t, err)
	require.Equal(t, influx.NotInfluxDB, e.Kind)
	require.Equal(t, there.URL+"/influx/ping", e.Location)
	require.ErrorContains(t, err, "Moved Permanently to "+there.URL+"/influx/ping, which is not followed; if InfluxDB is there, write its base URL to url")
	require.Len(t, tokens, 1)
	require.Empty(t, <-tokens)
	require.Empty(t, there.Requests())
}

// A server that wants a token for its ping is shown it, once.
func TestPingOfInfluxDB3(t *testing.T) {
	srv := influx3test.New(t)
	server, err := dial(t, influx.Options{URL: srv.URL, Token: srv.RootToken()}).Ping(t.Context())
	require.NoError(t, err)
	require.Equal(t, influx.Server{Version: "3.10.1", Build: "Core"}, server)
	require.Len(t, srv.Requests(), 2)

	former := influxtest.New(t)
	client := dial(t, influx.Options{URL: srv.URL, Token: former.RootToken()})
	_, err = client.Ping(t.Context())
	e := failed(t, err)
	require.Equal(t, "3", e.Version)
	require.ErrorContains(t, err, "this is InfluxDB 3, and the configuration is one of InfluxDB 2; write config again")
	_, err = client.CreateAuthorization(t.Context(), order(former))
	require.ErrorContains(t, err, "this is InfluxDB 3, and the configuration is one of InfluxDB 2; write config again")
}
