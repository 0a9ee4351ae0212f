package chaos

import (
	"sync/atomic"
	"time"
)

// stalled is the total time for which this process was ready to run and did not run. Tests add its
// growth to the times that they allow, because a busy machine is no fault of the library.
var stalled atomic.Int64

// beat measures stalled until the process ends.
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

// allowance is a time that grows while the machine is busy.
type allowance struct {
	most   time.Duration
	before int64
}

func allow(most time.Duration) allowance { return allowance{most, stalled.Load()} }

// exceeded reports whether the time is over.
func (a allowance) exceeded(took time.Duration) bool {
	return took > a.most+time.Duration(stalled.Load()-a.before)
}
