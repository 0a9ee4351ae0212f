package breaker

import (
	"errors"
	"sync"
	"time"
)

// A pause is a span of time in which a Guard makes no calls to its server. The zero value is a
// pause that is over.
type pause struct {
	mu      sync.Mutex
	endTime time.Time
}

// pause.extend makes the pause last at least until the given time.
func (p *pause) extend(until time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if until.After(p.endTime) {
		p.endTime = until
	}
}

// pause.timeLeft returns how long the pause still lasts. It returns 0 if the pause is over.
func (p *pause) timeLeft(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(0, p.endTime.Sub(now))
}

// An openError is an error that wraps ErrOpen. It contains the time until the next call to the
// server may be made.
type openError struct{ wait time.Duration }

func (o *openError) Error() string        { return ErrOpen.Error() }
func (o *openError) Is(target error) bool { return target == ErrOpen }

// Wait returns the time until the next call to the server may be made, if err wraps ErrOpen. For
// other errors it returns 0.
func Wait(err error) time.Duration {
	if o, ok := errors.AsType[*openError](err); ok {
		return o.wait
	}
	return 0
}
