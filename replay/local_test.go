package replay_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xenaauth/xenaauth/replay"
)

// requireUse calls Use of the store s. It requires that Use returns no error, and that the result
// of Use equals wantFirst: true means that the value was not used before.
func requireUse(t *testing.T, s replay.Store, owner, id string, until time.Time, wantFirst bool) {
	t.Helper()
	got, err := s.Use(t.Context(), owner, id, until)
	if got != wantFirst || err != nil {
		t.Fatalf("Use(%q, %q) = %t, %v; want %t", owner, id, got, err, wantFirst)
	}
}

// requireFull calls Use of the store s, and requires that Use returns ErrFull.
func requireFull(t *testing.T, s replay.Store, owner, id string, until time.Time) {
	t.Helper()
	if first, err := s.Use(t.Context(), owner, id, until); first || !errors.Is(err, replay.ErrFull) {
		t.Fatalf("Use(%q, %q) = %t, %v; want ErrFull", owner, id, first, err)
	}
}

func TestAValueIsUsedOnceUntilItExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := replay.NewLocal(replay.Options{})
		until := time.Now().Add(time.Minute)
		requireUse(t, s, "key", "1", until, true)
		requireUse(t, s, "key", "1", until, false)
		// A later call with the same value does not move the time at which the value expires,
		// although this call gives a later time.
		requireUse(t, s, "key", "1", until.Add(time.Hour), false)
		requireUse(t, s, "key", "2", until, true)
		time.Sleep(time.Until(until) - time.Nanosecond)
		requireUse(t, s, "key", "1", until, false)
		time.Sleep(time.Millisecond + time.Nanosecond)
		requireUse(t, s, "key", "1", until.Add(time.Minute), true)
		requireUse(t, s, "key", "1", until.Add(time.Minute), false)
	})
}

func TestOwnersHaveValuesOfTheirOwn(t *testing.T) {
	s := replay.NewLocal(replay.Options{})
	until := time.Now().Add(time.Hour)
	for _, pair := range [][2]string{
		{"a", "bc"}, {"ab", "c"}, {"abc", ""}, {"", "abc"}, {"a", "b\x00c"}, {"a\x00b", "c"}, {"", ""},
	} {
		requireUse(t, s, pair[0], pair[1], until, true)
		requireUse(t, s, pair[0], pair[1], until, false)
	}
	const text = "The same text is cut at every place, into an owner and an id: none was used before."
	for cut := range text {
		requireUse(t, s, text[:cut], text[cut:], until, true)
	}
}

// A call of Use removes only some of the expired entries. If a value is used again before its
// expired entry is removed, the value has two entries. The later removal of the expired entry must
// leave the new entry in the store.
func TestAValueThatIsUsedAgainIsRememberedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := replay.NewLocal(replay.Options{})
		for i := range 500 {
			requireUse(t, s, "key", fmt.Sprint(i), time.Now().Add(time.Minute), true)
		}
		time.Sleep(2 * time.Minute)
		for round := range 2 {
			for i := range 500 {
				// The first loop added the ids 0 to 499 in this order. Their entries have expired,
				// but each call of Use removes only a few expired entries. The entry of
				// the id 250 is not among the first that are removed, so this loop begins with it.
				// When the loop uses the id 250 and some further ids a second time, their expired
				// entries are still in the store.
				id := fmt.Sprint((i + 250) % 500)
				requireUse(t, s, "key", id, time.Now().Add(time.Minute), round == 0)
			}
		}
	})
}

// A store may forget a value that has expired. So Use returns false for an expired value: otherwise
// two calls with the same value would both return true.
func TestAValueFromThePastIsNeverTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := replay.NewLocal(replay.Options{})
		requireUse(t, s, "key", "1", time.Now(), false)
		requireUse(t, s, "key", "2", time.Now().Add(-time.Hour), false)
		requireUse(t, s, "key", "3", time.Time{}, false)
		requireUse(t, s, "key", "3", time.Now().Add(time.Nanosecond), true)
	})
}

func TestAFullStoreForgetsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := replay.NewLocal(replay.Options{MaxEntries: 100})
		until := time.Now().Add(time.Minute)
		for i := range 100 {
			requireUse(t, s, fmt.Sprint("owner", i), "1", until, true)
		}
		requireFull(t, s, "another", "1", until)
		requireFull(t, s, "owner1", "2", until)
		for i := range 100 {
			requireUse(t, s, fmt.Sprint("owner", i), "1", until, false)
		}
		if s.Len() != 100 {
			t.Errorf("%d entries, want 100", s.Len())
		}
		time.Sleep(time.Minute + time.Millisecond)
		for i := range 100 {
			// The owner of an entry determines its shard. The new entries have other owners than
			// the expired entries, so a shard may get more new entries than it has expired ones. To
			// make room, the store must remove expired entries from all shards.
			requireUse(t, s, fmt.Sprint("new owner", i), "1", until.Add(time.Hour), true)
		}
		requireFull(t, s, "another", "1", until.Add(time.Hour))
	})
}

// A client with a valid token can make any number of DPoP proofs. If its proofs could fill the
// store, the proofs of other clients would be refused. The owner of these proofs in the store is
// the key of the client. So the store gives only a part of its entries to one owner.
func TestAnOwnerCannotTakeTheRoomOfOthers(t *testing.T) {
	s := replay.NewLocal(replay.Options{MaxEntries: 1000})
	until := time.Now().Add(time.Hour)
	for i := range 1000 {
		if _, err := s.Use(t.Context(), "greedy", fmt.Sprint(i), until); err != nil && i < 200 {
			t.Fatalf("value %d: %v", i, err)
		}
	}
	if s.Len() != 200 {
		t.Errorf("one owner has %d of 1000 entries, want a fifth", s.Len())
	}
	for i := range 390 {
		requireUse(t, s, fmt.Sprint("modest", i), "1", until, true)
		requireUse(t, s, fmt.Sprint("modest", i), "2", until, true)
	}
	requireFull(t, s, "greedy", "one more", until)
	requireUse(t, s, "greedy", "0", until, false)
}

// A client can have many keys, with a token for each key. The store treats each key as a different
// owner. Ten such owners together must leave room for other clients.
func TestManyGreedyOwnersLeaveRoom(t *testing.T) {
	for _, test := range []struct {
		name   string
		owner  func(i int) int
		unused int
	}{
		{"at the same time", func(i int) int { return i % 10 }, 280},
		{"one after another", func(i int) int { return i / 1000 }, 100},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := replay.NewLocal(replay.Options{MaxEntries: 1000})
			until := time.Now().Add(time.Hour)
			for i := range 10_000 {
				_, _ = s.Use(t.Context(), fmt.Sprint("greedy", test.owner(i)), fmt.Sprint(i), until)
			}
			if free := 1000 - s.Len(); free < test.unused {
				t.Errorf("ten greedy owners leave %d of 1000 entries, want %d", free, test.unused)
			}
			for i := range 1000 - s.Len() {
				requireUse(t, s, fmt.Sprint("modest", i), "1", until, true)
			}
		})
	}
}

// A service may record each use in a Local first, and then in a second store. If the second store
// fails, the service calls Forget, and the next use of the value counts as the first.
func TestAForgottenValueIsTheFirstAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := replay.NewLocal(replay.Options{MaxEntries: 100})
		until := time.Now().Add(time.Minute)
		requireUse(t, s, "key", "1", until, true)
		requireUse(t, s, "key", "2", until, true)
		for range 3 {
			s.Forget("key", "1")
			s.Forget("key", "3")
			s.Forget("another", "1")
			requireUse(t, s, "key", "1", until, true)
			requireUse(t, s, "key", "1", until, false)
			requireUse(t, s, "key", "2", until, false)
		}
		if s.Len() != 5 {
			// The loop has called Forget three times for the value "1", and has used this value
			// again after each call. Forget leaves the forgotten entry in the store until it
			// expires. So the store has three forgotten entries, and one entry for each of the
			// values "1" and "2". A forgotten entry still counts as an entry of its owner. So a
			// client can't get more entries than its share by repeated calls of Use and Forget.
			t.Errorf("%d entries, want 5", s.Len())
		}
		time.Sleep(time.Minute + time.Millisecond)
		requireUse(t, s, "key", "4", until.Add(time.Minute), true)
		if s.Len() != 1 {
			t.Errorf("%d entries, want 1", s.Len())
		}
	})
}

func TestTheSmallestStoreHasOneEntry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := replay.NewLocal(replay.Options{MaxEntries: 1})
		until := time.Now().Add(time.Minute)
		requireUse(t, s, "a", "1", until, true)
		requireFull(t, s, "b", "1", until)
		time.Sleep(time.Minute + time.Millisecond)
		requireUse(t, s, "b", "1", until.Add(time.Minute), true)
	})
}

// An entry that expires far in the future must not keep the store from removing entries that expire
// earlier.
func TestEntriesAreRemovedInTheOrderOfTheirEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := replay.NewLocal(replay.Options{MaxEntries: 10_000})
		start := time.Now()
		requireUse(t, s, "key", "year 9999", time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), true)
		for i := range 1000 {
			// The entry that expires last is added first.
			requireUse(t, s, "key", fmt.Sprint(i), start.Add(time.Duration(1000-i)*time.Second), true)
		}
		time.Sleep(500*time.Second + time.Millisecond)
		for i := range 1000 {
			requireUse(t, s, "key", fmt.Sprint(1000+i), start.Add(2000*time.Second), true)
		}
		if s.Len() != 1+500+1000 {
			t.Errorf("%d entries, want 1501", s.Len())
		}
		for i := range 500 {
			requireUse(t, s, "key", fmt.Sprint(i), start.Add(time.Hour), false)
		}
		requireUse(t, s, "key", "year 9999", start.Add(time.Hour), false)
	})
}

// A store with many calls removes expired entries as fast as it adds new ones. So the number of its
// entries stays near the number of values that have not expired.
func TestABusyStoreStaysSmall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := replay.NewLocal(replay.Options{})
		largest := 0
		for i := range 20_000 {
			requireUse(t, s, fmt.Sprint("owner", i%7), fmt.Sprint(i), time.Now().Add(time.Second), true)
			largest = max(largest, s.Len())
			time.Sleep(time.Millisecond)
		}
		if largest > 1100 {
			t.Errorf("%d entries, want about 1000", largest)
		}
	})
}

func TestOneOfManySimultaneousCallsIsTheFirst(t *testing.T) {
	s := replay.NewLocal(replay.Options{})
	until := time.Now().Add(time.Hour)
	const values, calls = 50, 64
	var firsts [values]atomic.Int32
	var group sync.WaitGroup
	start := make(chan struct{})
	for range calls {
		group.Go(func() {
			<-start
			for i := range values {
				if first, err := s.Use(t.Context(), fmt.Sprint("owner", i%5), fmt.Sprint(i), until); err != nil {
					t.Error(err)
				} else if first {
					firsts[i].Add(1)
				}
			}
		})
	}
	close(start)
	group.Wait()
	for i := range values {
		if n := firsts[i].Load(); n != 1 {
			t.Errorf("value %d: %d calls were the first", i, n)
		}
	}
}

func TestSimultaneousCallsDoNotExceedTheBound(t *testing.T) {
	s := replay.NewLocal(replay.Options{MaxEntries: 500})
	until := time.Now().Add(time.Hour)
	var firsts atomic.Int32
	var group sync.WaitGroup
	for g := range 8 {
		group.Go(func() {
			for i := range 500 {
				if first, _ := s.Use(t.Context(), fmt.Sprint(g, i), "1", until); first {
					firsts.Add(1)
				}
			}
		})
	}
	group.Wait()
	if firsts.Load() != 500 || s.Len() != 500 {
		t.Errorf("%d calls were the first, and the store has %d entries; want 500", firsts.Load(), s.Len())
	}
}

func TestOptionsAreChecked(t *testing.T) {
	defer func() {
		if got := recover(); got != "replay: Options.MaxEntries is -1" {
			t.Errorf("panic: %v", got)
		}
	}()
	replay.NewLocal(replay.Options{MaxEntries: -1})
}
