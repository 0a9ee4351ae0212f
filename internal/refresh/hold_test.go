package refresh_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth/internal/refresh"
)

// retryError is the error of a fetch if the server has sent Retry-After. Its value is the time in
// Retry-After.
type retryError time.Duration

func (retryError) Error() string               { return "come back later" }
func (l retryError) RetryAfter() time.Duration { return time.Duration(l) }

// If the server has sent Retry-After, no fetch begins before the time in Retry-After is over. Until
// then, a caller that needs a new fetch does not wait: it gets the error of the last fetch.
func TestRetryAfterIsKept(t *testing.T) {
	ask := map[string]func(*refresh.Source[int]) (int, error){"Get": get, "AwaitNew": awaitNew}
	for _, known := range []bool{false, true} {
		for name, ask := range ask {
			o := new(origin)
			withSource(t, policy, o, func(t *testing.T, s *refresh.Source[int]) {
				if known {
					_, err := get(s)
					require.NoError(t, err)
					// after this pause, a refresh of the document is due
					time.Sleep(14 * time.Minute)
				}
				o.set(func() { o.err = retryError(30 * time.Second) })
				_, _ = awaitNew(s)
				failed, fetched := time.Now(), o.count()
				for time.Since(failed) < 30*time.Second {
					before := time.Now()
					document, err := ask(s)
					if known && name == "Get" {
						require.NoError(t, err)
						require.Equal(t, 1, document)
					} else {
						require.ErrorIs(t, err, retryError(30*time.Second), name)
					}
					require.Zero(t, time.Since(before), "%s: waiting would not help", name)
					synctest.Wait()
					require.Equal(t, fetched, o.count(), "%s after %v", name, time.Since(failed))
					time.Sleep(100 * time.Millisecond)
				}
				o.set(func() { o.err = nil })
				_, err := ask(s)
				require.NoError(t, err)
				synctest.Wait()
				require.Equal(t, fetched+1, o.count(), name)
			})
		}
	}
}

// While one fetch runs, a caller plans a second fetch. If the server responds to the first fetch
// with Retry-After, the second fetch is canceled, and its caller gets an error.
func TestRetryAfterCancelsAPlannedFetch(t *testing.T) {
	o := &origin{takes: 2 * time.Second, err: retryError(time.Minute)}
	withSource(t, policy, o, func(t *testing.T, s *refresh.Source[int]) {
		go func() { _, _ = get(s) }()
		time.Sleep(time.Second)
		before := time.Now()
		_, err := awaitNew(s)
		require.ErrorIs(t, err, retryError(time.Minute))
		require.Equal(t, time.Second, time.Since(before))
		require.Equal(t, 1, o.count())
		time.Sleep(time.Minute)
		o.set(func() { o.err = nil })
		_, err = awaitNew(s)
		require.NoError(t, err)
		require.Equal(t, 2, o.count())
	})
}

// A fetch may consist of several calls to the server, so it may take long. If no document was
// fetched yet, callers wait for as long as a fetch may take.
func TestFirstFetchMayTakeLong(t *testing.T) {
	o := &origin{takes: policy.Timeout - time.Second}
	withSource(t, policy, o, func(t *testing.T, s *refresh.Source[int]) {
		document, err := get(s)
		require.NoError(t, err)
		require.Equal(t, 1, document)
	})
}
