package introspection_test

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// memoryStore is a shared cache of introspection responses for tests. If Get finds no value for a
// key, its caller introspects the token and calls Set. Until then, other calls of Get with the same
// key wait.
type memoryStore struct {
	mu             sync.Mutex
	values         map[[32]byte]storedValue
	pending        map[[32]byte]chan struct{}
	gets           int
	sets           int
	err            error
	panics         bool
	hangs          bool // if hangs is set, Get and Set wait until their context ends
	returnsExpired bool // if returnsExpired is set, Get also returns values that have expired
}

type storedValue struct {
	value []byte
	until time.Time
}

func newStore() *memoryStore {
	return &memoryStore{values: make(map[[32]byte]storedValue), pending: make(map[[32]byte]chan struct{})}
}

func (s *memoryStore) Get(ctx context.Context, key [32]byte) ([]byte, error) {
	for {
		s.mu.Lock()
		s.gets++
		if err := s.applyFault(ctx); err != nil {
			s.mu.Unlock()
			return nil, err
		}
		if v, ok := s.values[key]; ok && (s.returnsExpired || time.Now().Before(v.until)) {
			s.mu.Unlock()
			return v.value, nil
		}
		turn, taken := s.pending[key]
		if !taken {
			s.pending[key] = make(chan struct{})
			s.mu.Unlock()
			return nil, nil
		}
		s.mu.Unlock()
		select {
		case <-turn:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (s *memoryStore) Set(ctx context.Context, key [32]byte, value []byte, ttl time.Duration) error {
	s.mu.Lock()
	s.sets++
	if err := s.applyFault(ctx); err != nil {
		s.mu.Unlock()
		return err
	}
	defer s.mu.Unlock()
	if turn, ok := s.pending[key]; ok {
		close(turn)
		delete(s.pending, key)
	}
	if len(value) > 0 {
		s.values[key] = storedValue{value, time.Now().Add(ttl)}
	}
	return nil
}

// memoryStore.applyFault fails in the way that the test has chosen: it panics, it waits for the end
// of ctx, or it returns s.err, which may be nil. The caller must have locked s.mu. If applyFault
// panics, s.mu is unlocked.
func (s *memoryStore) applyFault(ctx context.Context) error {
	if s.panics {
		s.mu.Unlock()
		panic("the shared cache panics")
	}
	if s.hangs {
		s.mu.Unlock()
		<-ctx.Done()
		s.mu.Lock()
		return ctx.Err()
	}
	return s.err
}

// memoryStore.counts returns how often Get looked for a value, how often Set was called, and the
// numbers of stored values and of pending keys. A call of Get that waits looks for the value again
// after the wait. A key is pending if a caller of Get has found no value for the key and has not
// called Set yet.
func (s *memoryStore) counts() (gets, sets, values, pending int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gets, s.sets, len(s.values), len(s.pending)
}

// memoryStore.replaceValues replaces each stored value by the result of f.
func (s *memoryStore) replaceValues(f func([]byte) []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, v := range s.values {
		s.values[k] = storedValue{f(bytes.Clone(v.value)), v.until}
	}
}

// memoryStore.waitForValues waits until the cache has n values, and returns these values. The wait
// is necessary, because the library responds to the client before it calls Set.
func (s *memoryStore) waitForValues(t testing.TB, n int) (all []storedValue) {
	t.Helper()
	for range 1000 {
		s.mu.Lock()
		all = nil
		for _, v := range s.values {
			all = append(all, v)
		}
		s.mu.Unlock()
		if len(all) >= n {
			return all
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("%d values are stored, want %d", len(all), n)
	return nil
}

// newFleet returns n validators. They stand for the instances of one service, which share the cache
// store.
func newFleet(
	t testing.TB, issuer *xenaauthtest.Issuer, store xenaauth.Cache, n int, change func(*xenaauth.Config),
) []*xenaauth.Validator {
	t.Helper()
	fleet := make([]*xenaauth.Validator, n)
	for i := range fleet {
		fleet[i] = harness.IntrospectingValidator(t, issuer, func(c *xenaauth.Config) {
			c.Introspection.Cache = store
			if change != nil {
				change(c)
			}
		})
	}
	return fleet
}
