package influx3test

import (
	"crypto/sha512"
	"encoding/hex"
	"math"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/stretchr/testify/require"
)

var createClauses = []clause{
	{"a creation answers 201 and the value, once", createAnswer},
	{"a creation without expiry says null", func(s *suite) {
		name := uniqueName()
		r := s.operator("POST", namedAdminPath, namedAdmin(name)).is(201)
		s.deleteAfterwards(name)
		require.Contains(s.T, r.body, `"expiry":null`)
	}},
	{"a creation ignores what it does not know", func(s *suite) {
		name := uniqueName()
		s.deleteAfterwards(name)
		s.operator("POST", namedAdminPath, map[string]any{
			"token_name": name, "description": "x", "permissions": []string{}, "name": "y", "token": "z"}).is(201)
		require.Equal(s.T, []string{name}, s.listed(name))
	}},
	{"a creation without a name, or that is not JSON, is 400", func(s *suite) {
		for _, body := range []string{`{"name":"x"}`, `{}`, ``, `{`, `[]`, `{"token_name":1}`, `{"token_name":"x","expiry_secs":-1}`} {
			require.NotEmpty(s.T, s.typed(namedAdminPath, "application/json", body).is(400).body)
		}
	}},
	{"a creation that is not called JSON is 415", func(s *suite) {
		for _, kind := range []string{"", "text/plain", "application/x-www-form-urlencoded"} {
			s.typed(namedAdminPath, kind, `{"token_name":"x"}`).refuses(415, "unacceptable content-type, expected: application/json")
		}
		name := uniqueName()
		s.deleteAfterwards(name)
		s.typed(namedAdminPath, "application/json; charset=utf-8", `{"token_name":"`+name+`"}`).is(201)
	}},
	{"a name is given once", func(s *suite) {
		name := s.mint(uniqueName(), 60).Name
		s.operator("POST", namedAdminPath, namedAdmin(name, 60)).refuses(409, "token name already exists, "+name)
		s.operator("POST", namedAdminPath, namedAdmin(OperatorName, 60)).refuses(409, "token name already exists, _admin")
		s.mint(strings.ToUpper(name), 60) // another name: case matters
	}},
	{"of sixteen creations at once with one name, one succeeds", sixteenAtOnce},
	{"a name may be any text", func(s *suite) {
		for _, suffix := range []string{" Räd \"x\" <y>\n", "%_\\$p' OR 1=1 --", "/../?#&+;=", strings.Repeat("x", 4000), "日本"} {
			name := uniqueName() + suffix
			s.mint(name, 60)
			require.Len(s.T, s.rows("name = $p", name), 1, name)
			s.operator("DELETE", deletePath(name), nil).is(200)
			require.Empty(s.T, s.rows("name = $p", name), name)
		}
	}},
}

func createAnswer(s *suite) {
	name := uniqueName()
	r := s.operator("POST", namedAdminPath, namedAdmin(name, 3600)).is(201)
	s.deleteAfterwards(name)
	require.Equal(s.T, "json", r.header.Get("Content-Type"))
	var made tokenAnswer
	r.into(&made)
	require.NotZero(s.T, made.ID, "0 is the operator token's")
	require.Equal(s.T, name, made.Name)
	require.Regexp(s.T, `^apiv3_[A-Za-z0-9_-]{86}$`, made.Token)
	sum := sha512.Sum512([]byte(made.Token))
	require.Equal(s.T, hex.EncodeToString(sum[:]), made.Hash)
	require.WithinDuration(s.T, time.Now(), made.CreatedAt, time.Minute)
	require.Equal(s.T, made.CreatedAt.Add(time.Hour), *made.Expiry)
	require.Contains(s.T, r.body, `"created_at":"`+timestamp(made.CreatedAt)+`Z"`, "the form of a time")
	require.True(s.T, s.works(made.Token))

	var fields map[string]any
	r.into(&fields)
	require.Len(s.T, fields, 6)
}

func sixteenAtOnce(s *suite) {
	name := uniqueName()
	s.deleteAfterwards(name)
	requests := make([]*http.Request, 16)
	for i := range requests {
		requests[i] = s.request("POST", namedAdminPath, s.OperatorToken, namedAdmin(name, 60))
	}
	statuses := make([]int, len(requests))
	var all sync.WaitGroup
	for i, request := range requests {
		all.Go(func() {
			if answer, err := s.client.Do(request); err == nil {
				statuses[i] = answer.StatusCode
				_ = answer.Body.Close()
			}
		})
	}
	all.Wait()
	count := map[int]int{}
	for _, status := range statuses {
		count[status]++
	}
	require.Equal(s.T, map[int]int{201: 1, 409: 15}, count)
}

var deleteClauses = []clause{
	{"a deletion answers 200 without a body, and again 404", func(s *suite) {
		name := s.mint(uniqueName(), 60).Name
		r := s.operator("DELETE", deletePath(name), nil).is(200)
		require.Empty(s.T, r.body)
		require.NotContains(s.T, r.header, "Content-Type")
		s.operator("DELETE", deletePath(name), nil).refuses(404, "the requested resource was not found: "+name)
	}},
	{"the operator token cannot be deleted", func(s *suite) {
		s.operator("DELETE", deletePath(OperatorName), nil).refuses(405, "cannot delete operator token")
	}},
	{"a deletion of no name is 400", func(s *suite) {
		s.operator("DELETE", tokenPath, nil).is(400)
	}},
	{"a deleted token is 401 at once, and its row is gone", func(s *suite) {
		for range 20 {
			made := s.mint(uniqueName(), 60)
			require.True(s.T, s.works(made.Token))
			s.operator("DELETE", deletePath(made.Name), nil).is(200)
			s.call("GET", "/ping", made.Token, nil).isUnauthenticated()
			s.call("POST", writePath+"?db=x", made.Token, "m v=1").isUnauthenticated()
			require.Empty(s.T, s.listed(made.Name))
		}
	}},
	{"a token may delete itself", func(s *suite) {
		made := s.mint(uniqueName(), 60)
		s.call("DELETE", deletePath(made.Name), made.Token, nil).is(200)
		require.False(s.T, s.works(made.Token))
	}},
	{"a deleted name is free, and its ID is not used again", func(s *suite) {
		one := s.mint(uniqueName(), 60)
		s.operator("DELETE", deletePath(one.Name), nil).is(200)
		two := s.mint(one.Name, 60)
		require.Greater(s.T, two.ID, one.ID)
		require.NotEqual(s.T, one.Token, two.Token)
		require.False(s.T, s.works(one.Token))
	}},
}

var expiryClauses = []clause{
	{"an expired token is 401, and keeps its row and its name until it is deleted", func(s *suite) {
		made := s.mint(uniqueName(), 1)
		s.eventually("the token expires", func() bool { return !s.works(made.Token) })
		require.False(s.T, time.Now().Before(*made.Expiry), "not before its time")
		s.call("GET", "/ping", made.Token, nil).isUnauthenticated()
		s.holdsItsName(made)
	}},
	{"a token that expires after 0 seconds is dead at birth", func(s *suite) {
		made := s.mint(uniqueName(), 0)
		require.Equal(s.T, made.CreatedAt, *made.Expiry)
		s.call("GET", "/ping", made.Token, nil).isUnauthenticated()
		s.holdsItsName(made)
	}},
	{"a hundred years are right, and absurd times mean never", func(s *suite) {
		const century = 100 * 365 * 24 * 3600
		made := s.mint(uniqueName(), century)
		require.Equal(s.T, int64(century), made.Expiry.Unix()-made.CreatedAt.Unix())
		for _, absurd := range []uint64{1 << 50, math.MaxInt64, math.MaxUint64} {
			made := s.mint(uniqueName(), absurd)
			require.Nil(s.T, made.Expiry, absurd)
			require.True(s.T, s.works(made.Token), absurd)
			require.Nil(s.T, s.rows("name = $p", made.Name)[0].Expiry)
		}
	}},
}

func (s *suite) holdsItsName(made tokenAnswer) {
	s.Helper()
	rows := s.rows("name = $p", made.Name)
	require.Len(s.T, rows, 1)
	require.Equal(s.T, timestamp(*made.Expiry), *rows[0].Expiry)
	s.operator("POST", namedAdminPath, namedAdmin(made.Name, 60)).refuses(409, "token name already exists, "+made.Name)
	s.operator("DELETE", deletePath(made.Name), nil).is(200)
	require.Empty(s.T, s.listed(made.Name))
}
