package replay_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xenaauth/xenaauth/replay"
)

// model is a replay store that is so simple that it is obviously right. The number of its entries
// has no limit.
type model map[string]time.Time

func (m model) use(owner, id string, until time.Time) bool {
	now, name := time.Now(), fmt.Sprintf("%q %q", owner, id)
	if now.Before(m[name]) || !now.Before(until) {
		return false
	}
	m[name] = until
	return true
}

// model.countLive returns how many values in the model have not expired.
func (m model) countLive() (n int) {
	for _, until := range m {
		if time.Now().Before(until) {
			n++
		}
	}
	return n
}

// compareWithModel makes the same calls of Use on a Local and on a model, and requires equal
// results. The Local may return ErrFull only if it has many values that have not expired. Each byte
// from source describes one call, or a pause. The calls are made at whole milliseconds, because a
// Local is not more precise.
func compareWithModel(t *testing.T, maxEntries int, source func() (op byte, ok bool)) {
	synctest.Test(t, func(t *testing.T) {
		local, m := replay.NewLocal(replay.Options{MaxEntries: maxEntries}), model{}
		for {
			op, ok := source()
			if !ok {
				break
			}
			if op >= 200 {
				// The byte op is 200 or more. It does not stand for a call of Use, but for a pause
				// of some milliseconds.
				time.Sleep(time.Duration(op-199) * time.Millisecond)
				continue
			}
			owner, id := fmt.Sprint(op%3), fmt.Sprint(op/3%11)
			until := time.Now().Add(time.Duration(op%40-1) * time.Millisecond)
			if until.After(time.Now()) {
				until = until.Add(-time.Nanosecond)
				// A Local moves the time at which a value expires to the next whole millisecond.
				// The model does not. So the test chooses a time that is one nanosecond before a
				// whole millisecond. The clock of the test shows only whole milliseconds. So the
				// value expires at the same reading of the clock in both stores.
			}
			first, err := local.Use(t.Context(), owner, id, until)
			if err != nil {
				if !errors.Is(err, replay.ErrFull) || first || 4*m.countLive() < maxEntries/2 {
					t.Fatalf("Use = %t, %v with %d live values", first, err, m.countLive())
				}
				continue
			}
			if want := m.use(owner, id, until); first != want {
				t.Fatalf("Use(%s, %s) = %t, want %t", owner, id, first, want)
			}
			if local.Len() > maxEntries || local.Len() < m.countLive() {
				t.Fatalf("%d entries: the bound is %d, and %d values are live", local.Len(), maxEntries, m.countLive())
			}
		}
	})
}

func TestLocalBehavesLikeTheModel(t *testing.T) {
	for seed := range uint64(40) {
		random, n := rand.New(rand.NewPCG(seed, 1)), 0
		compareWithModel(t, 8+int(seed)*4, func() (byte, bool) {
			n++
			return byte(random.Uint32()), n < 3000
		})
	}
}

func FuzzLocal(f *testing.F) {
	f.Add([]byte("0123456789\xff\xfe0123456789"), byte(8))
	f.Fuzz(func(t *testing.T, ops []byte, size byte) {
		compareWithModel(t, 1+int(size), func() (op byte, ok bool) {
			if len(ops) == 0 {
				return 0, false
			}
			op, ops = ops[0], ops[1:]
			return op, true
		})
	})
}
