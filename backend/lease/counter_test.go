package lease

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var now = time.Unix(1_800_000_000, 0)

func id(n int) string { return fmt.Sprintf("%016x", n) }

// commit counts a token as a mint does.
func commit(c *Counter, role string, n int, deadline time.Time) {
	r, _ := c.Reserve(role, 0, now)
	r.Commit(Data{AuthorizationID: id(n), Connection: "one", Role: role, Deadline: deadline}, deadline.Sub(now), now)
}

// full reports whether a role has no room left, and reserves none.
func full(c *Counter, role string, max int, at time.Time) bool {
	r, ok := c.Reserve(role, max, at)
	if ok {
		r.Release()
	}
	return !ok
}

func TestTokensStopCountingAtTheirDeadlines(t *testing.T) {
	var c Counter
	add := func(n int, deadline time.Duration) { commit(&c, "app", n, now.Add(deadline)) }
	reached := func(max int, later time.Duration) bool { return full(&c, "app", max, now.Add(later)) }

	require.False(t, reached(1, 0), "none at all")
	add(1, 20*time.Second)
	add(2, 10*time.Second) // a shorter one, later
	add(3, 30*time.Second)
	require.False(t, reached(4, 0))
	require.True(t, reached(3, 10*time.Second), "to its last second it counts")
	require.False(t, reached(3, 11*time.Second))
	require.True(t, reached(2, 11*time.Second), "the others stay")
	add(4, 15*time.Second)
	require.False(t, reached(3, 16*time.Second), "shorter than those that were looked at")
	c.Remove("app", id(1))
	c.Remove("app", id(1))
	require.False(t, reached(2, 16*time.Second))
	require.False(t, reached(1, 31*time.Second))
	add(5, time.Minute)
	require.True(t, reached(1, 31*time.Second), "and they fill again")
	c.Remove("app", id(5))
	require.Empty(t, c.byRole)
	require.Empty(t, c.reserved)
}

func TestReservationsCount(t *testing.T) {
	var c Counter
	first, ok := c.Reserve("app", 2, now)
	require.True(t, ok)
	second, ok := c.Reserve("app", 2, now)
	require.True(t, ok)
	require.True(t, full(&c, "app", 2, now))
	require.False(t, full(&c, "other", 2, now), "another role has room of its own")
	first.Release()
	first.Release()
	require.False(t, full(&c, "app", 2, now))
	require.True(t, full(&c, "app", 1, now), "a second Release frees nothing")
	second.Commit(data(1, now.Add(time.Hour)), time.Hour, now)
	second.Release()
	require.True(t, full(&c, "app", 1, now), "Release after Commit frees nothing")
	count, last := c.Last(now)
	require.Equal(t, 1, count)
	require.True(t, last.Equal(now.Add(time.Hour)))
}

// countAll counts what a list hands on, unless that is counted.
func countAll(c *Counter, list func(add func(role, id string, deadline time.Time)) error) error {
	count := c.StartCount()
	if count == nil {
		return nil
	}
	err := list(count.Add)
	count.End(err == nil)
	return err
}

func TestExistingTokensAreCountedOnce(t *testing.T) {
	var c Counter
	lists := 0
	list := func(add func(role, id string, deadline time.Time)) error {
		lists++
		add("app", id(1), now.Add(time.Hour))
		add("app", id(2), now.Add(time.Hour))
		c.Remove("app", id(2)) // after it was listed
		c.Remove("app", id(3)) // before it is
		add("app", id(3), now.Add(time.Hour))
		add("app", "no ID", now.Add(time.Hour))
		return nil
	}
	failed := errors.New("the list was cut off")
	require.ErrorIs(t, countAll(&c, func(add func(role, id string, deadline time.Time)) error {
		return errors.Join(list(add), failed)
	}), failed)
	require.NoError(t, countAll(&c, list), "a list that failed is read again")
	require.NoError(t, countAll(&c, list))
	require.Equal(t, 2, lists)
	count, _ := c.Last(now)
	require.Equal(t, 1, count)

	commit(&c, "app", 3, now.Add(time.Hour))
	count, _ = c.Last(now)
	require.Equal(t, 2, count, "what was removed during a count is not held against what comes after it")
}

// The mount's connection is switched while the tokens of the previous one are being counted.
func TestAResetEndsACount(t *testing.T) {
	var c Counter
	require.NoError(t, countAll(&c, func(add func(role, id string, deadline time.Time)) error {
		add("app", id(1), now.Add(time.Hour))
		c.Reset()
		commit(&c, "app", 9, now.Add(time.Hour)) // on the new connection
		add("app", id(2), now.Add(time.Hour))
		return nil
	}))
	count, _ := c.Last(now)
	require.Equal(t, 1, count, "only the new connection's token")
	lists := 0
	require.NoError(t, countAll(&c, func(add func(role, id string, deadline time.Time)) error {
		lists++
		add("app", id(9), now.Add(time.Hour))
		add("app", id(10), now.Add(time.Hour))
		return nil
	}))
	require.Equal(t, 1, lists, "the new connection's tokens are not counted yet")
	count, _ = c.Last(now)
	require.Equal(t, 2, count)
}

// The next count may begin before the one that was ended by a switch has read its list to the end.
func TestACountThatWasEndedLeavesTheNextOneAlone(t *testing.T) {
	var c Counter
	require.NoError(t, countAll(&c, func(addOld func(role, id string, deadline time.Time)) error {
		c.Reset()
		return countAll(&c, func(add func(role, id string, deadline time.Time)) error {
			addOld("app", id(1), now.Add(time.Hour))
			add("app", id(2), now.Add(time.Hour))
			c.Remove("app", id(3))
			add("app", id(3), now.Add(time.Hour))
			return nil
		})
	}))
	count, _ := c.Last(now)
	require.Equal(t, 1, count)
	require.NoError(t, countAll(&c, func(func(role, id string, deadline time.Time)) error {
		return errors.New("counted already")
	}))
}

// BenchmarkFullRole is what a refused mint of a role with 100,000 live tokens costs: it must not look at each.
func BenchmarkFullRole(b *testing.B) {
	var c Counter
	const tokens = 100_000
	for n := range tokens {
		commit(&c, "app", n, now.Add(time.Hour))
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := c.Reserve("app", tokens, now); ok {
			b.Fatal("not full")
		}
	}
}
