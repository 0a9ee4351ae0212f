package breaker

import (
	"container/list"
	"context"
	"sync"
)

// callLimiter limits how many calls to the server run at the same time: it has a fixed number of
// places, and each running call needs one place. A call that finds no free place waits in one of
// two queues: one for urgent calls, and one for all other calls. A place that becomes free goes to
// the queue of urgent calls first.
type callLimiter struct {
	mu   sync.Mutex
	free int
	// queues contains the queue of the waiting urgent calls and the queue of the other waiting
	// calls; the elements of a queue are of type chan struct{}
	queues [2]list.List
	bound  int // bound is the largest length of each queue
}

func newCallLimiter(free, bound int) *callLimiter { return &callLimiter{free: free, bound: bound} }

// callLimiter.take takes one of the places, each of which allows one running call. It waits for a
// place until ctx ends, and reports whether it got one.
func (p *callLimiter) take(ctx context.Context, urgent bool) bool {
	queue := &p.queues[1]
	if urgent {
		queue = &p.queues[0]
	}
	p.mu.Lock()
	if p.free > 0 {
		p.free--
		p.mu.Unlock()
		return true
	}
	if queue.Len() >= p.bound {
		p.mu.Unlock()
		return false
	}
	turn := make(chan struct{})
	at := queue.PushBack(turn)
	p.mu.Unlock()
	select {
	case <-turn:
		return true
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-turn:
		// ctx ended at the moment in which this call was allowed to run, so the next call in the
		// queues may run instead
		p.pass()
	default:
		queue.Remove(at)
	}
	return false
}

// callLimiter.leave is called when a call to the server has ended. It frees the place of this call
// for another call.
func (p *callLimiter) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pass()
}

// callLimiter.pass is called when a call to the server has ended. It gives the place of this call
// to the next call in the queues. The caller of pass holds the lock p.mu.
func (p *callLimiter) pass() {
	for i := range p.queues {
		if next := p.queues[i].Front(); next != nil {
			close(p.queues[i].Remove(next).(chan struct{}))
			return
		}
	}
	p.free++
}
