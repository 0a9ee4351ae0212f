// Package auditlog writes one record for each decision about a request: who called which route, and
// whether the request was allowed. It is for logs that are kept, so it has a keyed hash in place of
// the subject:
//
//	auth := xenaauth.NewMiddleware(v, &xenaauth.Options{Event: auditlog.New(logger, key)})
//
// The log of refusals ([xenaauth.Options].Logger) is something else: it helps to find mistakes, says
// which value was wrong, and leaves out refusals in a flood. The audit log has a record for each
// event, also for requests that are allowed. docs/operations.md describes the fields.
package auditlog

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"slices"
	"strings"
	"unicode"

	"github.com/xenaauth/xenaauth"
)

// minKey is the shortest key, in bytes. A shorter key could be guessed, and then the subjects too.
const minKey = 32

// New returns a function for [xenaauth.Options].Event. For each event it writes a record with the
// level Info to logger. The record has no token, no scope and no claim of the token except the issuer
// and the client. Instead of the subject it has SubjectHash.
//
// The function runs in the goroutine of the request, which waits for the logger. To use several
// functions for events, write one that calls them.
//
// New panics if logger is nil, or if key has less than 32 bytes.
func New(logger *slog.Logger, key []byte) func(context.Context, xenaauth.Event) {
	if logger == nil {
		panic("auditlog: nil Logger")
	}
	if len(key) < minKey {
		panic("auditlog: the key has less than 32 bytes")
	}
	key = slices.Clone(key)
	return func(ctx context.Context, e xenaauth.Event) {
		if logger.Enabled(ctx, slog.LevelInfo) {
			logger.LogAttrs(ctx, slog.LevelInfo, "xenaauth: request checked", attrs(key, e)...)
		}
	}
}

// SubjectHash returns the field sub_hash of the records about a user: HMAC-SHA256 of the issuer, a
// zero byte and the subject, in lower-case hexadecimal. With the key, it finds the records of a user.
// Without the key, no trial of subjects can find out which user a hash stands for.
func SubjectHash(key []byte, issuer, subject string) string {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(issuer + "\x00" + subject)) // neither contains a control character
	return hex.EncodeToString(h.Sum(nil))
}

// attrs returns the fields of an event.
func attrs(key []byte, e xenaauth.Event) []slog.Attr {
	all := make([]slog.Attr, 0, 11)
	text := func(name, value string) {
		if value != "" {
			all = append(all, slog.String(name, clean(value)))
		}
	}
	text("outcome", e.Outcome)
	if e.Err != nil {
		text("reason", string(e.Err.Reason))
		all = append(all, slog.Int("status", e.Err.StatusCode()))
	}
	text("method", e.Method)
	text("route", e.Route)
	text("source", e.Source)
	text("issuer", e.Issuer)
	text("client_id", e.ClientID)
	if e.Issuer != "" && e.User.Subject() != "" { // the zero User has no issuer, and its User is not nil
		text("sub_hash", SubjectHash(key, e.Issuer, e.User.Subject()))
	}
	all = append(all, slog.Duration("duration", e.Duration), slog.Duration("upstream", e.Upstream))
	if e.TokenInQuery {
		all = append(all, slog.Bool("token_in_query", true))
	}
	return all
}

// maxText bounds a field, in bytes. A client may send a long method.
const maxText = 256

// clean cuts a text, and replaces the characters that are not printable.
func clean(s string) string {
	if len(s) > maxText {
		s = s[:maxText] + "..."
	}
	return strings.Map(func(c rune) rune {
		if unicode.IsPrint(c) {
			return c
		}
		return unicode.ReplacementChar
	}, s)
}
