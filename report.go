package xenaauth

import (
	"context"
	"log/slog"
	"slices"
	"sync"

	"github.com/xenaauth/xenaauth/internal/jose"
)

// reporter logs what the issuer is like, once for each change and not for each request.
type reporter struct {
	logger *slog.Logger // nil: the default one, as it is at the time

	mu     sync.Mutex
	states map[string]string // what is asked for → what is wrong with it, "" for nothing
	notes  []string          // on the keys that were skipped
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
	state := ""
	if err != nil {
		state = err.Error()
	}
	r.mu.Lock()
	before, known := r.states[what]
	if r.states == nil {
		r.states = make(map[string]string)
	}
	r.states[what] = state
	r.mu.Unlock()
	switch {
	case state != "" && state != before:
		r.log(slog.LevelError, bad, "what", what, "why", state)
	case state == "" && known && before != "":
		r.log(slog.LevelInfo, good, "what", what)
	}
}

// skipped notes the keys of a set that can't be used.
func (r *reporter) skipped(keys *jose.KeySet) {
	r.mu.Lock()
	same := slices.Equal(r.notes, keys.Skipped)
	r.notes = keys.Skipped
	r.mu.Unlock()
	if !same && len(keys.Skipped) > 0 {
		r.log(slog.LevelWarn, "keys of the issuer are skipped", "keys", keys.Skipped)
	}
}
