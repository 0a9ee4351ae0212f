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

// logFull refusals for each reason are logged in full in each logWindow.
const (
	logWindow = time.Minute
	logFull   = 5
)

// maxCause bounds the cause of a refusal in the log, in bytes. The text of a policy may be long.
const maxCause = 1 << 10

// refusalLog logs why requests are refused. It counts refusals that follow many others with the same
// reason, and logs their number later.
type refusalLog struct {
	logger *slog.Logger // nil: slog.Default at the time of each record
	one    string       // the message about one refusal
	more   string       // the message about the counted refusals
	name   slog.Attr    // names the middleware or handler that refuses
	damper *loglimit.Counter[Reason]
}

// write logs a refusal, or counts it. secrets are credentials of the request, which no record may
// contain. write calls attrs only if it logs the refusal.
func (l *refusalLog) write(ctx context.Context, e *Error, secrets []string, attrs func() []slog.Attr) {
	if e.StatusCode() == http.StatusServiceUnavailable && errors.Is(ctx.Err(), context.Canceled) {
		return // the client is gone. That is no outage, and its record would take the place of one
	}
	now := time.Now()
	n, rest := l.damper.Add(e.Reason, ReasonUnavailable, now) // an unknown reason counts as the second
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

// logLevel returns Warn for an outage, and Info for a refusal that the client caused.
func logLevel(r Reason) slog.Level {
	if (&Error{Reason: r}).StatusCode() == http.StatusServiceUnavailable {
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

// causeOf returns the cause of a refusal, without the credentials of the request: a policy or a
// TokenValidator of the service may write them into its error.
func causeOf(e *Error, secrets []string) string {
	if e.Err == nil {
		return e.answer().description
	}
	return clean(withoutSecrets(e.Err.Error(), secrets), maxCause)
}

// maxSecrets bounds the number of words for which withoutSecrets searches. A token is one word. A
// client that sends many words wants to make the search expensive.
const maxSecrets = 16

// withoutSecrets replaces each word of the Authorization field in a text.
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

// clean cuts a text, and replaces the characters that are not printable.
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
