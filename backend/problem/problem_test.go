package problem_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/problem"
)

func TestHasField(t *testing.T) {
	field, general := problem.InField("org", "unknown"), problem.BadInput("not configured")
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"nil":                    {nil, false},
		"plain":                  {errors.New("x"), false},
		"no field":               {general, false},
		"field":                  {field, true},
		"wrapped":                {fmt.Errorf("role: %w", field), true},
		"joined":                 {errors.Join(errors.New("x"), field), true},
		"behind one without":     {errors.Join(general, fmt.Errorf("y: %w", field)), true},
		"cause of a bad gateway": {problem.BadGateway(field, "no answer"), true},
	} {
		require.Equal(t, c.want, problem.HasField(c.err), name)
	}
}

func TestListSaysEachProblemOnce(t *testing.T) {
	var l problem.List
	require.NoError(t, l.Err())
	l.Add("org", "unknown")
	l = append(l, nil, errors.Join(problem.InField("org", "unknown"), problem.InField("user", "unknown")))
	require.EqualError(t, l.Err(), "org: unknown\nuser: unknown")
}

func TestListIsBounded(t *testing.T) {
	var l problem.List
	for i := range 1234 {
		l.Add("permissions", "unknown key %d", i)
	}
	lines := strings.Split(l.Err().Error(), "\n")
	require.Len(t, lines, 1001)
	require.Equal(t, "and 234 more", lines[1000])
}

func TestWords(t *testing.T) {
	require.Equal(t, "short", problem.Clip("short"))
	require.Equal(t, strings.Repeat("x", 63)+"…", problem.Clip(strings.Repeat("x", 63)+"ü"), "no half a character")
	require.Empty(t, problem.RFC3339(time.Time{}))
	require.Equal(t, "2026-11-28T08:00:00Z", problem.RFC3339(time.Date(2026, 11, 28, 9, 0, 0, 5, time.FixedZone("", 3600))))
	require.Equal(t, "a, b", problem.NameSome([]string{"a", "b"}))
	require.Contains(t, problem.NameSome(make([]string, 23)), " and 3 more")
}
