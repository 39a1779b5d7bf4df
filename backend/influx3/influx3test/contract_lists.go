package influx3test

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

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
	{"a query that is no SQL is 400", func(s *suite) {
		s.operator("POST", queryPath, queryBody("SELEKT", "x")).is(400)
	}},
}

// A call whose client goes away may be done, or not, or half (see catalog.go). Absence from a list proves nothing; a
// second POST of the name does.
var abandonedClauses = []clause{
	{"after an abandoned creation, a second one tells what became of it", abandonedCreations},
	{"after an abandoned deletion, a second one ends the token", abandonedDeletions},
}

// abandonments is how many calls a clause gives up; the later ones wait longer for their answers.
const abandonments = 50

func patience(i int) time.Duration { return time.Duration(i) * 60 * time.Microsecond }

func abandonedCreations(s *suite) {
	prefix := uniqueName()
	var names []string
	for i := range abandonments {
		names = append(names, fmt.Sprintf("%s:%d", prefix, i))
		s.abandon(s.request("POST", namedAdminPath, s.OperatorToken, namedAdmin(names[i], 600)), patience(i))
	}
	listed := len(s.listed(prefix + "%"))
	were := 0
	for _, name := range names {
		r := s.operator("POST", namedAdminPath, namedAdmin(name, 600))
		require.Contains(s.T, []int{201, 409}, r.status, r.body)
		if r.status == 409 {
			were++
		}
		s.operator("DELETE", deletePath(name), nil).is(200)
	}
	s.Logf("of %d creations given up, %d were listed and %d were there", abandonments, listed, were)
	require.Empty(s.T, s.listed(prefix+"%"))
}

func abandonedDeletions(s *suite) {
	prefix := uniqueName()
	made := make([]tokenAnswer, abandonments)
	for i := range made {
		made[i] = s.mint(fmt.Sprintf("%s:%d", prefix, i), 600)
	}
	for i, token := range made {
		s.abandon(s.request("DELETE", deletePath(token.Name), s.OperatorToken, nil), patience(i))
	}
	count := map[int]int{}
	for _, token := range made {
		r := s.operator("DELETE", deletePath(token.Name), nil)
		count[r.status]++
		require.Contains(s.T, []int{200, 404}, r.status, r.body)
		require.False(s.T, s.works(token.Token))
	}
	s.Logf("%d deletions given up, and how the second ones were answered: %v", abandonments, count)
	require.Empty(s.T, s.listed(prefix+"%"))
}

// abandon sends a request on a connection of its own, and closes it so long after the last byte was sent.
func (s *suite) abandon(request *http.Request, patience time.Duration) {
	s.Helper()
	address, err := url.Parse(s.URL)
	require.NoError(s.T, err)
	connection, err := (&net.Dialer{}).DialContext(request.Context(), "tcp", address.Host)
	require.NoError(s.T, err)
	defer func() { require.NoError(s.T, connection.Close()) }()
	var sent bytes.Buffer
	require.NoError(s.T, request.Write(&sent))
	_, err = connection.Write(sent.Bytes())
	require.NoError(s.T, err)
	<-time.After(patience)
}
