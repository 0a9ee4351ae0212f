package xenaauth

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/xenaauth/xenaauth/internal/jose"
	"github.com/xenaauth/xenaauth/internal/loglimit"
)

// reporter logs the state of the issuer: one record for each change, and not for each request.
type reporter struct {
	logger  *slog.Logger // nil: slog.Default at the time of each record
	changes loglimit.Changes
}

func (r *reporter) log(level slog.Level, text string, args ...any) {
	l := r.logger
	if l == nil {
		l = slog.Default()
	}
	l.Log(context.Background(), level, "xenaauth: "+text, args...)
}

// outcome notes the result of a call of the issuer.
func (r *reporter) outcome(what string, err error) {
	r.change(what, err, "the issuer fails", "the issuer is back")
}

// change notes the state of a thing. If it has changed, change logs the text bad, with the error, or
// the text good.
func (r *reporter) change(what string, err error, bad, good string) {
	why := ""
	if err != nil {
		why = err.Error()
	}
	switch record := r.note(what, why); record.Kind {
	case loglimit.Failed:
		r.log(slog.LevelError, bad, "what", what, "why", record.Why)
	case loglimit.Recovered:
		args := []any{"what", what}
		if record.Calls > 0 {
			args = append(args, "calls", record.Calls, "failures", record.Failures)
		}
		if good != "" {
			r.log(slog.LevelInfo, good, args...)
		}
	}
}

// skipped notes the keys of a key set that cannot be used.
func (r *reporter) skipped(keys *jose.KeySet) {
	if r.note("skipped keys", strings.Join(keys.Skipped, "; ")).Kind == loglimit.Failed {
		r.log(slog.LevelWarn, "keys of the issuer are skipped", "keys", keys.Skipped)
	}
}

// note notes the state of a thing. It returns the record to write, unless it has written the record
// itself because the thing is unsteady.
func (r *reporter) note(what, why string) loglimit.Record {
	record := r.changes.Note(what, why, time.Now())
	if record.Kind == loglimit.Unsteady {
		r.log(slog.LevelWarn, "changes too often to log each time",
			"what", what, "why", record.Why, "calls", record.Calls, "failures", record.Failures)
	}
	return record
}
