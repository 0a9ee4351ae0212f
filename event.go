package xenaauth

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/xenaauth/xenaauth/internal/target"
)

// The outcomes of the check of a request: see [Event].
const (
	OutcomeAllowed     = "allowed"     // the request may pass, with a user
	OutcomeAnonymous   = "anonymous"   // the request may pass, without a user: the route is optional or public
	OutcomeRefused     = "refused"     // the response is 400, 401 or 403
	OutcomeUnavailable = "unavailable" // the response is 503: the token can't be checked now
)

// The sources of what is known about a token: see [Event].
const (
	SourceJWT           = "jwt"           // the signature was verified for this request
	SourceIntrospection = "introspection" // the issuer was asked for this request
	SourceCache         = "cache"         // the token was checked for an earlier request
)

// Event is the outcome of the check of a request.
//
// There is one event for each request that passes a [Middleware], also if several of its guards
// check the request: a later guard that lets the request pass again adds no event. A later guard
// that refuses the request adds an event with the refusal.
type Event struct {
	// Outcome is OutcomeAllowed, OutcomeAnonymous, OutcomeRefused or OutcomeUnavailable.
	Outcome string
	// User is the user of the valid token. It is nil for a request without a valid token.
	User *User
	// Err is the refusal. It is nil if the request may pass.
	Err *Error
	// Route is the pattern of the route, or "" if it is not known: [http.Request.Pattern]. A guard
	// that runs before the router does not know it.
	Route string
	// Issuer and ClientID are those of the valid token, or "".
	Issuer, ClientID string
	// Source is how the token was checked: SourceJWT, SourceIntrospection or SourceCache. It is ""
	// if there is no valid token, or if a [TokenValidator] of your own does not tell.
	Source string
	// Duration is how long the check took, without the handler. Upstream is the part of it in which
	// the request waited for the issuer.
	Duration, Upstream time.Duration
	// TokenInQuery reports whether the query contains access_token. It is never read as a token (RFC
	// 6750, section 2.3, lets clients send it; OAuth 2.1 does not). An API may have a parameter of
	// that name.
	TokenInQuery bool
}

// IssuerCall is one HTTP request to the issuer: see [Config.IssuerCall].
type IssuerCall struct {
	// Document is "metadata", "jwks" or "introspection".
	Document string
	// Duration is the time until the response was read, or the call failed.
	Duration time.Duration
	// Status is the HTTP status, or 0 without a response.
	Status int
	// Err says why there is no response. It contains no URL, address or secret.
	Err error
}

// report tells Options.Event the outcome of a check. err is nil if the request may pass. t may be nil.
func (m *Middleware) report(r *http.Request, user *User, err error, t *trace) {
	if m.opts.Event == nil {
		return
	}
	e := Event{Outcome: OutcomeAllowed, User: user, Route: r.Pattern, TokenInQuery: hasQueryToken(r.URL)}
	switch {
	case err != nil:
		e.Err = asError(err)
		e.Outcome = OutcomeRefused
		if e.Err.StatusCode() == http.StatusServiceUnavailable {
			e.Outcome = OutcomeUnavailable
		}
	case user == nil:
		e.Outcome = OutcomeAnonymous
	}
	if user != nil && user.set != nil { // not the zero User, which another validator may return
		e.Issuer, e.ClientID = user.Issuer(), user.ClientID()
	}
	if t != nil {
		e.Duration, e.Upstream, e.Source = time.Since(t.start), t.upstream, t.source
		if e.Source == "" && user != nil && m.inner != nil {
			e.Source = SourceCache
		}
	}
	m.opts.Event(r.Context(), e)
}

// trace is what an Event tells about the check of one request. The goroutine of the request writes
// it, and no other. Most checks write nothing: a token in use costs no more with a trace.
type trace struct {
	start    time.Time
	source   string        // "" if the token half did not look at the token itself
	upstream time.Duration // the time in which the request waited for the issuer
}

// newTrace returns a trace, or nil if there is no listener.
func (m *Middleware) newTrace() *trace {
	if m.opts.Event == nil {
		return nil
	}
	return &trace{start: time.Now()}
}

type tokenKey struct{}

// tokenContext is the context in which a middleware calls a TokenValidator.
type tokenContext struct {
	context.Context
	trace  *trace // nil without a listener
	proofs bool   // the middleware checks proofs of possession after the call
}

func (c *tokenContext) Value(key any) any {
	if _, ok := key.(tokenKey); ok {
		return c
	}
	return c.Context.Value(key)
}

// tokenContext returns the context for a TokenValidator. It is that of the request if the validator
// has nothing to know.
func (m *Middleware) tokenContext(ctx context.Context, t *trace) context.Context {
	if t == nil && m.proofs == nil {
		return ctx
	}
	return &tokenContext{ctx, t, m.proofs != nil}
}

// traceOf returns the trace of a check, or nil if there is no listener.
func traceOf(ctx context.Context) *trace {
	if c, ok := ctx.Value(tokenKey{}).(*tokenContext); ok {
		return c.trace
	}
	return nil
}

// checksProofs reports whether the caller of a TokenValidator checks proofs of possession: then a
// token may be bound to a key.
func checksProofs(ctx context.Context) bool {
	c, ok := ctx.Value(tokenKey{}).(*tokenContext)
	return ok && c.proofs
}

// callerContext returns the context that the middleware made a tokenContext of, for functions of the
// service: a Validator that they call must not accept a bound token.
func callerContext(ctx context.Context) context.Context {
	if c, ok := ctx.(*tokenContext); ok {
		return c.Context
	}
	return ctx
}

// from notes how the token was checked. t may be nil.
func (t *trace) from(source string) {
	if t != nil {
		t.source = source
	}
}

// leastWait is the shortest wait for the issuer. A look at keys that are there is no wait.
const leastWait = 20 * time.Microsecond

// waiting begins a wait for the issuer, and ends it with the function that it returns. t may be nil.
func (t *trace) waiting() (end func()) {
	if t == nil {
		return func() {}
	}
	start := time.Now()
	return func() {
		if d := time.Since(start); d > leastWait {
			t.upstream += d
		}
	}
}

// hasQueryToken reports whether the query has a parameter access_token.
func hasQueryToken(u *url.URL) bool { return u != nil && target.QueryHas(u.RawQuery, "access_token") }
