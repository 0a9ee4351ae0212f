package chaos

import (
	"sync/atomic"
	"time"
)

// stalled is the total time for which this process was ready to run, but the system did not run it.
// Tests allow this much more time, because a busy machine is not a fault of the library.
var stalled atomic.Int64

// The function beat runs until the process ends. If the process did not run for a while although it
// was ready to run, beat adds this time to stalled.
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

// An allowance is a time limit that grows while the machine is busy.
type allowance struct {
	most   time.Duration
	before int64
}

func allow(most time.Duration) allowance { return allowance{most, stalled.Load()} }

// The method exceeded reports whether the duration took is over the limit.
func (a allowance) exceeded(took time.Duration) bool {
	return took > a.most+time.Duration(stalled.Load()-a.before)
}
