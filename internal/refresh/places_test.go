package refresh_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth/internal/refresh"
)

func TestCrowd(t *testing.T) {
	o := &origin{takes: time.Second}
	withSource(t, policy, o, func(t *testing.T, s *refresh.Source[int]) {
		_, err := get(s)
		require.NoError(t, err)
		for round := range 3 {
			var all sync.WaitGroup
			for range policy.Waiters {
				all.Go(func() {
					if _, err := awaitNew(s); err != nil {
						t.Error(err)
					}
				})
			}
			synctest.Wait()
			began := time.Now()
			_, err = awaitNew(s)
			require.ErrorIs(t, err, refresh.ErrCrowded)
			require.Equal(t, round+1, getAtOnce(t, s), "Get isn't crowded out")
			require.Zero(t, time.Since(began))
			all.Wait()
		}
		_, err = awaitNew(s)
		require.NoError(t, err, "callers that left make room")
	})
}

func TestLeavingMakesRoom(t *testing.T) {
	one := policy
	one.Waiters = 1
	o := &origin{hangs: true}
	withSource(t, one, o, func(t *testing.T, s *refresh.Source[int]) {
		for range 3 {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			_, err := s.AwaitNew(ctx, time.Now(), true)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			cancel()
		}
		_, err := awaitNew(s)
		require.ErrorIs(t, err, refresh.ErrTimeout)
		time.Sleep(time.Minute)
	})
}

// acceptNothing accepts no document. If it is passed to Source.Await, Await does not return the
// document of an earlier fetch, but waits for the next fetch.
func acceptNothing(int) bool { return false }

// await calls Source.Await for a caller whose name has the given number.
func await(s *refresh.Source[int], callerNumber uint64) (int, error) {
	return s.Await(context.Background(), time.Now(), true, callerNumber, acceptNothing)
}

// The number of callers that may wait for a fetch is limited. A refresh.KnownCallers stores the
// names of good callers. Some of the places for waiting callers are only for callers with a stored
// name, so strangers can't take all places. Callers that all have the same name can take only some
// of these places.
func TestGuestsHavePlacesOfTheirOwn(t *testing.T) {
	o := &origin{takes: time.Second}
	withSource(t, policy, o, func(t *testing.T, s *refresh.Source[int]) {
		_, err := get(s)
		require.NoError(t, err)
		for range 3 {
			var all sync.WaitGroup
			wait := func(n int, name uint64) {
				for range n {
					all.Go(func() {
						if _, err := await(s, name); err != nil {
							t.Error(err)
						}
					})
				}
				synctest.Wait()
			}
			refused := func(name uint64) {
				began := time.Now()
				_, err := await(s, name)
				require.ErrorIs(t, err, refresh.ErrCrowded)
				require.Zero(t, time.Since(began))
			}
			wait(policy.Waiters, refresh.Stranger)
			refused(refresh.Stranger)
			wait(policy.PerGuest, 7)
			refused(7)
			for name := range policy.Guests/policy.PerGuest - 1 {
				wait(policy.PerGuest, uint64(100+name))
			}
			refused(8)
			all.Wait()
		}
	})
}

func TestGuestsTakeOpenPlacesFirst(t *testing.T) {
	o := &origin{takes: time.Second}
	withSource(t, policy, o, func(t *testing.T, s *refresh.Source[int]) {
		_, err := get(s)
		require.NoError(t, err)
		var all sync.WaitGroup
		for range policy.Waiters + policy.PerGuest {
			all.Go(func() {
				if _, err := await(s, 7); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		_, err = await(s, 7)
		require.ErrorIs(t, err, refresh.ErrCrowded)
		all.Wait()
	})
}

// If a caller can't wait for a fetch because too many callers wait, its error contains the time
// after which to try again. The fetch is made even if no caller waits for it.
func TestCrowdedCallerIsServedLater(t *testing.T) {
	none := policy
	none.Waiters = 0
	o := &origin{takes: 2500 * time.Millisecond}
	withSource(t, none, o, func(t *testing.T, s *refresh.Source[int]) {
		_, err := get(s)
		require.NoError(t, err)
		time.Sleep(time.Minute)
		_, err = awaitNew(s)
		require.ErrorIs(t, err, refresh.ErrCrowded)
		var crowded interface{ RetryAfter() time.Duration }
		require.ErrorAs(t, err, &crowded)
		require.Equal(t, 2500*time.Millisecond, crowded.RetryAfter())
		synctest.Wait()
		time.Sleep(time.Second)
		// the fetch that is running began before this call, so the caller needs the next fetch
		_, err = awaitNew(s)
		require.ErrorAs(t, err, &crowded)
		require.Equal(t, 4*time.Second, crowded.RetryAfter())
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		require.Equal(t, 2, getAtOnce(t, s))
		time.Sleep(2500 * time.Millisecond)
		synctest.Wait()
		require.Equal(t, 3, getAtOnce(t, s))
		require.Equal(t, []bool{false, true, true}, o.forced)
	})
}

func TestCrowdAtTheFirstFetch(t *testing.T) {
	small := policy
	small.Crowd = 100
	o := &origin{takes: time.Second}
	withSource(t, small, o, func(t *testing.T, s *refresh.Source[int]) {
		var all sync.WaitGroup
		for range small.Crowd {
			all.Go(func() {
				if _, err := get(s); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		_, err := get(s)
		require.ErrorIs(t, err, refresh.ErrCrowded)
		all.Wait()
		require.Equal(t, 1, getAtOnce(t, s))
	})
}

// If a fetch is already running and the caller of Source.Await accepts its document, the caller
// does not wait for the next fetch.
func TestAnEarlierFetchMayBeEnough(t *testing.T) {
	o := &origin{takes: 4 * time.Second}
	withSource(t, policy, o, func(t *testing.T, s *refresh.Source[int]) {
		_, err := get(s)
		require.NoError(t, err)
		time.Sleep(time.Minute)
		var all sync.WaitGroup
		all.Go(func() { _, _ = awaitNew(s) })
		time.Sleep(time.Second)
		began := time.Now()
		second := func(document int) bool { return document >= 2 }
		document, err := s.Await(context.Background(), began, true, refresh.Stranger, second)
		require.NoError(t, err)
		require.Equal(t, 2, document)
		require.Equal(t, 3*time.Second, time.Since(began))
		all.Wait()

		// now the running fetch fails, so the caller waits for the next fetch
		time.Sleep(time.Minute)
		o.set(func() { o.err, o.takes = errDown, 2*time.Second })
		all.Go(func() { _, _ = awaitNew(s) })
		time.Sleep(time.Second)
		o.set(func() { o.err = nil })
		fourth := func(document int) bool { return document > 4 }
		document, err = s.Await(context.Background(), time.Now(), true, refresh.Stranger, fourth)
		require.NoError(t, err)
		require.Equal(t, 5, document)
		all.Wait()
	})
}

// A caller of Source.Await needs a new key, which the last fetched document does not contain. An
// earlier fetch, which may use HTTP caches, is still running. It fails, or it returns an old
// document from a cache. In both cases, there is still no document with the key when this fetch
// ends. So the caller waits for the next fetch, which bypasses HTTP caches.
func TestARotationIsNotAnsweredFromACache(t *testing.T) {
	for name, err := range map[string]error{"an old document": nil, "an error": errDown} {
		t.Run(name, func(t *testing.T) {
			o := new(origin)
			withSource(t, policy, o, func(t *testing.T, s *refresh.Source[int]) {
				_, getErr := get(s)
				require.NoError(t, getErr)
				time.Sleep(14 * time.Minute)
				o.set(func() { o.takes, o.err = 2*time.Second, err })
				require.Equal(t, 1, getAtOnce(t, s)) // this call of Get starts the refresh
				synctest.Wait()
				o.set(func() { o.err = nil })
				var seen []int
				// the document of the third fetch is the first that has the key that the caller
				// needs
				hasKey := func(document int) bool { seen = append(seen, document); return document == 3 }
				time.Sleep(time.Second)
				document, awaitErr := s.Await(context.Background(), time.Now(), true, refresh.Stranger, hasKey)
				require.NoError(t, awaitErr)
				require.Equal(t, 3, document)
				require.Equal(t, []bool{false, false, true}, o.forced)
				want := 2
				if err != nil {
					want = 1
				}
				require.Equal(t, []int{want}, seen)
			})
		})
	}
}

func TestLeavingBeforeTheFetchEnds(t *testing.T) {
	o := &origin{takes: 4 * time.Second}
	withSource(t, policy, o, func(t *testing.T, s *refresh.Source[int]) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if _, err := s.Await(ctx, time.Now(), true, 7, acceptNothing); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		time.Sleep(time.Minute) // the fetch continues, although its caller no longer waits
		require.Equal(t, 1, getAtOnce(t, s))
	})
}

// Source.Waiting returns how many callers wait: for the first document, for the next fetch, or for
// the refresh of an expired document. It counts every waiting caller once, whether its name is
// stored in a refresh.KnownCallers or not. It does not count a caller that no longer waits.
func TestWaiting(t *testing.T) {
	narrow := policy
	narrow.Waiters = 1
	o := &origin{takes: 500 * time.Millisecond}
	withSource(t, narrow, o, func(t *testing.T, s *refresh.Source[int]) {
		for round, ask := range []func(){
			func() { _, _ = get(s) },
			// In this round, three callers wait in Source.Await. Policy.Waiters is 1, so the first
			// caller takes the only place that every caller may use. A refresh.KnownCallers stores
			// the names of callers and gives each name a number. All three callers have the number
			// 7, so their name is known. Callers with a known name may also wait as guests
			// (Policy.Guests). So the second and the third caller wait as guests.
			func() { _, _ = await(s, 7) },
			// in this round, the document has expired before the calls
			func() { _, _ = get(s) },
		} {
			var all sync.WaitGroup
			for n := range 3 {
				all.Go(ask)
				synctest.Wait()
				require.Equal(t, n+1, s.Waiting(), "round %d", round)
			}
			all.Wait()
			require.Zero(t, s.Waiting(), "round %d", round)
			if round == 1 {
				time.Sleep(16 * time.Minute)
			}
		}
		time.Sleep(time.Minute)
		before := o.count()
		s.RefreshInBackground(time.Now())
		synctest.Wait()
		require.Zero(t, s.Waiting(), "a fetch in the background")
		time.Sleep(time.Second)
		require.Equal(t, before+1, o.count())
	})
}
