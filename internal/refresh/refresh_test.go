package refresh_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth/internal/refresh"
)

func TestNothingIsFetchedBeforeFirstUse(t *testing.T) {
	o := new(origin)
	withSource(t, policy, o, func(t *testing.T, s *refresh.Source[int]) {
		time.Sleep(time.Hour)
		_, _, ok := s.Peek()
		require.False(t, ok)
		require.False(t, s.IsCurrent(time.Now()))
		require.NoError(t, s.Failure())
		require.Zero(t, o.count())
	})
}

func TestFirstUseIsOneFetchForAll(t *testing.T) {
	o := &origin{takes: 300 * time.Millisecond}
	withSource(t, policy, o, func(t *testing.T, s *refresh.Source[int]) {
		var all sync.WaitGroup
		began := time.Now()
		for i := range 1000 {
			all.Go(func() {
				time.Sleep(time.Duration(i%200) * time.Millisecond)
				if document, err := get(s); document != 1 || err != nil {
					t.Errorf("got %d, %v", document, err)
				}
			})
		}
		all.Wait()
		require.Equal(t, 300*time.Millisecond, time.Since(began))
		require.Equal(t, 1, o.count())
		require.Equal(t, []bool{false}, o.forced)
		require.Equal(t, []int{0}, o.previous)
		document, when, ok := s.Peek()
		require.True(t, ok)
		require.Equal(t, 1, document)
		require.Equal(t, began.Add(300*time.Millisecond), when)
		require.True(t, s.IsCurrent(began.Add(time.Second-1)), "for a gap from the fetch's start")
		require.False(t, s.IsCurrent(began.Add(time.Second)))
	})
}

func TestRefreshIsEarlyAndNoCallerWaits(t *testing.T) {
	var firsts []time.Duration
	for range 200 {
		o := &origin{lifetime: 100 * time.Minute}
		withSource(t, policy, o, func(t *testing.T, s *refresh.Source[int]) {
			_, err := get(s)
			require.NoError(t, err)
			began := time.Now()
			o.set(func() { o.takes = 10 * time.Second })
			for o.count() == 1 {
				time.Sleep(10 * time.Second)
				require.Equal(t, 1, getAtOnce(t, s))
				synctest.Wait()
			}
			firsts = append(firsts, o.starts[1].Sub(began))
			require.Equal(t, []int{0, 1}, o.previous)
			require.Equal(t, []bool{false, false}, o.forced)
			for range 100 {
				require.Equal(t, 1, getAtOnce(t, s), "the old document, while the new one is fetched")
			}
			time.Sleep(10 * time.Second)
			synctest.Wait()
			require.Equal(t, 2, getAtOnce(t, s))
			require.Equal(t, 2, o.count())
		})
	}
	low, high := firsts[0], firsts[0]
	for _, d := range firsts {
		require.GreaterOrEqual(t, d, 72*time.Minute)
		require.LessOrEqual(t, d, 88*time.Minute+10*time.Second)
		low, high = min(low, d), max(high, d)
	}
	require.Less(t, low, 76*time.Minute, "instances don't fetch together")
	require.Greater(t, high, 84*time.Minute)
}

func TestLifetimes(t *testing.T) {
	long := policy
	long.MaxAge = 1000 * time.Hour
	short := policy
	short.MaxAge = time.Hour
	for _, tt := range []struct {
		name           string
		policy         refresh.Policy
		answer, counts time.Duration
	}{
		{"said", policy, time.Hour, time.Hour},
		{"not said", policy, 0, 15 * time.Minute},
		{"negative", policy, -time.Hour, 15 * time.Minute},
		{"too short", policy, time.Second, time.Minute},
		{"too long", long, 900 * time.Hour, 24 * time.Hour},
		{"longer than the document may be used", short, 24 * time.Hour, time.Hour},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for range 20 {
				o := &origin{lifetime: tt.answer}
				withSource(t, tt.policy, o, func(t *testing.T, s *refresh.Source[int]) {
					_, err := get(s)
					require.NoError(t, err)
					time.Sleep(tt.counts*72/100 - time.Second)
					getAtOnce(t, s)
					synctest.Wait()
					require.Equal(t, 1, o.count(), "not before 72 %% of %v", tt.counts)
					time.Sleep(tt.counts*16/100 + time.Second)
					getAtOnce(t, s)
					synctest.Wait()
					require.Equal(t, 2, o.count(), "by 88 %% of %v", tt.counts)
				})
			}
		})
	}
}

func TestAnOldDocumentIsUsedWhileFetchesFail(t *testing.T) {
	o := new(origin)
	withSource(t, policy, o, func(t *testing.T, s *refresh.Source[int]) {
		_, err := get(s)
		require.NoError(t, err)
		began := time.Now()
		o.set(func() { o.err, o.takes = errDown, 2*time.Second })
		for time.Since(began) < policy.MaxAge {
			require.Equal(t, 1, getAtOnce(t, s))
			time.Sleep(700 * time.Millisecond)
		}
		require.ErrorIs(t, s.Failure(), errDown)
		require.Greater(t, o.count(), 10_000, "it kept trying")
		for i := 2; i < o.count(); i++ {
			require.GreaterOrEqual(t, o.starts[i].Sub(o.starts[i-1]), policy.Retry+2*time.Second, "Retry from the end of an attempt")
			require.Equal(t, 1, o.previous[i])
		}
		_, err = get(s)
		require.ErrorIs(t, err, errDown, "24 hours are over")
		document, when, ok := s.Peek()
		require.True(t, ok, "Peek tells of it still")
		require.Equal(t, 1, document)
		require.Equal(t, began, when)

		o.set(func() { o.err = nil })
		for time.Sleep(2 * time.Second); ; time.Sleep(100 * time.Millisecond) {
			if document, err = get(s); err == nil {
				break
			}
		}
		require.Less(t, time.Since(began), policy.MaxAge+8*time.Second)
		require.Equal(t, o.count(), document)
		require.NoError(t, s.Failure())
	})
}

func TestRecoveryFromAFailedFirstFetch(t *testing.T) {
	o := &origin{err: errDown, takes: 100 * time.Millisecond}
	withSource(t, policy, o, func(t *testing.T, s *refresh.Source[int]) {
		_, err := get(s)
		require.ErrorIs(t, err, errDown)
		for range 8 { // the next fetch can't begin yet, so the caller gets the error immediately
			began := time.Now()
			_, err := get(s)
			require.ErrorIs(t, err, errDown)
			require.Zero(t, time.Since(began))
			time.Sleep(100 * time.Millisecond)
		}
		require.Equal(t, 1, o.count())
		for range 5 {
			time.Sleep(time.Second)
			_, err = get(s)
			require.ErrorIs(t, err, errDown)
		}
		require.Equal(t, 6, o.count(), "tried again after the gap")
		o.set(func() { o.err = nil })
		recovered := time.Now()
		for err != nil {
			time.Sleep(50 * time.Millisecond)
			_, err = get(s)
		}
		require.LessOrEqual(t, time.Since(recovered), 2*time.Second)
	})
}

func TestRecoveryOfARefresh(t *testing.T) {
	o := new(origin)
	withSource(t, policy, o, func(t *testing.T, s *refresh.Source[int]) {
		_, err := get(s)
		require.NoError(t, err)
		o.set(func() { o.err = errDown })
		time.Sleep(14 * time.Minute)
		getAtOnce(t, s)
		synctest.Wait()
		require.ErrorIs(t, s.Failure(), errDown)
		o.set(func() { o.err = nil })
		time.Sleep(policy.Retry - 1)
		getAtOnce(t, s)
		synctest.Wait()
		require.Equal(t, 2, o.count())
		time.Sleep(time.Nanosecond)
		getAtOnce(t, s)
		synctest.Wait()
		require.Equal(t, 3, getAtOnce(t, s))
		require.NoError(t, s.Failure())
	})
}

func TestMaxWait(t *testing.T) {
	o := &origin{takes: 10 * time.Second}
	withSource(t, policy, o, func(t *testing.T, s *refresh.Source[int]) {
		began := time.Now()
		document, err := get(s)
		require.NoError(t, err, "only the timeout of the fetch bounds the wait for the first document")
		require.Equal(t, 1, document)
		require.Equal(t, 10*time.Second, time.Since(began))
		began = time.Now()
		_, err = awaitNew(s)
		require.ErrorIs(t, err, refresh.ErrTimeout)
		require.Equal(t, policy.MaxWait, time.Since(began))
		time.Sleep(time.Minute)
		require.Equal(t, 2, getAtOnce(t, s), "the fetch went on")
	})
}

func TestFetchHasATimeout(t *testing.T) {
	patient := policy
	patient.MaxWait = time.Minute
	o := &origin{hangs: true}
	withSource(t, patient, o, func(t *testing.T, s *refresh.Source[int]) {
		began := time.Now()
		_, err := get(s)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, policy.Timeout, time.Since(began))
		require.ErrorIs(t, s.Failure(), context.DeadlineExceeded)
	})
}

func TestCancellationDoesNotStopTheFetch(t *testing.T) {
	o := &origin{takes: time.Second}
	withSource(t, policy, o, func(t *testing.T, s *refresh.Source[int]) {
		for _, ask := range []func(context.Context, time.Time) (int, error){s.Get, func(ctx context.Context, now time.Time) (int, error) { return s.AwaitNew(ctx, now, true) }} {
			ctx, cancel := context.WithCancel(context.Background())
			var all sync.WaitGroup
			all.Go(func() {
				if _, err := ask(ctx, time.Now()); !errors.Is(err, context.Canceled) {
					t.Errorf("got %v", err)
				}
			})
			synctest.Wait()
			all.Go(func() {
				if _, err := ask(context.Background(), time.Now()); err != nil {
					t.Errorf("another caller got %v", err)
				}
			})
			time.Sleep(500 * time.Millisecond)
			cancel()
			all.Wait()
		}
		require.Equal(t, 2, o.count())
	})
}

func TestGetWithACanceledContext(t *testing.T) {
	withSource(t, policy, new(origin), func(t *testing.T, s *refresh.Source[int]) {
		_, err := get(s)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		document, err := s.Get(ctx, time.Now())
		require.NoError(t, err)
		require.Equal(t, 1, document)
	})
}

func TestPanicIsAnError(t *testing.T) {
	o := &origin{panics: true}
	withSource(t, policy, o, func(t *testing.T, s *refresh.Source[int]) {
		_, err := get(s)
		require.ErrorIs(t, err, refresh.ErrPanic)
		require.ErrorIs(t, s.Failure(), refresh.ErrPanic)
		o.set(func() { o.panics = false })
		time.Sleep(2 * time.Second)
		document, err := get(s)
		require.NoError(t, err)
		require.Equal(t, 2, document)
		o.set(func() { o.panics = true })
		_, err = awaitNew(s)
		require.ErrorIs(t, err, refresh.ErrPanic)
		require.Equal(t, 2, getAtOnce(t, s))
	})
}

// A fetched document that is already older than Policy.MaxAge is not used. In this test
// Policy.MaxAge is 0, so every document is too old.
func TestTooOld(t *testing.T) {
	none := policy
	none.MaxAge = 0
	withSource(t, none, new(origin), func(t *testing.T, s *refresh.Source[int]) {
		for range 2 {
			// the second call of Source.Get comes less than Policy.Gap after the first call
			_, err := get(s)
			require.ErrorIs(t, err, refresh.ErrTooOld)
		}
		_, err := awaitNew(s)
		require.ErrorIs(t, err, refresh.ErrTooOld)
	})
}

// The callers and the server behave randomly. Between the starts of two fetches, there is always at
// least the time Policy.Gap, and no two fetches run at the same time. Source.AwaitNew returns the
// document of a fetch that began at callTime or later. If there is a usable document, callers of
// Source.Get get it within Policy.Patience.
func TestGapUnderRandomLoad(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			p := policy
			p.Lifetime, p.Min = 20*time.Second, 5*time.Second
			p.MaxAge = time.Duration(1+random.IntN(60)) * time.Second
			p.Waiters = 1 + random.IntN(50)
			o := new(origin)
			withSource(t, p, o, func(t *testing.T, s *refresh.Source[int]) {
				var all sync.WaitGroup
				for range 3000 {
					time.Sleep(time.Duration(random.ExpFloat64() * float64(100*time.Millisecond)))
					if random.IntN(50) == 0 {
						o.set(func() {
							o.takes = []time.Duration{0, time.Millisecond, 300 * time.Millisecond, 3 * time.Second, 12 * time.Second}[random.IntN(5)]
							o.err = []error{nil, nil, errDown}[random.IntN(3)]
							o.panics = random.IntN(10) == 0
							o.hangs = random.IntN(20) == 0
							o.lifetime = time.Duration(random.IntN(60)) * time.Second
						})
					}
					now := time.Now().Add(-time.Duration(random.IntN(2) * random.IntN(int(time.Second))))
					ctx, cancel := context.Background(), context.CancelFunc(func() {})
					if random.IntN(5) == 0 {
						ctx, cancel = context.WithTimeout(ctx, time.Duration(random.IntN(int(time.Second))))
					}
					useAfter := random.IntN(3) == 0
					all.Go(func() {
						defer cancel()
						began := time.Now()
						_, when, ok := s.Peek()
						if useAfter {
							document, err := s.AwaitNew(ctx, now, true)
							o.mu.Lock()
							defer o.mu.Unlock()
							if err == nil && o.starts[document-1].Before(now) {
								t.Errorf("AwaitNew(%v) brought what was asked for at %v", now, o.starts[document-1])
							}
						} else if _, err := s.Get(ctx, now); ok && now.Sub(when) < p.MaxAge-p.Patience &&
							(err != nil && ctx.Err() == nil || time.Since(began) > p.Patience) {
							t.Errorf("Get of a usable document: %v after %v", err, time.Since(began))
						}
						most := p.Timeout + p.Gap
						if useAfter {
							most = p.MaxWait
						}
						if took := time.Since(began); took > most {
							t.Errorf("held for %v", took)
						}
					})
				}
				all.Wait()
				time.Sleep(time.Minute)
				synctest.Wait()
				require.False(t, o.overlap)
				require.Greater(t, o.count(), 20)
				for i := 1; i < o.count(); i++ {
					require.GreaterOrEqual(t, o.starts[i].Sub(o.starts[i-1]), p.Gap)
				}
			})
		})
	}
}
