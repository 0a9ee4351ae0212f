package xenaauth

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/xenaauth/xenaauth/internal/bearer"
)

// Deny writes the response to a request that [Middleware.Check] refused. It sets the same header
// fields as Challenge, and then writes problem details (RFC 9457) or the body that [Options]
// configure. The response to a HEAD request has no body.
func (m *Middleware) Deny(w http.ResponseWriter, r *http.Request, err error) {
	e := m.withProblemTypes(asError(err))
	text := m.renderRefusal(r, e)
	status := text.status
	h := w.Header()
	for _, name := range [...]string{"Content-Length", "Etag", "Last-Modified"} {
		// An outer handler may have set Content-Length, ETag or Last-Modified for a body of its
		// own. These fields would be wrong for the body of the refusal. Content-Encoding is not
		// deleted, because the handler that set it also encodes the body that Deny writes.
		delete(h, name)
	}
	fieldValues := make([]string, 5)
	fieldsAreSet := false
	// The method Respond of a Proof may end this goroutine. Without this deferred call, the status
	// would then be 200.
	defer func() {
		if !fieldsAreSet {
			w.WriteHeader(status)
		}
	}()
	m.setRefusalHeader(h, r, e, text, fieldValues)
	fieldsAreSet = true
	switch {
	case r.Method == http.MethodHead || m.opts.EmptyBody:
		w.WriteHeader(status)
	case m.opts.ErrorBody != nil:
		b := newBodyWriter(w, status)
		// WriteHeader is called in a deferred function, because the hook ErrorBody may panic or
		// write nothing. Without this call, the status would then be 200.
		defer b.WriteHeader(status)
		m.opts.ErrorBody(b, r, e)
	default:
		fieldValues[3], fieldValues[4] = "application/problem+json", "nosniff"
		h["Content-Type"], h["X-Content-Type-Options"] = fieldValues[3:4:4], fieldValues[4:5:5]
		w.WriteHeader(status)
		// an error of Write means that the client has closed the connection
		_, _ = w.Write(text.body)
	}
}

// Middleware.withProblemTypes returns the refusal e with Options.ProblemTypes in its field
// problemTypes. If e has another value there, it returns a copy of e, because a TokenValidator may
// return the same *Error many times.
func (m *Middleware) withProblemTypes(e *Error) *Error {
	if e.problemTypes == m.opts.ProblemTypes {
		return e
	}
	refusalCopy := *e
	refusalCopy.problemTypes = m.opts.ProblemTypes
	return &refusalCopy
}

// isProblemTypes reports whether text is allowed as Options.ProblemTypes.
func isProblemTypes(text string) bool {
	if text == "" {
		return true
	}
	u, err := url.Parse(text + string(ReasonExpired))
	return err == nil && u.IsAbs() && bearer.IsParamText(text) && !strings.Contains(text, " ")
}

// withScopes returns a copy of the refusal err that also says what the route requires of a token:
// its scopes, and whether the token must be bound to a key. It makes a copy, because a
// TokenValidator may return the same *Error many times.
func withScopes(err error, rs []Requirement, u *User) error {
	refusalCopy := *asError(err)
	scopeHelps := refusalCopy.Reason != ReasonUnavailable && refusalCopy.Reason != ReasonForbidden
	if refusalCopy.Scopes == nil && scopeHelps && len(rs) > 0 {
		if asked := requestAll(rs, u); u == nil || asked.missingCount > 0 {
			refusalCopy.Scopes = asked.scopes
		}
	}
	if refusalCopy.Reason == ReasonInsufficientScope && refusalCopy.Err == nil && u != nil {
		refusalCopy.Err = &missingScope{u.parties.Scopes, refusalCopy.Scopes}
	}
	refusalCopy.boundOnly = refusalCopy.boundOnly || needsProof(rs)
	// Scopes and Params of the refusal are copies, because the hooks Options.Event and
	// Options.ErrorBody may change what they get.
	refusalCopy.Scopes = slices.Clone(refusalCopy.Scopes)
	refusalCopy.Params = maps.Clone(refusalCopy.Params)
	return &refusalCopy
}

// errUndecided is the refusal of a request whose check panicked.
var errUndecided = refuse(ReasonUnavailable, errors.New("the check of the request panicked"))

// answerUndecided sends status 503 if the check of a request panicked. Guards call answerUndecided
// in a deferred function. If other middleware recovered from the panic and wrote nothing, the
// status would be 200. A proxy that asks the service whether a request is allowed would take 200
// for yes. answerUndecided writes no body, so that the other middleware can write one. It calls no
// Proof, because a Proof may have caused the panic.
func (m *Middleware) answerUndecided(w http.ResponseWriter, decided *bool) {
	if !*decided {
		w.WriteHeader(m.Challenge(w.Header(), nil, errUndecided))
	}
}

// bodyWriter is the ResponseWriter that Options.ErrorBody gets. It lets the hook write the body,
// but keeps the status and the fields in fixedFields. It has no Unwrap method, because the hook
// could set another status through it.
type bodyWriter struct {
	w             http.ResponseWriter
	status        int
	headerWritten bool
	fixedValues   http.Header
}

// fixedFields are the header fields that the hook Options.ErrorBody can't change.
var fixedFields = []string{"Www-Authenticate", "Retry-After", "Cache-Control"}

func newBodyWriter(w http.ResponseWriter, status int) *bodyWriter {
	b := &bodyWriter{w: w, status: status, fixedValues: make(http.Header)}
	for _, name := range fixedFields {
		b.fixedValues[name] = append([]string(nil), w.Header()[name]...)
	}
	return b
}

func (b *bodyWriter) Header() http.Header { return b.w.Header() }

// WriteHeader sends the status of the refusal. It ignores the status that the hook
// Options.ErrorBody passes.
func (b *bodyWriter) WriteHeader(int) {
	if b.headerWritten {
		return
	}
	b.headerWritten = true
	for name, values := range b.fixedValues {
		if len(values) == 0 {
			b.w.Header().Del(name)
			continue
		}
		b.w.Header()[name] = values
	}
	b.w.WriteHeader(b.status)
}

func (b *bodyWriter) Write(p []byte) (int, error) {
	b.WriteHeader(b.status)
	return b.w.Write(p)
}

// Flush sends the part of the body that was written so far. If the server does not support this,
// Flush does nothing.
func (b *bodyWriter) Flush() {
	b.WriteHeader(b.status)
	if f, ok := b.w.(http.Flusher); ok {
		f.Flush()
	}
}
