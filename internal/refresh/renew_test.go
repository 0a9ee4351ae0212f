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

// withIdleSource calls f with a Source whose document has expired. A Source refreshes its document
// only when a caller uses it, and no caller has used this document.
func withIdleSource(t *testing.T, o *origin, f func(t *testing.T, s *refresh.Source[int])) {
	t.Helper()
	o.lifetime = 2 * time.Minute
	withSource(t, policy, o, func(t *testing.T, s *refresh.Source[int]) {
		_, err := get(s)
		require.NoError(t, err)
		time.Sleep(2 * time.Minute)
		f(t, s)
	})
}

// If the lifetime of a document is over, the document is refreshed before it is used.
func TestIdleSourceIsRefreshedBeforeUse(t *testing.T) {
	o := new(origin)
	withIdleSource(t, o, func(t *testing.T, s *refresh.Source[int]) {
		o.set(func() { o.takes = 900 * time.Millisecond })
		began := time.Now()
		var all sync.WaitGroup
		for i := range 1000 {
			all.Go(func() {
				time.Sleep(time.Duration(i%800) * time.Millisecond)
				if document, err := get(s); document != 2 || err != nil {
					t.Errorf("got %d, %v", document, err)
				}
			})
		}
		all.Wait()
		require.Equal(t, 900*time.Millisecond, time.Since(began))
		require.Equal(t, []bool{false, false}, o.forced)
	})
}

func TestDocumentWithinItsLifetimeIsUsedAtOnce(t *testing.T) {
	o := &origin{lifetime: 2 * time.Minute}
	withSource(t, policy, o, func(t *testing.T, s *refresh.Source[int]) {
		_, err := get(s)
		require.NoError(t, err)
		o.set(func() { o.takes = 900 * time.Millisecond })
		time.Sleep(2*time.Minute - 1)
		require.Equal(t, 1, getAtOnce(t, s))
		time.Sleep(time.Second)
		require.Equal(t, 2, getAtOnce(t, s))
	})
}

// If the document has expired and the server responds late or not at all, a caller waits for at
// most a second. This second begins with the first caller. A later caller waits only for the rest
// of it. After this second, no caller waits for this response.
func TestIdleSourceThatDoesNotAnswer(t *testing.T) {
	for name, hang := range map[string]func(*origin){
		"hangs": func(o *origin) { o.hangs = true },
		"slow":  func(o *origin) { o.takes = 3 * time.Second },
	} {
		t.Run(name, func(t *testing.T) {
			o := new(origin)
			withIdleSource(t, o, func(t *testing.T, s *refresh.Source[int]) {
				o.set(func() { hang(o) })
				began := time.Now()
				var all sync.WaitGroup
				for i := range 300 {
					all.Go(func() {
						time.Sleep(time.Duration(i) * 10 * time.Millisecond)
						asked := time.Now()
						document, err := get(s)
						if err != nil || document == 1 && time.Since(began) < time.Second {
							t.Errorf("got %d, %v", document, err)
						}
						if time.Since(began) > time.Second && time.Since(asked) > 0 {
							t.Errorf("held for %v, %v after the first", time.Since(asked), asked.Sub(began))
						}
					})
				}
				all.Wait()
				time.Sleep(time.Minute)
			})
		})
	}
}

// If a service gets requests all the time, its document is fetched again and again, also while the
// issuer is down. So when a request comes, the last failed fetch was only a short time ago, and the
// request does not wait for the issuer.
func TestBusySourceThatFailsMakesNoCallerWait(t *testing.T) {
	o := &origin{lifetime: 2 * time.Minute}
	withSource(t, policy, o, func(t *testing.T, s *refresh.Source[int]) {
		_, err := get(s)
		require.NoError(t, err)
		o.set(func() { o.hangs = true })
		for began := time.Now(); time.Since(began) < 20*time.Minute; time.Sleep(time.Second) {
			require.Equal(t, 1, getAtOnce(t, s))
		}
		// After this pause without requests, the last failed fetch was long ago. So the expired
		// document is fetched again before it is used.
		time.Sleep(time.Hour)
		o.set(func() { o.hangs, o.takes = false, 100*time.Millisecond })
		document, err := get(s)
		require.NoError(t, err)
		require.Equal(t, o.count(), document)
	})
}

func TestIdleSourceThatFails(t *testing.T) {
	o := new(origin)
	withIdleSource(t, o, func(t *testing.T, s *refresh.Source[int]) {
		o.set(func() { o.err, o.takes = errDown, 200*time.Millisecond })
		began := time.Now()
		document, err := get(s)
		require.NoError(t, err, "the last good document is used")
		require.Equal(t, 1, document)
		require.Equal(t, 200*time.Millisecond, time.Since(began))
		for range 100 {
			require.Equal(t, 1, getAtOnce(t, s))
			time.Sleep(time.Second)
		}
		time.Sleep(policy.MaxAge)
		_, err = get(s)
		require.ErrorIs(t, err, errDown, "but not after MaxAge")
	})
}

func TestLeavingWhileAnIdleSourceIsRefreshed(t *testing.T) {
	o := new(origin)
	withIdleSource(t, o, func(t *testing.T, s *refresh.Source[int]) {
		o.set(func() { o.takes = 900 * time.Millisecond })
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		_, err := s.Get(ctx, time.Now())
		require.ErrorIs(t, err, context.DeadlineExceeded)
		document, err := get(s)
		require.NoError(t, err)
		require.Equal(t, 2, document)
	})
}

// If the document is at least 10 s old, Source.RefreshInBackground starts one refresh in the
// background. The refresh bypasses all HTTP caches.
func TestRefreshInBackground(t *testing.T) {
	o := &origin{takes: 300 * time.Millisecond}
	withSource(t, policy, o, func(t *testing.T, s *refresh.Source[int]) {
		s.RefreshInBackground(time.Now())
		synctest.Wait()
		require.Zero(t, o.count(), "there is nothing to doubt")
		began := time.Now()
		_, err := get(s)
		require.NoError(t, err)
		time.Sleep(time.Until(began.Add(policy.DoubtAge - 1)))
		s.RefreshInBackground(time.Now())
		synctest.Wait()
		require.Equal(t, 1, o.count())
		time.Sleep(time.Nanosecond)
		for range 100 {
			s.RefreshInBackground(time.Now())
			require.Equal(t, 1, getAtOnce(t, s))
			time.Sleep(time.Millisecond)
		}
		time.Sleep(200 * time.Millisecond)
		synctest.Wait()
		require.Equal(t, 2, getAtOnce(t, s))
		require.Equal(t, []bool{false, true}, o.forced)
		for range 600 { // this loop lasts a minute, with a call every 0.1 s
			s.RefreshInBackground(time.Now())
			time.Sleep(100 * time.Millisecond)
		}
		require.Equal(t, 2+6, o.count(), "a fetch in 10 s")
	})
}

// While fetches fail, Source.RefreshInBackground starts no fetch in addition to the usual retries.
func TestRefreshInBackgroundWhileFetchesFail(t *testing.T) {
	o := new(origin)
	withSource(t, policy, o, func(t *testing.T, s *refresh.Source[int]) {
		_, err := get(s)
		require.NoError(t, err)
		o.set(func() { o.err = errDown })
		for range 100 {
			s.RefreshInBackground(time.Now())
			time.Sleep(time.Second)
		}
		require.LessOrEqual(t, o.count(), 1+100/5)
		require.Greater(t, o.count(), 10)
		for i := 2; i < o.count(); i++ {
			require.GreaterOrEqual(t, o.starts[i].Sub(o.starts[i-1]), policy.Retry)
		}
	})
}
