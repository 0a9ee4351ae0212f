package refresh_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth/internal/refresh"
)

func TestAwaitNew(t *testing.T) {
	o := &origin{takes: 300 * time.Millisecond}
	withSource(t, policy, o, func(t *testing.T, s *refresh.Source[int]) {
		began := time.Now()
		_, err := get(s)
		require.NoError(t, err)
		var all sync.WaitGroup
		for range 1000 {
			all.Go(func() {
				if document, err := awaitNew(s); document != 2 || err != nil {
					t.Errorf("got %d, %v", document, err)
				}
			})
		}
		all.Wait()
		require.Equal(t, 1300*time.Millisecond, time.Since(began), "the gap is kept")
		require.Equal(t, []bool{false, true}, o.forced)

		time.Sleep(time.Minute)
		called := time.Now()
		document, err := awaitNew(s)
		require.NoError(t, err)
		require.Equal(t, 3, document)
		require.Equal(t, 300*time.Millisecond, time.Since(called), "no gap to keep")
	})
}

func TestAwaitNewIsAFirstUse(t *testing.T) {
	o := new(origin)
	withSource(t, policy, o, func(t *testing.T, s *refresh.Source[int]) {
		document, err := awaitNew(s)
		require.NoError(t, err)
		require.Equal(t, 1, document)
		require.Equal(t, []bool{true}, o.forced)
	})
}

func TestAwaitNewDoesNotTakeAnOlderFetch(t *testing.T) {
	o := &origin{takes: 2 * time.Second}
	withSource(t, policy, o, func(t *testing.T, s *refresh.Source[int]) {
		var all sync.WaitGroup
		defer all.Wait()
		all.Go(func() { _, _ = get(s) })
		time.Sleep(100 * time.Millisecond)
		called := time.Now()
		// this caller of Get waits for the fetch that is already running
		all.Go(func() {
			if document, err := get(s); document != 1 || err != nil {
				t.Errorf("got %d, %v", document, err)
			}
		})
		document, err := awaitNew(s)
		require.NoError(t, err)
		require.Equal(t, 2, document)
		require.False(t, o.starts[1].Before(called))
		require.Equal(t, 3900*time.Millisecond, time.Since(called), "the fetch begins after the older one")
		require.False(t, o.overlap)
	})
}

func TestAwaitNewSharesAFetchThatBeganLater(t *testing.T) {
	o := &origin{takes: time.Second}
	withSource(t, policy, o, func(t *testing.T, s *refresh.Source[int]) {
		called := time.Now()
		var all sync.WaitGroup
		all.Go(func() { _, _ = awaitNew(s) })
		time.Sleep(500 * time.Millisecond)
		document, err := s.AwaitNew(context.Background(), called, true)
		require.NoError(t, err)
		require.Equal(t, 1, document)
		require.Equal(t, time.Second, time.Since(called))
		all.Wait()
		require.Equal(t, 1, o.count())
	})
}

// Source.Get may return a document from an HTTP cache. If force is true, Source.AwaitNew must not,
// because its caller knows that the cached document is outdated. The test first calls Get, which
// starts a fetch without force. Then it calls AwaitNew with force.
func TestAwaitNewIsNotServedByAnUnforcedFetch(t *testing.T) {
	o := new(origin)
	withSource(t, policy, o, func(t *testing.T, s *refresh.Source[int]) {
		_, err := get(s)
		require.NoError(t, err)
		time.Sleep(14 * time.Minute)
		o.set(func() { o.takes = 300 * time.Millisecond })
		now := time.Now()
		_, err = s.Get(context.Background(), now) // this call of Get starts the refresh
		require.NoError(t, err)
		synctest.Wait()
		document, err := s.AwaitNew(context.Background(), now, true)
		require.NoError(t, err)
		require.True(t, o.forced[document-1], "document of fetch %d", document)
	})
}

func TestForceJoinsAPlannedRefresh(t *testing.T) {
	short := policy
	short.Min, short.Gap, short.Retry, short.Patience = time.Millisecond, 10*time.Second, time.Second, 0
	o := &origin{lifetime: time.Second}
	withSource(t, short, o, func(t *testing.T, s *refresh.Source[int]) {
		_, err := get(s)
		require.NoError(t, err)
		time.Sleep(5 * time.Second)
		// this call of Get plans a refresh; the refresh begins as soon as Policy.Gap has passed
		// since the last fetch
		require.Equal(t, 1, getAtOnce(t, s))
		synctest.Wait()
		require.Equal(t, 1, o.count())
		document, err := awaitNew(s)
		require.NoError(t, err)
		require.Equal(t, 2, document)
		require.Equal(t, []bool{false, true}, o.forced)
		require.Equal(t, 10*time.Second, o.starts[1].Sub(o.starts[0]))
	})
}

// A fetch with force bypasses HTTP caches. If a caller without force joins a planned fetch with
// force, that fetch still bypasses HTTP caches.
func TestForceStays(t *testing.T) {
	o := &origin{err: errDown}
	withSource(t, policy, o, func(t *testing.T, s *refresh.Source[int]) {
		_, err := get(s)
		require.ErrorIs(t, err, errDown)
		o.set(func() { o.err = nil })
		var all sync.WaitGroup
		all.Go(func() { _, _ = awaitNew(s) })
		synctest.Wait()
		document, err := get(s)
		require.NoError(t, err)
		require.Equal(t, 2, document)
		all.Wait()
		require.Equal(t, []bool{false, true}, o.forced)
	})
}

func TestAwaitNewFailsWhenItsFetchFails(t *testing.T) {
	o := new(origin)
	withSource(t, policy, o, func(t *testing.T, s *refresh.Source[int]) {
		_, err := get(s)
		require.NoError(t, err)
		o.set(func() { o.err = errDown })
		_, err = awaitNew(s)
		require.ErrorIs(t, err, errDown)
		require.Equal(t, 1, getAtOnce(t, s), "the document can still be used")
	})
}
