package xenaauth

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/xenaauth/xenaauth/internal/loglimit"
)

// In each logWindow, the first logFull refusals of each reason get a log record of their own.
const (
	logWindow = time.Minute
	logFull   = 5
)

// maxCause is the largest length of a cause in the log, in bytes. The error of a policy may be
// long.
const maxCause = 1 << 10

// refusalLog logs why requests are refused. If many requests are refused for the same reason, it
// only counts most of them, and logs their number later.
type refusalLog struct {
	logger *slog.Logger // if nil, slog.Default at the time of each record
	one    string       // the message of a record about one refusal
	more   string       // the message of a record about counted refusals
	name   slog.Attr    // the name of the middleware or handler that refuses
	damper *loglimit.Counter[Reason]
}

// write logs a refusal, or only counts it. secrets are the lines of the request's Authorization
// field; no record contains a part of them. attrs returns further attributes; it is called only if
// the refusal is logged.
func (l *refusalLog) write(ctx context.Context, e *Error, secrets []string, attrs func() []slog.Attr) {
	if e.StatusCode() == http.StatusServiceUnavailable && errors.Is(ctx.Err(), context.Canceled) {
		// The client has canceled the request. This is no outage, and must not use up a record of
		// an outage.
		return
	}
	now := time.Now()
	// An unknown reason counts as ReasonUnavailable.
	n, rest := l.damper.Add(e.Reason, ReasonUnavailable, now)
	if n > logFull && len(rest) == 0 {
		return
	}
	logger := l.logger
	if logger == nil {
		logger = slog.Default()
	}
	for _, of := range rest {
		logger.LogAttrs(ctx, logLevel(of.Kind), l.more, slog.String("reason", string(of.Kind)),
			slog.Int64("count", of.Count), slog.Time("since", of.Since), l.name)
	}
	if n > logFull {
		return
	}
	all := append([]slog.Attr{slog.String("reason", string(e.Reason))}, attrs()...)
	all = append(all, slog.String("why", causeOf(e, secrets)), l.name)
	if n == logFull {
		all = append(all, slog.Time("only_counted_until", l.damper.End(now)))
	}
	logger.LogAttrs(ctx, logLevel(e.Reason), l.one, all...)
}

// logRefusal logs why a request was refused. user is nil if the token was not valid.
func (m *Middleware) logRefusal(r *http.Request, user *User, e *Error) {
	m.log.write(r.Context(), e, r.Header["Authorization"], func() []slog.Attr {
		attrs := []slog.Attr{
			slog.Int("status", e.StatusCode()), slog.String("method", clean(r.Method, maxShown)),
		}
		if r.Pattern != "" {
			attrs = append(attrs, slog.String("route", clean(r.Pattern, maxCause)))
		}
		if user != nil {
			attrs = append(attrs, slog.Any("user", user))
		}
		return attrs
	})
}

// logLevel returns Warn for a refusal that is an outage, and Info for all other refusals.
func logLevel(r Reason) slog.Level {
	if (&Error{Reason: r}).StatusCode() == http.StatusServiceUnavailable {
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

// causeOf returns the text of the cause of e. It removes the credentials of the request: a policy
// or TokenValidator of the service may have written them into its error.
func causeOf(e *Error, secrets []string) string {
	if e.Err == nil {
		return e.answer().description
	}
	return clean(withoutSecrets(e.Err.Error(), secrets), maxCause)
}

// maxSecrets is the largest number of words for which withoutSecrets searches a text. A token is
// one word. A client that sends many words wants to make the search expensive.
const maxSecrets = 16

// withoutSecrets replaces each word of the Authorization field lines in text.
func withoutSecrets(text string, lines []string) string {
	words := 0
	for _, line := range lines {
		for word := range strings.FieldsSeq(line) {
			if words++; words > maxSecrets {
				return text
			}
			if len(word) > len("Bearer") {
				text = strings.ReplaceAll(text, word, "[credentials]")
			}
		}
	}
	return text
}

// clean cuts s to length bytes and replaces unprintable characters, so that s is safe in a log.
func clean(s string, length int) string {
	if len(s) > length {
		s = s[:length] + "..."
	}
	return strings.Map(func(c rune) rune {
		if unicode.IsPrint(c) {
			return c
		}
		return '\uFFFD'
	}, s)
}

// newDamper returns the counter that limits the log records of each reason.
func newDamper() *loglimit.Counter[Reason] {
	return loglimit.NewCounter(logWindow, logFull, slices.Collect(maps.Keys(answers))...)
}
