package influx3test

import (
	"fmt"

	"github.com/stretchr/testify/require"
)

var listClauses = []clause{
	{"a row has ID, name, times, permissions and the hash's first nine digits", func(s *suite) {
		made := s.mint(uniqueName(), 3600)
		rows := s.rows("name = $p", made.Name)
		require.Len(s.T, rows, 1)
		require.Equal(s.T, made.ID, *rows[0].ID)
		require.Equal(s.T, made.Name, *rows[0].Name)
		require.Equal(s.T, made.Hash[:9], *rows[0].Hash)
		require.Equal(s.T, timestamp(made.CreatedAt), *rows[0].CreatedAt)
		require.Equal(s.T, timestamp(*made.Expiry), *rows[0].Expiry)
		require.Equal(s.T, "*:*:*", *rows[0].Permissions)
	}},
	{"a column without a value is left out of its row", func(s *suite) {
		made := s.mint(uniqueName())
		query := queryBody("SELECT name, created_at, expiry, hash FROM system.tokens WHERE name = $p", made.Name)
		r := s.operator("POST", queryPath, query).is(200)
		require.Equal(s.T, "application/json", r.header.Get("Content-Type"))
		require.NotContains(s.T, r.body, "expiry")
		var rows []map[string]any
		r.into(&rows)
		require.Len(s.T, rows, 1)
		require.Len(s.T, rows[0], 3)
	}},
	{"no row is an empty list", func(s *suite) {
		r := s.operator("POST", queryPath, queryBody(allColumns+"name = $p", uniqueName())).is(200)
		require.JSONEq(s.T, `[]`, r.body)
	}},
	{"LIKE lists what begins so, expired tokens too", func(s *suite) {
		prefix := uniqueName()
		var names []string
		for i, seconds := range []uint64{60, 0, 3600} {
			names = append(names, s.mint(fmt.Sprintf("%s:%d", prefix, i), seconds).Name)
		}
		s.mint("not-"+prefix, 60)
		require.ElementsMatch(s.T, names, s.listed(prefix+"%"))
		require.ElementsMatch(s.T, names, s.listed(prefix+":%"))
		require.ElementsMatch(s.T, names[:1], s.listed(prefix+":0"))
		require.Len(s.T, s.listed("%"+prefix+"%"), 4)
		require.Empty(s.T, s.listed("C"+prefix[1:]+"%"), "case matters")
	}},
	{"in LIKE, _ is any character and a backslash takes that from it", func(s *suite) {
		prefix := uniqueName()
		under, other, percent := s.mint(prefix+"_x", 60).Name, s.mint(prefix+"-x", 60).Name, s.mint(prefix+"%x", 60).Name
		require.ElementsMatch(s.T, []string{under, other, percent}, s.listed(prefix+"_x"))
		require.ElementsMatch(s.T, []string{under}, s.listed(prefix+`\_x`))
		require.ElementsMatch(s.T, []string{percent}, s.listed(prefix+`\%%`))
	}},
	{"a parameter is a text, never SQL", func(s *suite) {
		for _, text := range []string{"' OR '1'='1", "x' OR name LIKE '%", "$p", `"`} {
			require.Empty(s.T, s.rows("name = $p", text))
			require.Empty(s.T, s.listed(text))
		}
	}},
	{"a token finds its own row by its hash", func(s *suite) {
		made := s.mint(uniqueName(), 60)
		for token, name := range map[string]string{made.Token: made.Name, s.OperatorToken: OperatorName} {
			var rows []row
			s.call("POST", queryPath, token, queryBody(allColumns+"hash = $p", hashOf(token)[:9])).is(200).into(&rows)
			require.Len(s.T, rows, 1)
			require.Equal(s.T, name, *rows[0].Name)
		}
	}},
	{"a query of a database that does not exist is 404", func(s *suite) {
		query := queryBody(allColumns+"name = $p", "x")
		query["db"] = uniqueName()
		require.Contains(s.T, s.operator("POST", queryPath, query).is(404).body, "database not found")
	}},
	{"a query that is no SQL is 400, and one for a column that is not there 500", func(s *suite) {
		s.operator("POST", queryPath, queryBody("SELEKT", "x")).is(400)
		s.operator("POST", queryPath, queryBody("SELECT nothing FROM system.tokens WHERE name = $p", "x")).is(500)
	}},
	{"a query without its parameter is 400", func(s *suite) {
		query := queryBody(allColumns+"name = $q", "x")
		require.Contains(s.T, s.operator("POST", queryPath, query).is(400).body, "placeholder")
	}},
}
