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

// memoryStore is a shared cache in memory. If Get finds no value, the caller of Get introspects the
// token. Other callers of Get with the same key wait until the first caller calls Set.
type memoryStore struct {
	mu      sync.Mutex
	values  map[[32]byte]storedValue
	asking  map[[32]byte]chan struct{}
	gets    int
	sets    int
	err     error
	panics  bool
	hangs   bool // if this field is set, Get and Set wait until their context ends
	forever bool // if this field is set, Get also returns values whose ttl is over
}

type storedValue struct {
	value []byte
	until time.Time
}

func newStore() *memoryStore {
	return &memoryStore{values: make(map[[32]byte]storedValue), asking: make(map[[32]byte]chan struct{})}
}

func (s *memoryStore) Get(ctx context.Context, key [32]byte) ([]byte, error) {
	for {
		s.mu.Lock()
		s.gets++
		if err := s.fault(ctx); err != nil {
			s.mu.Unlock()
			return nil, err
		}
		if v, ok := s.values[key]; ok && (s.forever || time.Now().Before(v.until)) {
			s.mu.Unlock()
			return v.value, nil
		}
		turn, taken := s.asking[key]
		if !taken {
			s.asking[key] = make(chan struct{})
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
	defer s.mu.Unlock()
	s.sets++
	if err := s.fault(ctx); err != nil {
		return err
	}
	if turn, ok := s.asking[key]; ok {
		close(turn)
		delete(s.asking, key)
	}
	if len(value) > 0 {
		s.values[key] = storedValue{value, time.Now().Add(ttl)}
	}
	return nil
}

// The method fault returns the error with which the test configured the store. The caller holds the
// lock s.mu.
func (s *memoryStore) fault(ctx context.Context) error {
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

// The method counts returns the number of calls of Get, the number of calls of Set, the number of
// values, and the number of keys whose tokens are being introspected.
func (s *memoryStore) counts() (gets, sets, values, asking int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gets, s.sets, len(s.values), len(s.asking)
}

// The method change applies f to each stored value.
func (s *memoryStore) change(f func([]byte) []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, v := range s.values {
		s.values[k] = storedValue{f(bytes.Clone(v.value)), v.until}
	}
}

// The method stored waits until there are n values and returns them. The library calls Set after
// the response to the client.
func (s *memoryStore) stored(t testing.TB, n int) (all []storedValue) {
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

// newFleet returns validators of several instances of one service that share store.
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
