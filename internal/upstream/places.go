package upstream

import (
	"container/list"
	"context"
	"sync"
)

// places are the calls that may be under way. Who finds none free waits in one of two queues; a place that becomes free
// goes to the urgent one first.
type places struct {
	mu     sync.Mutex
	free   int
	queues [2]list.List // of chan struct{}, the urgent first
	bound  int          // of each queue
}

func newPlaces(free, bound int) *places { return &places{free: free, bound: bound} }

// take waits for a place as long as ctx lasts. It reports whether it got one.
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
	case <-turn: // in the same moment: it is somebody else's then
		p.pass()
	default:
		queue.Remove(at)
	}
	return false
}

// leave gives a place back.
func (p *places) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pass()
}

// pass hands a place to who is next. p.mu is held.
func (p *places) pass() {
	for i := range p.queues {
		if next := p.queues[i].Front(); next != nil {
			close(p.queues[i].Remove(next).(chan struct{}))
			return
		}
	}
	p.free++
}
