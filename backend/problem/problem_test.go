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

func TestSimilar(t *testing.T) {
	names := []string{"metrics", "zone-1", "zone-2", "zone-7", "zone-3", "zone-4", "zone-5", "zone-77"}
	require.Equal(t, []string{"metrics"}, problem.Similar("METRIC", names))
	require.Equal(t, []string{"zone-77", "zone-7", "zone-1", "zone-2", "zone-3"}, problem.Similar("Zone-77", names))
	require.Empty(t, problem.Similar("something-else", names))
	require.Empty(t, problem.Similar(strings.Repeat("m", 128+1), []string{strings.Repeat("m", 128+1)}))
	require.Empty(t, problem.Similar("", []string{"a"}))
	require.Equal(t, "; did you mean metrics?", problem.DidYouMean("metrcs", names))
	require.Equal(t, "; did you mean zone-7 or zone-77?", problem.DidYouMean("zone-7x", []string{"zone-7", "zone-77"}))
	require.Empty(t, problem.DidYouMean("something-else", names))
}

func TestLooksLikeFile(t *testing.T) {
	for _, name := range []string{"perms.json", "@perms.json", "/etc/ssl/ca.pem", "./x", "../x", "~/x", "ca.CRT", "client.key\n"} {
		require.True(t, problem.LooksLikeFile(name), name)
	}
	for _, content := range []string{"", "metrics", "read:buckets", "[]", `{"a":"b.json"}`, "-----BEGIN CERTIFICATE-----\nx\n", "3.11", strings.Repeat("/", 257)} {
		require.False(t, problem.LooksLikeFile(content), content)
	}
}
