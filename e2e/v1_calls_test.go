package e2e

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// signing is how a client of InfluxDB 1.x says who it is.
type signing func(request *http.Request)

// basic is what most of them do.
func basic(name, password string) signing {
	return func(request *http.Request) { request.SetBasicAuth(name, password) }
}

// inAddress is what others do.
func inAddress(parameters url.Values) signing {
	return func(request *http.Request) { request.URL.RawQuery += "&" + parameters.Encode() }
}

// inHeader is what InfluxDB 2 adds.
func inHeader(value string) signing {
	return func(request *http.Request) { request.Header.Set("Authorization", value) }
}

// answer is a status and what came with it.
type answer struct {
	status int
	text   string
}

// writeV1 writes a point to a database; a retention policy follows the name after a slash.
func writeV1(t *testing.T, influx *lab.Influx, sign signing, database string) answer {
	t.Helper()
	return askV1(t, influx.URL+"/write?"+parameters(database).Encode(), sign, "room,name=attic temperature=30")
}

// queryV1 asks such a database in InfluxQL.
func queryV1(t *testing.T, influx *lab.Influx, sign signing, database, statement string) answer {
	t.Helper()
	asked := parameters(database)
	asked.Set("q", statement)
	return askV1(t, influx.URL+"/query?"+asked.Encode(), sign, "")
}

func parameters(database string) url.Values {
	name, policy, named := strings.Cut(database, "/")
	all := url.Values{"db": {name}}
	if named {
		all.Set("rp", policy)
	}
	return all
}

func askV1(t *testing.T, address string, sign signing, body string) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "text/plain") // InfluxDB refuses a query without any
	sign(request)
	return send(t, request)
}

func send(t *testing.T, request *http.Request) answer {
	t.Helper()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		require.Fail(t, "no answer") // the error names the address, which may hold a token
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return answer{response.StatusCode, strings.TrimSpace(string(text))}
}
