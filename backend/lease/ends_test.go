package lease

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
)

const margin = 5 * time.Minute

// data is a lease of the role app.
func data(n int, deadline time.Time) Data {
	return Data{AuthorizationID: id(n), Connection: "one", Role: "app", Deadline: deadline}
}

// issue counts a token of the role app under a lease of ttl, which can be renewed for an hour.
func issue(c *Counter, n int, ttl time.Duration, at time.Time) {
	r, _ := c.Reserve("app", 0, at)
	r.Commit(data(n, at.Add(time.Hour)), ttl, at)
}

// ended are the numbers of the tokens that are claimed at a moment.
func ended(c *Counter, at time.Time) []string {
	claimed := c.ClaimEnded(at, margin, 100)
	c.Unclaim(claimed)
	ids := []string{}
	for _, d := range claimed {
		ids = append(ids, d.AuthorizationID)
	}
	slices.Sort(ids)
	return ids
}

func TestTokensWithoutALeaseAreClaimed(t *testing.T) {
	var c Counter
	require.Empty(t, ended(&c, now))
	issue(&c, 1, time.Minute, now)
	issue(&c, 2, time.Minute, now)
	issue(&c, 3, time.Minute, now)
	issue(&c, 0x7bcdef0123456789, 2*time.Minute, now)
	require.NoError(t, countAll(&c, func(add func(role, id string, deadline time.Time)) error {
		add("app", id(9), now.Add(time.Second)) // an earlier process issued it
		return nil
	}))
	c.Remove("app", id(2)) // revoked
	c.Forget(id(3))        // its deletion is written down
	require.Empty(t, ended(&c, now.Add(time.Minute+margin)))
	require.Equal(t, []string{id(1)}, ended(&c, now.Add(time.Minute+margin+1)))
	claimed := c.ClaimEnded(now.Add(3*time.Minute+margin), margin, 100)
	require.ElementsMatch(t, []Data{
		{AuthorizationID: id(1), Connection: "one", Role: "app"}, {AuthorizationID: "7bcdef0123456789", Connection: "one", Role: "app"},
	}, claimed)
	require.Empty(t, ended(&c, now.Add(time.Hour)), "they are claimed")
	c.Remove("app", id(1))
	c.Unclaim(claimed)
	require.Equal(t, []string{"7bcdef0123456789"}, ended(&c, now.Add(time.Hour)))
	require.Len(t, c.ClaimEnded(now.Add(time.Hour), margin, 1), 1)
	require.Empty(t, c.ClaimEnded(now.Add(time.Hour), margin, 1))
	c.Remove("app", "7bcdef0123456789")
	c.Remove("app", id(7))
	require.Equal(t, ends{start: now}, c.ends, "nothing stays of what has ended")
}

func TestClaimsAreBounded(t *testing.T) {
	var c Counter
	for n := range 10 {
		issue(&c, n, time.Minute, now)
	}
	later := now.Add(time.Hour)
	require.Len(t, c.ClaimEnded(later, margin, 4), 4)
	require.Len(t, c.ClaimEnded(later, margin, 4), 4)
	require.Len(t, c.ClaimEnded(later, margin, 4), 2)
	require.Empty(t, c.ClaimEnded(later, margin, 4))
}

func TestARenewalMovesTheEnd(t *testing.T) {
	var c Counter
	issue(&c, 1, time.Minute, now)
	d := data(1, now.Add(time.Hour))
	require.True(t, c.Extend(d, 20*time.Minute, now.Add(30*time.Second)))
	require.True(t, c.Extend(d, time.Second, now.Add(31*time.Second)), "and never makes it shorter")
	require.Empty(t, ended(&c, now.Add(30*time.Second+20*time.Minute+margin)))
	end := now.Add(30*time.Second + 20*time.Minute + margin + 1)
	require.Equal(t, []string{id(1)}, ended(&c, end))
	require.True(t, c.Extend(d, time.Minute, end), "nobody has claimed it")
	require.Empty(t, ended(&c, end.Add(time.Minute)))

	claimed := c.ClaimEnded(end.Add(time.Hour), margin, 1)
	require.False(t, c.Extend(d, time.Minute, end.Add(time.Hour)), "it is being deleted")
	c.Unclaim(claimed)
	require.True(t, c.Extend(d, time.Minute, end.Add(time.Hour)), "it is not after all")
	require.Empty(t, ended(&c, end.Add(time.Hour)))

	d.AuthorizationID = id(2)
	require.True(t, c.Extend(d, time.Minute, now), "an earlier process issued it")
	d.AuthorizationID = "no ID"
	require.True(t, c.Extend(d, time.Minute, now))
	require.Equal(t, []string{id(1)}, ended(&c, now.Add(9*time.Hour)))
}

// What has no lease any more has room again, at once; a lease that Vault renews all the same counts again.
func TestTokensStopCountingWhenTheirLeasesEnd(t *testing.T) {
	var c Counter
	issue(&c, 1, time.Minute, now)
	issue(&c, 2, 2*time.Minute, now)
	require.NoError(t, countAll(&c, func(add func(role, id string, deadline time.Time)) error {
		add("app", id(3), now.Add(time.Hour))
		return nil
	}))
	at := func(later time.Duration) time.Time { return now.Add(later) }
	require.True(t, full(&c, "app", 3, at(time.Minute)))
	require.True(t, c.Extend(data(2, at(time.Hour)), 5*time.Minute, at(time.Minute)))
	require.False(t, full(&c, "app", 3, at(time.Minute+1)))
	require.True(t, full(&c, "app", 2, at(6*time.Minute)), "one was renewed, and of the other nothing but its deadline is known")
	require.True(t, c.Extend(data(1, at(time.Hour)), time.Minute, at(6*time.Minute)))
	require.True(t, full(&c, "app", 3, at(6*time.Minute)), "Vault was late")
	require.False(t, full(&c, "app", 2, at(8*time.Minute)))
	require.True(t, full(&c, "app", 1, at(time.Hour)))
	require.False(t, full(&c, "app", 1, at(time.Hour+time.Second)))
	require.Len(t, ended(&c, at(time.Hour)), 2, "that they do not count does not mean that they are gone")
}

// A list read late still names what this process has issued, and what has no lease any more.
func TestWhatIsListedHasTheEndThatIsKnown(t *testing.T) {
	var c Counter
	issue(&c, 1, time.Minute, now)
	later := now.Add(2 * time.Minute)
	require.False(t, full(&c, "app", 1, later))
	require.NoError(t, countAll(&c, func(add func(role, id string, deadline time.Time)) error {
		add("app", id(1), now.Add(time.Hour))
		return nil
	}))
	require.False(t, full(&c, "app", 1, later))
	require.True(t, c.Extend(data(1, now.Add(time.Hour)), time.Minute, later))
	require.True(t, full(&c, "app", 1, later))
}

// The ends of leases on the connection before outlive a switch: their tokens are still to be deleted there.
func TestAResetKeepsTheEnds(t *testing.T) {
	var c Counter
	issue(&c, 1, time.Minute, now)
	c.Reset()
	require.False(t, full(&c, "app", 1, now))
	require.True(t, c.Extend(data(1, now.Add(time.Hour)), time.Minute, now.Add(time.Second)))
	require.False(t, full(&c, "app", 1, now.Add(time.Second)), "it is another connection's")
	require.Equal(t, []string{id(1)}, ended(&c, now.Add(time.Hour)))
	c.Close()
	require.Empty(t, ended(&c, now.Add(time.Hour)), "whoever has the mount now renews without us")
}

// steppedBy is a moment as time.Now tells it once the wall clock was set: the monotonic reading in it stays the same.
func steppedBy(t *testing.T, at time.Time, step time.Duration) time.Time {
	t.Helper()
	stepped := at
	*(*uint64)(unsafe.Pointer(&stepped)) += uint64(step/time.Second) << 30 // the seconds of the wall clock
	require.Zero(t, stepped.Sub(at))
	require.Equal(t, step, stepped.Round(0).Sub(at.Round(0)))
	return stepped
}

func TestAStepOfTheWallClockEndsNothing(t *testing.T) {
	var c Counter
	start := time.Now()
	issue(&c, 1, time.Minute, start)
	for _, step := range []time.Duration{-24 * time.Hour, 24 * time.Hour} {
		at := steppedBy(t, start.Add(30*time.Second), step)
		require.Empty(t, ended(&c, at), step)
		require.True(t, c.Extend(data(1, start.Add(time.Hour)), time.Minute, at))
	}
	require.Equal(t, []string{id(1)}, ended(&c, steppedBy(t, start.Add(time.Hour), -24*time.Hour)), "its time passed on the clock that counts")
}

// The mount is asked for its time by many at once.
func TestEndsOfManyAtOnce(t *testing.T) {
	var c Counter
	done := make(chan int)
	for worker := range 8 {
		go func() {
			for n := range 200 {
				number := worker*1000 + n
				issue(&c, number, time.Duration(rand.IntN(60))*time.Second, now)
				c.Extend(data(number, now.Add(time.Hour)), time.Minute, now)
				claimed := c.ClaimEnded(now.Add(30*time.Second), 0, 10)
				c.Remove("app", id(number))
				c.Unclaim(claimed)
			}
			done <- worker
		}()
	}
	for range 8 {
		<-done
	}
	require.Equal(t, ends{start: now}, c.ends)
	require.Empty(t, c.claimed)
}

// endsSize is how many bytes the ends of a number of leases take, each.
func endsSize(tokens int) float64 {
	measure := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	var c Counter
	before := measure()
	for n := range tokens {
		d := data(rand.Int(), now.Add(time.Hour))
		d.Role = fmt.Sprint("role-", n%100)
		number, _, _ := parseID(d.AuthorizationID)
		c.ends.put(number, frame{}, d, time.Hour, now)
	}
	size := measure() - before
	runtime.KeepAlive(&c)
	return float64(size) / float64(tokens)
}

func TestEndsTakeLittleMemory(t *testing.T) {
	for _, tokens := range []int{60_000, 100_000, 120_000} { // a map that has just grown is the largest
		require.LessOrEqual(t, endsSize(tokens), 64.0, "bytes a token, of %d", tokens)
	}
}

// BenchmarkEnds is what the end of a lease takes in memory, with 100,000 of them, and what a look at all costs.
func BenchmarkEnds(b *testing.B) {
	const tokens = 100_000
	size := endsSize(tokens)
	if size > 64 {
		b.Fatalf("%.0f bytes a token", size)
	}
	var c Counter
	for n := range tokens {
		issue(&c, n, time.Hour, now)
	}
	for b.Loop() {
		if claimed := c.ClaimEnded(now, margin, 500); len(claimed) != 0 {
			b.Fatal("ended too early")
		}
	}
	b.ReportMetric(size, "B/token")
}

// The IDs that InfluxDB makes in a row differ above their low bits, which hold a machine and a sequence number.
func TestRealIDsSpreadOverTheShards(t *testing.T) {
	var (
		c   Counter
		now = time.Now()
	)
	for i := range 10_000 {
		r, _ := c.Reserve("app", 0, now)
		id := fmt.Sprintf("%016x", uint64(0x11b0ea6516f4a000)+uint64(i)*7<<22)
		r.Commit(Data{AuthorizationID: id, Connection: "c", Role: "app", Deadline: now.Add(time.Hour)}, time.Hour, now)
	}
	for _, shard := range c.ends.shards {
		require.Less(t, len(shard), 1000)
	}
}
