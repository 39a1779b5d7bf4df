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

// A call whose client goes away may be done, or not, or half (see catalog.go). Absence from a list proves nothing, nor does
// a 404 to a DELETE; a second POST of the name does. Here a call that gets its answer follows each.
var abandonedClauses = []clause{
	{"after an abandoned creation, a second one tells what became of it", abandonedCreations},
	{"after an abandoned deletion, a second one ends the token", abandonedDeletions},
}

// abandonments is how many calls a clause gives up; the later ones wait longer for their answers.
const abandonments = 60

// patience is how long a clause waits for the answer to the i-th.
func patience(i int) time.Duration { return time.Duration(i) * 50 * time.Microsecond }

// Names stay taken until the clause ends: what was given up may still be on its way, and makes its token if it finds its
// name free.
func abandonedCreations(s *suite) {
	prefix := uniqueName()
	count := map[string]int{}
	var names []string
	for i := range abandonments {
		name := fmt.Sprintf("%s:%d", prefix, i)
		names = append(names, name)
		s.abandon(s.request("POST", namedAdminPath, s.OperatorToken, namedAdmin(name, 600)), patience(i))
		outcome := "listed"
		if len(s.listed(name)) == 0 {
			outcome = "not listed"
			r := s.operator("DELETE", deletePath(name), nil)
			require.Contains(s.T, []int{200, 404}, r.status, r.body)
			outcome += fmt.Sprint(", DELETE ", r.status)
		}
		r := s.operator("POST", namedAdminPath, namedAdmin(name, 600))
		require.Contains(s.T, []int{201, 409}, r.status, r.body) // it never was, or it was
		require.Equal(s.T, []string{name}, s.listed(name))
		count[fmt.Sprint(outcome, ", POST ", r.status)]++
	}
	s.Logf("of %d creations given up: %v", abandonments, count)
	for _, name := range names {
		s.operator("DELETE", deletePath(name), nil).is(200)
	}
	require.Empty(s.T, s.listed(prefix+"%"))
}

func abandonedDeletions(s *suite) {
	prefix := uniqueName()
	count := map[string]int{}
	for i := range abandonments {
		made := s.mint(fmt.Sprintf("%s:%d", prefix, i), 600)
		s.abandon(s.request("DELETE", deletePath(made.Name), s.OperatorToken, nil), patience(i))
		worked := s.works(made.Token)
		r := s.operator("DELETE", deletePath(made.Name), nil)
		require.Contains(s.T, []int{200, 404}, r.status, r.body)
		require.False(s.T, s.works(made.Token))
		count[fmt.Sprintf("worked: %t, DELETE %d", worked, r.status)]++
	}
	s.Logf("of %d deletions given up: %v", abandonments, count)
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
