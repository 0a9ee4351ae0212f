package loglimit_test

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth/internal/loglimit"
)

var start = time.Date(2030, 1, 2, 3, 4, 0, 0, time.UTC)

func failed(why string) loglimit.Record { return loglimit.Record{Kind: loglimit.Failed, Cause: why} }

var recovered = loglimit.Record{Kind: loglimit.Recovered}

// Changes.Note returns one log record for each change between success and failure, and for each new
// cause of failure. It returns none while nothing changes.
func TestChangesAreRecordedOnce(t *testing.T) {
	t.Parallel()
	var c loglimit.Changes
	for i, step := range []struct {
		name, why string
		want      loglimit.Record
	}{
		// the part "a" of the system works from the start, so no log record says that it works
		{"a", "", loglimit.Record{}},
		{"a", "timeout", failed("timeout")},
		{"a", "timeout", loglimit.Record{}},
		{"b", "timeout", failed("timeout")},
		{"a", "refused", failed("refused")},
		{"a", "", recovered},
		{"a", "", loglimit.Record{}},
		{"b", "timeout", loglimit.Record{}},
		{"b", "", recovered},
	} {
		require.Equal(t, step.want, c.Note(step.name, step.why, start.Add(time.Duration(i)*time.Second)), "step %d", i)
	}
}

// If success and failure alternate all the time, Changes.Note first returns six log records about
// changes. After that, it returns one log record a minute, with the numbers of calls and failures.
// After a minute without a change, one more record reports success or failure.
func TestUnsteadyThings(t *testing.T) {
	t.Parallel()
	for final, want := range map[string]loglimit.Kind{"": loglimit.Recovered, "down": loglimit.Failed} {
		var c loglimit.Changes
		now := start
		kinds := map[loglimit.Kind]int{}
		var last loglimit.Record
		for i := range 600 { // the loop makes one call a second for ten minutes
			why := ""
			if i%2 == 0 {
				why = "500"
			}
			if r := c.Note("a", why, now); r.Kind != loglimit.None {
				kinds[r.Kind]++
				last = r
			}
			now = now.Add(time.Second)
		}
		require.Equal(t, 6, kinds[loglimit.Failed]+kinds[loglimit.Recovered], "then it is unsteady")
		require.InDelta(t, 10, kinds[loglimit.Unsteady], 1)
		require.Equal(t, loglimit.Record{Kind: loglimit.Unsteady, Cause: "500", Calls: 60, Failures: 30}, last)
		kinds = map[loglimit.Kind]int{}
		for range 180 {
			if r := c.Note("a", final, now); r.Kind != loglimit.None {
				kinds[r.Kind]++
				last = r
			}
			now = now.Add(time.Second)
		}
		require.Equal(t, map[loglimit.Kind]int{loglimit.Unsteady: 1, want: 1}, kinds)
		require.Equal(t, final, last.Cause)
		require.Equal(t, want == loglimit.Recovered, last.Calls > 0, "%+v", last)
	}
}

// However often a part of the system changes, a minute has at most six records about changes, and
// at most one record that says that there are too many.
func TestRecordsOfAMinute(t *testing.T) {
	t.Parallel()
	mostChanges, mostRecords := 0, 0
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 1))
		var c loglimit.Changes
		for minute := range 30 {
			kinds := map[loglimit.Kind]int{}
			// if causes is 1, all calls of Changes.Note in this minute report success
			causes := 1 + random.IntN(3)
			for second := range 60 {
				cause := []string{"", "refused", "500"}[random.IntN(causes)]
				kinds[c.Note("a", cause, start.Add(time.Duration(60*minute+second)*time.Second)).Kind]++
			}
			changes := kinds[loglimit.Failed] + kinds[loglimit.Recovered]
			require.LessOrEqual(t, changes, 6)
			require.LessOrEqual(t, kinds[loglimit.Unsteady], 1)
			mostChanges = max(mostChanges, changes)
			mostRecords = max(mostRecords, changes+kinds[loglimit.Unsteady])
		}
	}
	require.Equal(t, []int{6, 7}, []int{mostChanges, mostRecords})
}

// In each window of time, Counter.Add counts the events of a kind from 1 up. When a later window
// begins, Add returns how many events of the earlier window were above the limit and so got no log
// record of their own. It returns this number only once.
func TestCounterWindows(t *testing.T) {
	t.Parallel()
	c := loglimit.NewCounter(time.Minute, 5, "a", "b", "other")
	for i := range int64(12) {
		n, rest := c.Add("a", "other", start.Add(time.Duration(i)*time.Second))
		require.Equal(t, i+1, n)
		require.Empty(t, rest)
	}
	n, _ := c.Add("b", "other", start)
	require.EqualValues(t, 1, n, "each kind counts for itself")
	n, _ = c.Add("unknown", "other", start)
	require.EqualValues(t, 1, n)
	n, _ = c.Add("other", "other", start)
	require.EqualValues(t, 2, n)
	require.Equal(t, start.Add(time.Minute), c.End(start.Add(59*time.Second)))

	later := start.Add(3 * time.Minute)
	n, rest := c.Add("b", "other", later)
	require.EqualValues(t, 1, n)
	require.Equal(t, []loglimit.UnloggedCount[string]{{Kind: "a", Count: 7, WindowStart: start}}, utc(rest))
	n, rest = c.Add("a", "other", later)
	require.EqualValues(t, 1, n)
	require.Empty(t, rest)
	n, rest = c.Add("a", "other", later.Add(-time.Second))
	require.EqualValues(t, 2, n, "a delayed caller does not begin an older window")
	require.Empty(t, rest)
	n, _ = c.Add("a", "other", start.Add(-time.Hour))
	require.EqualValues(t, 1, n, "a clock that was set back begins a window")
}

// Counter.End returns the time at which Counter.Add begins the next window, also if the length of a
// window does not divide a day.
func TestEndIsWhenTheNextWindowBegins(t *testing.T) {
	t.Parallel()
	for _, window := range []time.Duration{time.Second, 7 * time.Second, time.Minute, 7 * time.Hour, 25 * time.Hour} {
		c := loglimit.NewCounter(window, 0, "a")
		end := c.End(start)
		require.True(t, end.After(start) && !end.After(start.Add(window)), "%v: %v", window, end)
		c.Add("a", "a", start)
		n, rest := c.Add("a", "a", end.Add(-1))
		require.EqualValues(t, 2, n, "%v: the window lasts until %v", window, end)
		require.Empty(t, rest)
		n, rest = c.Add("a", "a", end)
		require.EqualValues(t, 1, n, "%v: the next window begins at %v", window, end)
		require.Equal(t, []loglimit.UnloggedCount[string]{{Kind: "a", Count: 2, WindowStart: end.Add(-window)}}, utc(rest))
	}
}

func utc(rest []loglimit.UnloggedCount[string]) []loglimit.UnloggedCount[string] {
	for i := range rest {
		rest[i].WindowStart = rest[i].WindowStart.UTC()
	}
	return rest
}

// When a new window of time begins, the Counter loses no event. Some events get a number within the
// limit, so the caller logs them. All other events are in a count that Add returns later.
func TestCounterConcurrently(t *testing.T) {
	t.Parallel()
	const full, events, goroutines = 5, 2000, 8
	c := loglimit.NewCounter(time.Minute, full, "a")
	var mu sync.Mutex
	var total int64
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for i := range events {
				n, rest := c.Add("a", "a", start.Add(time.Duration(i)*time.Second))
				mu.Lock()
				if n <= full {
					total++
				}
				for _, r := range rest {
					total += r.Count
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	n, rest := c.Add("a", "a", start.Add(24*time.Hour))
	require.EqualValues(t, 1, n)
	for _, r := range rest {
		total += r.Count
	}
	require.EqualValues(t, goroutines*events, total)
}
