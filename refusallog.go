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

// Of each reason, this many refusals a minute are logged in full.
const (
	logWindow = time.Minute
	logFull   = 5
)

// maxCause bounds the text of why a request was refused, in bytes: a policy's may be of any length.
const maxCause = 1 << 10

// refusalLog logs why requests are refused, unless many are for the same reason.
type refusalLog struct {
	logger *slog.Logger // nil: the default one, as it is at the time
	one    string       // the message about one refusal
	more   string       // the message about those that were only counted
	name   slog.Attr    // what it is that refuses
	damper *loglimit.Counter[Reason]
}

// tell logs a refusal. secrets are credentials of the request, which no line may hold. attrs is called if there is a line.
func (l *refusalLog) tell(ctx context.Context, e *Error, secrets []string, attrs func() []slog.Attr) {
	if e.StatusCode() == http.StatusServiceUnavailable && errors.Is(ctx.Err(), context.Canceled) {
		return // the client is gone: that is no outage, and would use up the lines about one
	}
	now := time.Now()
	n, rest := l.damper.Add(e.Reason, ReasonUnavailable, now) // unknown reasons are answered like the latter
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

// logRefusal logs why a request was refused. The user is nil if there is no valid token.
func (m *Middleware) logRefusal(r *http.Request, user *User, e *Error) {
	m.log.tell(r.Context(), e, r.Header["Authorization"], func() []slog.Attr {
		attrs := []slog.Attr{slog.Int("status", e.StatusCode()), slog.String("method", clean(r.Method, maxShown))}
		if r.Pattern != "" {
			attrs = append(attrs, slog.String("route", clean(r.Pattern, maxCause)))
		}
		if user != nil {
			attrs = append(attrs, slog.Any("user", user))
		}
		return attrs
	})
}

// logLevel returns Warn for refusals that are no fault of the client.
func logLevel(r Reason) slog.Level {
	if (&Error{Reason: r}).StatusCode() == http.StatusServiceUnavailable {
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

// causeOf is why a request was refused, without the credentials that it brought: the text may be that of a policy or a
// TokenValidator of somebody else's.
func causeOf(e *Error, secrets []string) string {
	if e.Err == nil {
		return e.answer().description
	}
	return clean(withoutSecrets(e.Err.Error(), secrets), maxCause)
}

// maxSecrets bounds how many words of the credentials are looked for in a text. A token is one word, and more words than
// these come from a client that makes the search expensive.
const maxSecrets = 16

// withoutSecrets replaces each word of the lines in a text.
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

// clean cuts a text and replaces what is no printable character in it.
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

// newDamper returns the counter that bounds the number of log records for each reason.
func newDamper() *loglimit.Counter[Reason] {
	return loglimit.NewCounter(logWindow, logFull, slices.Collect(maps.Keys(answers))...)
}
