package chaos

import (
	"sync/atomic"
	"time"
)

// stalled is the total time for which this process was ready to run, but the system did not run it.
// The time limits of the tests grow by this time, because a busy machine is not a fault of the
// library.
var stalled atomic.Int64

// The function beat runs until the process ends. If the system did not run the process for a while,
// beat adds this time to stalled.
func beat() {
	const tick = 5 * time.Millisecond
	for last := time.Now(); ; {
		time.Sleep(tick)
		now := time.Now()
		if late := now.Sub(last) - 2*tick; late > 0 {
			stalled.Add(int64(late))
		}
		last = now
	}
}

// An allowance is a time limit of a test. It grows while the machine is too busy to run the test.
type allowance struct {
	most   time.Duration
	before int64
}

func allow(most time.Duration) allowance { return allowance{most, stalled.Load()} }

// allowance.exceeded reports whether the duration in the parameter took is longer than the limit.
func (a allowance) exceeded(took time.Duration) bool {
	return took > a.most+time.Duration(stalled.Load()-a.before)
}
