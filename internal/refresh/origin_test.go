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

// origin is a fake server from which a Source fetches. Each document is the number of the fetch
// that returned it.
type origin struct {
	mu       sync.Mutex
	starts   []time.Time
	forced   []bool
	previous []int
	active   int
	overlap  bool

	takes    time.Duration
	lifetime time.Duration
	err      error
	panics   bool
	hangs    bool // if hangs is true, each fetch lasts until its context ends
}

func (o *origin) fetch(ctx context.Context, previous int, force bool) (int, time.Duration, error) {
	o.mu.Lock()
	o.starts = append(o.starts, time.Now())
	o.forced = append(o.forced, force)
	o.previous = append(o.previous, previous)
	n := len(o.starts)
	o.active++
	o.overlap = o.overlap || o.active > 1
	takes, lifetime, err, panics, hangs := o.takes, o.lifetime, o.err, o.panics, o.hangs
	o.mu.Unlock()
	defer func() {
		o.mu.Lock()
		o.active--
		o.mu.Unlock()
	}()
	if hangs {
		<-ctx.Done()
		return 0, 0, ctx.Err()
	}
	time.Sleep(takes)
	if panics {
		panic("fetch")
	}
	return n, lifetime, err
}

func (o *origin) set(change func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	change()
}

func (o *origin) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.starts)
}

// withSource calls f with a new Source and with fake time. It ends only when no goroutine of the
// Source is left.
func withSource(t *testing.T, p refresh.Policy, o *origin, f func(t *testing.T, s *refresh.Source[int])) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, refresh.New(p, o.fetch)) })
}

func get(s *refresh.Source[int]) (int, error) { return s.Get(context.Background(), time.Now()) }

func awaitNew(s *refresh.Source[int]) (int, error) {
	return s.AwaitNew(context.Background(), time.Now(), true)
}

// getAtOnce returns the document that Source.Get returns, and requires that Get does not wait.
func getAtOnce(t *testing.T, s *refresh.Source[int]) int {
	t.Helper()
	began := time.Now()
	document, err := get(s)
	require.NoError(t, err)
	require.Zero(t, time.Since(began), "no caller waits for a refresh")
	return document
}

// policy contains the limits that package xenaauth uses for the key set.
var policy = refresh.Policy{
	Lifetime: 15 * time.Minute,
	Min:      time.Minute,
	Max:      24 * time.Hour,
	MaxAge:   24 * time.Hour,
	Gap:      time.Second,
	Retry:    5 * time.Second,
	Timeout:  15 * time.Second,
	MaxWait:  6 * time.Second,
	Patience: time.Second,
	DoubtAge: 10 * time.Second,
	Waiters:  1024,
	Guests:   1024,
	PerGuest: 32,
	Crowd:    16 * 1024,
}

var errDown = errors.New("down")
