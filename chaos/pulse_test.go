package chaos

import (
	"sync/atomic"
	"time"
)

// stalledTime is the total time for which this process was ready to run, but the system did not run
// it. The time limits of the tests grow by this time, because a busy machine is not a fault of the
// library.
var stalledTime atomic.Int64

// measureStalls runs until the process ends. If the system did not run the process for a while,
// measureStalls adds the length of this pause to stalledTime.
func measureStalls() {
	const tick = 5 * time.Millisecond
	for last := time.Now(); ; {
		time.Sleep(tick)
		now := time.Now()
		if late := now.Sub(last) - 2*tick; late > 0 {
			stalledTime.Add(int64(late))
		}
		last = now
	}
}

// An allowance is a time limit of a test. It grows while the machine is too busy to run the test.
type allowance struct {
	limit  time.Duration
	before int64
}

func allow(most time.Duration) allowance { return allowance{most, stalledTime.Load()} }

// allowance.exceeded reports whether duration is longer than the limit.
func (a allowance) exceeded(duration time.Duration) bool {
	return duration > a.limit+time.Duration(stalledTime.Load()-a.before)
}
