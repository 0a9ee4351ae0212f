package breaker

import (
	"container/list"
	"context"
	"sync"
)

// places limits how many calls run at the same time. A call that finds no free place waits in one
// of two queues: one for urgent calls and one for all other calls. A free place goes to the queue
// of urgent calls first.
type places struct {
	mu   sync.Mutex
	free int
	// the queues of urgent calls and of other calls; the elements are of type chan struct{}
	queues [2]list.List
	bound  int // bound is the largest length of each queue
}

func newPlaces(free, bound int) *places { return &places{free: free, bound: bound} }

// The method take waits for a place until ctx ends. It reports whether it got a place.
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
		// ctx ended at the moment in which this call got a place, so the next call gets the place
		p.pass()
	default:
		queue.Remove(at)
	}
	return false
}

// The method leave gives a place back.
func (p *places) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pass()
}

// The method pass gives a free place to the next call that waits. The caller of pass holds the lock
// p.mu.
func (p *places) pass() {
	for i := range p.queues {
		if next := p.queues[i].Front(); next != nil {
			close(p.queues[i].Remove(next).(chan struct{}))
			return
		}
	}
	p.free++
}
