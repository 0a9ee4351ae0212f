// Package auditlog writes one log record for each decision about a request. The record says which
// user called which route, and whether the request was allowed. Operators keep audit logs for a
// long time, so a record has a keyed hash in place of the user's subject:
//
//	auth := xenaauth.NewMiddleware(v, &xenaauth.Options{Event: auditlog.New(logger, key)})
//
// The log of refusals ([xenaauth.Options].Logger) has another purpose: it helps to find mistakes.
// It says which value was wrong, and leaves out refusals if there are too many. The audit log has a
// record for each event, also for requests that are allowed. docs/operations.md describes the
// fields.
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

// minKey is the length of the shortest accepted key, in bytes. With a shorter key, an attacker
// could guess the key and then find out the subjects.
const minKey = 32

// New returns a function for [xenaauth.Options].Event. For each event, the function writes a record
// with the level Info to logger, unless logger leaves out this level. The record contains no token,
// no scope and no claim of the token except the issuer and the client. In place of the subject, it
// contains the result of SubjectHash.
//
// The function runs in the goroutine of the request, so the request waits for the logger. To use
// several functions for events, write a function that calls all of them.
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
			logger.LogAttrs(ctx, slog.LevelInfo, "xenaauth: request checked", recordFields(key, e)...)
		}
	}
}

// SubjectHash returns the value that the field sub_hash has in the records about a user:
// HMAC-SHA256 of the issuer, a zero byte and the subject, in lower-case hexadecimal. An operator
// who has the key can use SubjectHash to find the records of a user. Without the key, a reader of
// the log can't find out the user, not even by hashing all subjects.
func SubjectHash(key []byte, issuer, subject string) string {
	h := hmac.New(sha256.New, key)
	// In the hashed text, the zero byte separates the issuer from the subject. Neither of them
	// contains a control character, so two different pairs of issuer and subject never become the
	// same text.
	h.Write([]byte(issuer + "\x00" + subject))
	return hex.EncodeToString(h.Sum(nil))
}

// recordFields returns the fields of the audit record about the event e. The event describes the
// decision about one request.
func recordFields(key []byte, e xenaauth.Event) []slog.Attr {
	all := make([]slog.Attr, 0, 11)
	text := func(name, value string) {
		if value != "" {
			all = append(all, slog.String(name, cleanText(value)))
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
	// A service can write its own TokenValidator, which may return the zero User. This User has no
	// issuer and no subject, so the audit record has no hash in the field sub_hash.
	if e.Issuer != "" && e.User.Subject() != "" {
		text("sub_hash", SubjectHash(key, e.Issuer, e.User.Subject()))
	}
	all = append(all, slog.Duration("duration", e.Duration), slog.Duration("upstream", e.Upstream))
	if e.TokenInQuery {
		all = append(all, slog.Bool("token_in_query", true))
	}
	return all
}

// maxText is how many bytes of a text an audit record contains, at most. A client can choose some
// of these texts, for example a long HTTP method.
const maxText = 256

// cleanText makes s safe for an audit record: it shortens s to maxText bytes and adds "...", if s
// is longer, and replaces the characters that are not printable.
func cleanText(s string) string {
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
