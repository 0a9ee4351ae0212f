package xenaauth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/xenaauth/xenaauth/internal/loglimit"
)

// If many requests are refused for the same reason, only the first of these refusals get a log
// record of their own: maxFullRecords refusals in each period of length logWindow. The other
// refusals are counted.
const (
	logWindow      = time.Minute
	maxFullRecords = 5
)

// maxCause limits how many bytes of the cause of a refusal are logged. The cause may be the error
// of a policy, which may be long.
const maxCause = 1 << 10

// refusalLog logs why requests are refused. If many requests are refused for the same reason, it
// only counts most of them, and logs their number later.
type refusalLog struct {
	logger        *slog.Logger // if logger is nil, slog.Default is used at the time of each record
	singleMessage string       // singleMessage is the message of a record about a single refusal
	// countMessage is the message of a record that says how many refusals got no record of their
	// own
	countMessage string
	nameAttr     slog.Attr // nameAttr says which middleware or handler refuses requests
	damper       *loglimit.Counter[Reason]
}

// refusalLog.write logs a refusal, or only counts it. It ignores a refusal with 503 if the client
// has canceled the request. secrets are the lines of the request's Authorization field; no record
// contains these credentials. attrs returns further attributes; it is called only if the refusal is
// logged.
func (l *refusalLog) write(ctx context.Context, e *Error, secrets []string, attrs func() []slog.Attr) {
	if errors.Is(ctx.Err(), context.Canceled) && e.StatusCode() == http.StatusServiceUnavailable {
		// The client has canceled the request. This refusal does not show an outage. So it must not
		// take one of the few log records about outages.
		return
	}
	now := time.Now()
	// A refusal with an unknown reason is counted together with ReasonUnavailable.
	n, rest := l.damper.Add(e.Reason, ReasonUnavailable, now)
	if n > maxFullRecords && len(rest) == 0 {
		return
	}
	logger := l.logger
	if logger == nil {
		logger = slog.Default()
	}
	for _, of := range rest {
		logger.LogAttrs(ctx, logLevel(of.Kind), l.countMessage, slog.String("reason", string(of.Kind)),
			slog.Int64("count", of.Count), slog.Time("since", of.WindowStart), l.nameAttr)
	}
	if n > maxFullRecords {
		return
	}
	all := append([]slog.Attr{slog.String("reason", string(e.Reason))}, attrs()...)
	all = append(all, slog.String("why", causeOf(e, secrets)), l.nameAttr)
	if n == maxFullRecords {
		all = append(all, slog.Time("only_counted_until", l.damper.End(now)))
	}
	logger.LogAttrs(ctx, logLevel(e.Reason), l.singleMessage, all...)
}

// logRefusal logs why a request was refused. user is nil if the token was not valid.
func (m *Middleware) logRefusal(r *http.Request, user *User, e *Error) {
	m.log.write(r.Context(), e, r.Header["Authorization"], func() []slog.Attr {
		attrs := []slog.Attr{
			slog.Int("status", e.StatusCode()), slog.String("method", cleanForLog(r.Method, maxValueLength)),
		}
		if r.Pattern != "" {
			attrs = append(attrs, slog.String("route", cleanForLog(r.Pattern, maxCause)))
		}
		if e.policyName != "" {
			// A service may write a part of the request into the name of a policy. So the name may
			// contain the token, which must not be logged.
			name := withoutSecrets(e.policyName, r.Header["Authorization"])
			attrs = append(attrs, slog.String("policy", cleanForLog(name, maxValueLength)))
		}
		noRoute := r.Pattern == "" || e.Reason == ReasonNoRule || e.Reason == ReasonAmbiguousTarget
		if noRoute && r.URL != nil {
			attrs = append(attrs, slog.String("path", pathForLog(r.URL, r.Header["Authorization"])))
		}
		switch {
		case user != nil && user.set != nil:
			// the zero User, which a TokenValidator of the service may return, is not logged
			attrs = append(attrs, slog.String("issuer", cleanForLog(user.Issuer(), maxCause)),
				slog.String("client_id", cleanForLog(user.ClientID(), maxValueLength)))
			if sub := user.Subject(); sub != "" {
				attrs = append(attrs, slog.String("sub", cleanForLog(sub, maxValueLength)))
			}
		case m.innerValidator != nil && concernsToken(e.Reason):
			attrs = append(attrs, slog.String("issuer", m.innerValidator.issuerName()))
		}
		return attrs
	})
}

// concernsToken reports whether the reason of a refusal concerns the token. Other reasons concern
// the request alone.
func concernsToken(reason Reason) bool {
	switch reason {
	case ReasonMissingToken, ReasonMalformedRequest, ReasonNoRule, ReasonAmbiguousTarget:
		return false
	}
	return true
}

// These constants limit how much of a path is logged, in bytes. A long word of a path may be a
// credential, for example in a link that a user got by mail. So only the start of a long word is
// logged.
const (
	maxPath = 256
	// maxPathRead is how many bytes of a path are read: a client may send a very long path
	maxPathRead  = 1024
	maxWord      = 40 // maxWord is a little more than the length of a UUID, which has 36 characters
	maxWordStart = 16
)

// pathForLog returns the path of a URL for the log, without the secrets. A word of a path is a run
// of letters, digits, "-" and "_", so each segment of a JWT is a word. Long words are cut, and a
// long path is cut too.
func pathForLog(u *url.URL, secrets []string) string {
	short := url.URL{
		Path: u.Path[:min(len(u.Path), maxPathRead)], RawPath: u.RawPath[:min(len(u.RawPath), maxPathRead)],
	}
	path := withoutSecrets(short.EscapedPath(), secrets)
	var b strings.Builder
	for path != "" && b.Len() <= maxPath {
		n := strings.IndexFunc(path, func(c rune) bool {
			return c != '-' && c != '_' && !unicode.IsLetter(c) && !unicode.IsDigit(c)
		})
		switch {
		case n < 0:
			n = len(path)
		case n == 0:
			n = 1
		}
		if n > maxWord {
			b.WriteString(path[:maxWordStart] + "...")
		} else {
			b.WriteString(path[:n])
		}
		path = path[n:]
	}
	return cleanForLog(b.String(), maxPath)
}

// logPanic logs a panic in code of the service, without its value, which could contain a secret.
func (m *Middleware) logPanic(ctx context.Context, text string, value any) {
	logger := m.opts.Logger
	if logger == nil {
		logger = slog.Default()
	}
	logger.ErrorContext(ctx, text,
		"type", fmt.Sprintf("%T", value), "stack", string(debug.Stack()), m.log.nameAttr)
}

// logLevel returns Warn for a refusal with status 503. It returns Debug for a refusal that asks the
// client for a nonce, because such refusals are a part of normal operation. It returns Info for all
// other refusals.
func logLevel(r Reason) slog.Level {
	if r == ReasonProofNonce {
		return slog.LevelDebug
	}
	if (&Error{Reason: r}).StatusCode() == http.StatusServiceUnavailable {
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

// causeOf returns the cause of the refusal e as text for the log. It removes the credentials of the
// request: a policy or TokenValidator of the service may have written the credentials into its
// error.
func causeOf(e *Error, secrets []string) string {
	if e.Err == nil {
		return e.lookUpResponse().description
	}
	return cleanForLog(withoutSecrets(e.Err.Error(), secrets), maxCause)
}

// maxSecrets is the largest number of words of the Authorization field that withoutSecrets
// replaces. Usually this field has two words: the scheme and the token. Without this limit, a
// client could send many words, and searching for all of them would be expensive.
const maxSecrets = 16

// withoutSecrets returns text with "[credentials]" in place of each word that the Authorization
// field contains. lines are the lines of this field. Words that are not longer than "Bearer" stay.
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

// cleanForLog cuts s to length bytes and replaces unprintable characters, so that s is safe in a
// log.
func cleanForLog(s string, length int) string {
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

// newDamper returns the counter of a refusalLog. It limits how many log records each reason gets.
func newDamper() *loglimit.Counter[Reason] {
	return loglimit.NewCounter(logWindow, maxFullRecords, slices.Collect(maps.Keys(reasonResponses))...)
}
