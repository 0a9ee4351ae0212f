package breaker

import (
	"container/list"
	"context"
	"sync"
)

// places limits how many calls run at the same time: a call needs one of a fixed number of places.
// A call that finds no free place waits in one of two queues: one for urgent calls, and one for all
// other calls. A place that becomes free goes to the queue of urgent calls first.
type places struct {
	mu   sync.Mutex
	free int
	// queues are the queue of the urgent calls that wait and the queue of the other calls that
	// wait; their elements are of type chan struct{}
	queues [2]list.List
	bound  int // the field bound is the largest length of each queue
}

func newPlaces(free, bound int) *places { return &places{free: free, bound: bound} }

// places.take takes one of the places for calls that run at the same time. It waits for a place
// until ctx ends, and reports whether it got one.
func (p *places) take(ctx context.Context, urgent bool) bool {
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
		// ctx ended at the moment in which this call got a place, so the next call in the queues
		// gets the place instead
		p.pass()
	default:
		queue.Remove(at)
	}
	return false
}

// places.leave is called when a call has ended. The place of this call is then free for another
// call.
func (p *places) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pass()
}

// places.pass gives the place of a call that has ended to the next call in the queues. The caller
// of pass holds the lock p.mu.
func (p *places) pass() {
	for i := range p.queues {
		if next := p.queues[i].Front(); next != nil {
			close(p.queues[i].Remove(next).(chan struct{}))
			return
		}
	}
	p.free++
}
