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
	mu        sync.Mutex
	freeCount int
	// queues contains the queue of the waiting urgent calls and the queue of the other waiting
	// calls; the elements of a queue are of type chan struct{}
	queues   [2]list.List
	maxQueue int // maxQueue is the largest length of each queue
}

func newCallLimiter(free, bound int) *callLimiter {
	return &callLimiter{freeCount: free, maxQueue: bound}
}

// callLimiter.takePlace takes one of the places, each of which allows one running call. If no place
// is free, it waits for one until ctx ends; but if the queue is full, it does not wait. It reports
// whether it got a place.
func (p *callLimiter) takePlace(ctx context.Context, urgent bool) bool {
	queue := &p.queues[1]
	if urgent {
		queue = &p.queues[0]
	}
	p.mu.Lock()
	if p.freeCount > 0 {
		p.freeCount--
		p.mu.Unlock()
		return true
	}
	if queue.Len() >= p.maxQueue {
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
		p.passPlace()
	default:
		queue.Remove(at)
	}
	return false
}

// callLimiter.freePlace is called when a call to the server has ended. It frees the place of this
// call for another call.
func (p *callLimiter) freePlace() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.passPlace()
}

// callLimiter.passPlace is called when a call to the server has ended, or got a place too late. It
// gives the place of this call to the next call in the queues. The caller of passPlace holds the
// lock p.mu.
func (p *callLimiter) passPlace() {
	for i := range p.queues {
		if next := p.queues[i].Front(); next != nil {
			close(p.queues[i].Remove(next).(chan struct{}))
			return
		}
	}
	p.freeCount++
}
