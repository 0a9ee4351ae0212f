package xenaauth

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/xenaauth/xenaauth/internal/jose"
)

// reporter logs what the issuer is like, once for each change and not for each request. Where something changes all the
// time, it logs that instead.
type reporter struct {
	logger *slog.Logger // nil: the default one, as it is at the time

	mu     sync.Mutex
	states map[string]*state // by what is asked for
}

// state is how something is.
type state struct {
	why    string    // what is wrong with it, "" for nothing
	since  time.Time // when why changed last
	logged string    // the why that the log has
	bad    string    // the latest why that was not ""

	minute   time.Time // when the lines began to count
	lines    int       // that were logged in it
	unsteady bool      // changes are not logged
	notes    int       // since the latest line
	failures int       // among them
}

const (
	maxLines = 6           // about one thing in a minute
	steady   = time.Minute // without a change ends unsteadiness
)

// line is a line of the log.
type line struct {
	level slog.Level
	text  string // "" is no line
	args  []any
}

func (r *reporter) log(level slog.Level, text string, args ...any) {
	l := r.logger
	if l == nil {
		l = slog.Default()
	}
	l.Log(context.Background(), level, "xenaauth: "+text, args...)
}

// outcome notes how asking the issuer for something went.
func (r *reporter) outcome(what string, err error) {
	r.change(what, err, "the issuer fails", "the issuer is back")
}

// change notes how something is, and logs it when that is other than it was.
func (r *reporter) change(what string, err error, bad, good string) {
	why := ""
	if err != nil {
		why = err.Error()
	}
	r.note(what, why,
		line{slog.LevelError, bad, []any{"what", what, "why", why}},
		line{slog.LevelInfo, good, []any{"what", what}})
}

// skipped notes the keys of a set that can't be used.
func (r *reporter) skipped(keys *jose.KeySet) {
	bad := line{slog.LevelWarn, "keys of the issuer are skipped", []any{"keys", keys.Skipped}}
	r.note("skipped keys", strings.Join(keys.Skipped, "; "), bad, line{})
}

// note notes what is wrong with something, and logs a line if the log has another state of it.
func (r *reporter) note(what, why string, bad, good line) {
	now := time.Now()
	r.mu.Lock()
	if r.states == nil {
		r.states = make(map[string]*state)
	}
	s := r.states[what]
	if s == nil {
		s = &state{since: now}
		r.states[what] = s
	}
	l := s.next(what, why, now, bad, good)
	r.mu.Unlock()
	if l.text != "" {
		r.log(l.level, l.text, l.args...)
	}
}

// next takes in a note and returns the line to log.
func (s *state) next(what, why string, now time.Time, bad, good line) line {
	s.notes++
	if why != "" {
		s.failures++
		s.bad = why
	}
	if why != s.why {
		s.why, s.since = why, now
	}
	fresh := now.Sub(s.minute) >= time.Minute
	if fresh {
		s.minute, s.lines = now, 0
	}
	switch {
	case s.unsteady && now.Sub(s.since) >= steady:
		s.unsteady = false
		s.logged = "" // an error that stays is told once more
		if why == "" {
			good.args = append(good.args, "calls", s.notes, "failures", s.failures)
			return s.tell(why, good)
		}
	case s.unsteady && !fresh, why == s.logged && !s.unsteady:
		return line{}
	}
	if s.unsteady || s.lines >= maxLines {
		s.unsteady = true
		return s.tell(s.logged, line{slog.LevelWarn, "changes too often to log each time", []any{
			"what", what, "why", s.bad, "calls", s.notes, "failures", s.failures,
		}})
	}
	if why == "" {
		return s.tell(why, good)
	}
	return s.tell(why, bad)
}

// tell returns l, after which the log has a state.
func (s *state) tell(logged string, l line) line {
	s.logged = logged
	s.lines++
	s.notes, s.failures = 0, 0
	return l
}
