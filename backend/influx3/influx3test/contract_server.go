package influx3test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
)

// pathsOfV2 are what a client of InfluxDB 2 asks.
var pathsOfV2 = []string{
	"/api/v2/authorizations", "/api/v2/authorizations/0000000000000001", "/api/v2/me", "/api/v2/orgs", "/api/v2/setup",
	"/api/v2/resources", "/api/v2/buckets", "/api/v2/users", "/api/v2/nowhere",
}

var serverClauses = []clause{
	{"ping names version, build and product", pingAnswer},
	{"only GET and POST are ping", func(s *suite) {
		s.operator("POST", "/ping", nil).is(200)
		s.operator("HEAD", "/ping", nil).is(404)
		s.operator("PUT", "/ping", nil).refuses(404, "Not found")
	}},
	{"without a token, and with one that is unknown, everything is 401", func(s *suite) {
		for _, token := range []string{"", "unknown", "Token unknown", s.OperatorToken + "x", strings.ToUpper(s.OperatorToken)} {
			s.call("GET", "/ping", token, nil).isUnauthenticated()
			s.call("POST", namedAdminPath, token, namedAdmin(uniqueName())).isUnauthenticated()
			s.call("DELETE", deletePath(uniqueName()), token, nil).isUnauthenticated()
			s.call("POST", queryPath, token, queryBody(allColumns+"name LIKE $p", "%")).isUnauthenticated()
			s.call("POST", writePath+"?db=x", token, "m v=1").isUnauthenticated()
			s.call("GET", "/nowhere", token, nil).isUnauthenticated()
		}
	}},
	{"Token, Bearer and Basic work, and other schemes are 400", func(s *suite) {
		for _, scheme := range []string{"Token", "Bearer"} {
			s.call("GET", "/ping", scheme+" "+s.OperatorToken, nil).is(200)
		}
		basic := base64.StdEncoding.EncodeToString([]byte("anybody:" + s.OperatorToken))
		s.call("GET", "/ping", "Basic "+basic, nil).is(200)
		for _, header := range []string{"bearer " + s.OperatorToken, "Digest " + s.OperatorToken, "Token  " + s.OperatorToken} {
			require.Contains(s.T, s.call("GET", "/ping", header, nil).is(400).body, "Authorization header was malformed")
		}
	}},
	{"every answer has the server's time and the cluster's ID", everyAnswer},
	{"the paths of InfluxDB 2 are 404 Not found, and 401 without a token", func(s *suite) {
		for _, path := range pathsOfV2 {
			for _, method := range []string{"GET", "POST", "DELETE", "PATCH"} {
				s.operator(method, path, nil).refuses(404, "Not found")
				s.call(method, path, "", nil).isUnauthenticated()
			}
		}
	}},
	{"a path of the other product is 404 Not found", func(s *suite) {
		s.operator("GET", "/api/v0/tokens", nil).refuses(404, "Not found")
		if s.Product == "core" {
			s.operator("POST", scopedTokenPath, namedAdmin(uniqueName())).refuses(404, "Not found")
			s.call("POST", scopedTokenPath, "", namedAdmin(uniqueName())).isUnauthenticated()
		}
	}},
	{"the first token is made once, for anybody", func(s *suite) {
		for _, token := range []string{"", s.OperatorToken} {
			s.call("POST", adminTokenPath, token, nil).refuses(409, "token name already exists, _admin")
		}
	}},
}

func pingAnswer(s *suite) {
	r := s.operator("GET", "/ping", nil).is(200)
	build := map[string]string{"core": "Core", "enterprise": "Enterprise"}[s.Product]
	require.Equal(s.T, s.Version, r.header.Get("X-Influxdb-Version"))
	require.Equal(s.T, build, r.header.Get("X-Influxdb-Build"))
	require.Equal(s.T, "application/json", r.header.Get("Content-Type"))
	var ping map[string]string
	r.into(&ping)
	require.Equal(s.T, s.Version, ping["version"])
	require.Equal(s.T, "InfluxDB 3 "+build, ping["product_name"])
}

func everyAnswer(s *suite) {
	clusters := map[string]bool{}
	for _, r := range []response{
		s.operator("GET", "/ping", nil).is(200),
		s.call("GET", "/ping", "", nil).is(401),
		s.operator("GET", "/nowhere", nil).is(404),
		s.operator("DELETE", deletePath(OperatorName), nil).is(405),
		s.operator("POST", queryPath, queryBody(allColumns+"name = $p", "x")).is(200),
	} {
		date, err := http.ParseTime(r.header.Get("Date"))
		require.NoError(s.T, err, r.about)
		require.WithinDuration(s.T, time.Now(), date, time.Minute, r.about)
		clusters[r.header.Get("Cluster-Uuid")] = true
	}
	require.Len(s.T, clusters, 1, "one server has one ID: %v", clusters)
	require.False(s.T, clusters[""])
}

var databaseClauses = []clause{
	{"a database is made once, and listed", func(s *suite) {
		name := uniqueName()
		require.Empty(s.T, s.operator("POST", databasePath, map[string]string{"db": name}).is(200).body)
		s.operator("POST", databasePath, map[string]string{"db": name}).is(409)
		var rows []map[string]string
		s.operator("GET", databasePath+"?format=json", nil).is(200).into(&rows)
		require.Contains(s.T, rows, map[string]string{"iox::database": name})
		require.Contains(s.T, rows, map[string]string{"iox::database": internalDatabase})
	}},
	{"a write answers 204", func(s *suite) {
		name := uniqueName()
		s.operator("POST", databasePath, map[string]string{"db": name}).is(200)
		require.Empty(s.T, s.operator("POST", writePath+"?db="+name, "m,t=a v=1").is(204).body)
	}},
	{"a write of nothing answers 400", func(s *suite) {
		name := uniqueName()
		s.operator("POST", databasePath, map[string]string{"db": name}).is(200)
		require.Contains(s.T, s.operator("POST", writePath+"?db="+name, "").is(400).body, "incoming write was empty")
	}},
}

// The clauses for Enterprise are documented; nobody has run them against one.
var enterpriseClauses = []clause{
	{"a token for a database writes there and nowhere else", func(s *suite) {
		mine, other := uniqueName(), uniqueName()
		for _, name := range []string{mine, other} {
			s.operator("POST", databasePath, map[string]string{"db": name}).is(200)
		}
		made := s.scoped(Permission{"db", []string{mine}, []string{"write"}})
		s.call("POST", writePath+"?db="+mine, made.Token, "m v=1").is(204)
		s.call("POST", writePath+"?db="+other, made.Token, "m v=1").is(403)
		reader := s.scoped(Permission{"db", []string{mine}, []string{"read"}})
		s.call("POST", writePath+"?db="+mine, reader.Token, "m v=1").is(403)
		s.call("GET", "/ping", "unknown", nil).isUnauthenticated()
	}},
	{"a token for a database makes, deletes and lists no tokens", func(s *suite) {
		name := uniqueName()
		s.operator("POST", databasePath, map[string]string{"db": name}).is(200)
		token := s.scoped(Permission{"db", []string{name}, []string{"read", "write"}}).Token
		more := map[string]any{"token_name": uniqueName(), "permissions": []Permission{{"db", []string{name}, []string{"read"}}}}
		for _, r := range []response{
			s.call("POST", namedAdminPath, token, namedAdmin(uniqueName())),
			s.call("POST", scopedTokenPath, token, more),
			s.call("DELETE", deletePath(uniqueName()), token, nil),
			s.call("POST", queryPath, token, queryBody(allColumns+"name LIKE $p", "%")),
		} {
			require.Contains(s.T, r.is(403).body, "unauthorized to perform requested action with the token")
		}
	}},
	{"a token can be made for databases that exist only", func(s *suite) {
		name := uniqueName()
		r := s.operator("POST", scopedTokenPath, map[string]any{
			"token_name": uniqueName(), "permissions": []Permission{{"db", []string{name}, []string{"read"}}}, "expiry_secs": 60})
		require.GreaterOrEqual(s.T, r.status, 400)
		require.Contains(s.T, r.body, name)
	}},
}

// scoped makes a token for this test that is good for an hour.
func (s *suite) scoped(permissions ...Permission) tokenAnswer {
	s.Helper()
	var made tokenAnswer
	name := uniqueName()
	s.operator("POST", scopedTokenPath, map[string]any{"token_name": name, "permissions": permissions, "expiry_secs": 3600}).
		is(201).into(&made)
	s.deleteAfterwards(name)
	return made
}
