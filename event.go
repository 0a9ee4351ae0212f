package xenaauth

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"github.com/xenaauth/xenaauth/internal/target"
)

// These constants say how the check of a request ended. Event.Outcome is one of them.
const (
	// OutcomeAllowed means that the request may pass, with a user.
	OutcomeAllowed = "allowed"
	// OutcomeAnonymous means that the request may pass, without a user: the route is optional or
	// public.
	OutcomeAnonymous = "anonymous"
	// OutcomeRefused means that the response is 400, 401 or 403.
	OutcomeRefused = "refused"
	// OutcomeUnavailable means that the response is 503: the token can't be checked now.
	OutcomeUnavailable = "unavailable"
)

// These constants say how a token was checked. Event.Source is one of them.
const (
	// SourceJWT means that the signature of the JWT was verified for this request.
	SourceJWT = "jwt"
	// SourceIntrospection means that the token was introspected for this request, or that
	// [Introspection.Cache] contained the introspection response. Requests with the same token at
	// the same time share one introspection call.
	SourceIntrospection = "introspection"
	// SourceCache means that the token was checked for an earlier request, and that the result was
	// in a cache of the Validator. It also means that an earlier guard of this request checked the
	// token.
	SourceCache = "cache"
)

// Event says how the check of a request ended.
//
// A [Middleware] reports one event for each request, also if several of its guards check the
// request: the first guard reports the outcome, and a later guard that allows the request too
// reports nothing. But if a later guard refuses the request, it reports a second event, with the
// refusal. Each call of [Middleware.CheckPublic] for a request without a user reports an event.
type Event struct {
	// Outcome is OutcomeAllowed, OutcomeAnonymous, OutcomeRefused or OutcomeUnavailable.
	Outcome string
	// User is the user of the valid token. It is nil for a request without a valid token. If a
	// proof of possession is missing or wrong, the sender may have stolen the token of the User.
	User *User
	// Err is the refusal. It is nil if the request may pass.
	Err *Error
	// Method is the method of the HTTP request. A client may send any text.
	Method string
	// Route is the pattern of the route: [http.Request.Pattern]. It is "" if the pattern is not
	// known, for example to a guard that runs before the router.
	Route string
	// Issuer and ClientID are the issuer and the client of the valid token. Without a valid token
	// they are "".
	Issuer, ClientID string
	// Source says how the token was checked: SourceJWT, SourceIntrospection or SourceCache. It is
	// "" without a valid token, and for a [TokenValidator] of your own.
	Source string
	// Duration is how long the check of the request took, without the handler. Upstream is the part
	// of Duration for which the request waited for the issuer. Both are 0 for
	// [Middleware.CheckPublic] and [Middleware.Refuse].
	Duration, Upstream time.Duration
	// TokenInQuery reports whether the query has a parameter access_token. The middleware does not
	// accept a token there: RFC 6750, section 2.3, allows it, but OAuth 2.1 does not. TokenInQuery
	// helps to find clients that send one. TokenInQuery is also true if the API itself has a
	// parameter with the name access_token.
	TokenInQuery bool
}

// IssuerCall is one call to the issuer. [Config.IssuerCall] receives it. If the call is sent again
// after 0.9 seconds, as [Config.HTTPClient] describes, all attempts together are one IssuerCall.
type IssuerCall struct {
	// Document is what was requested: "metadata", "jwks" or "introspection".
	Document string
	// Duration is the time until the response was read completely, or until the call failed.
	Duration time.Duration
	// Status is the HTTP status of the response from the issuer. It is 0 if the Validator read no
	// response completely.
	Status int
	// Err says why no response was read completely, for example because it is too long. Its text
	// contains no URL, address or secret.
	Err error
	// Waited is how many requests waited for the call when the call ended. These requests share the
	// result of the call. Waited is 0 for a call in the background.
	Waited int
}

// Middleware.report calls the hook Options.Event after the check of a request. If err is nil, the
// request was allowed. t is nil if the check was not traced.
func (m *Middleware) report(r *http.Request, user *User, err error, t *trace) {
	if m.opts.Event == nil {
		return
	}
	e := Event{
		Outcome: OutcomeAllowed, User: user, Method: r.Method, Route: r.Pattern,
		TokenInQuery: hasQueryToken(r.URL),
	}
	switch {
	case err != nil:
		// The hook Options.Event gets a copy of the refusal, because the hook may change what it
		// gets.
		refusalCopy := *asError(err)
		refusalCopy.Scopes, refusalCopy.Params = slices.Clone(refusalCopy.Scopes), maps.Clone(refusalCopy.Params)
		e.Err = &refusalCopy
		e.Outcome = OutcomeRefused
		if e.Err.StatusCode() == http.StatusServiceUnavailable {
			e.Outcome = OutcomeUnavailable
		}
	case user == nil:
		e.Outcome = OutcomeAnonymous
	}
	// A TokenValidator that the service has written may return the zero User, which has no claims.
	if user != nil && user.set != nil {
		e.Issuer, e.ClientID = user.Issuer(), user.ClientID()
	}
	if t != nil {
		e.Duration, e.Upstream = time.Since(t.start), time.Duration(t.upstream.Load())
		if user != nil {
			e.Source = eventSources[t.source.Load()]
		}
		if e.Source == "" && user != nil && m.innerValidator != nil {
			e.Source = SourceCache
		}
	}
	m.opts.Event(r.Context(), e)
}

// trace records how one request is checked, for its Event. A TokenValidator of the service may call
// a Validator in other goroutines, so the fields are atomic. If the Validator finds the token in
// its small, fast table of tokens in use, it writes nothing to the trace, so that this check is as
// fast as without a trace.
type trace struct {
	start time.Time
	// source says how the token was checked, as an index of the list eventSources. It is 0 if the
	// token was neither verified nor introspected for this request.
	source atomic.Uint32
	// upstream is the time for which the request waited for the issuer, as a time.Duration
	upstream atomic.Int64
}

// eventSources contains the values of Event.Source that a trace can record. A trace stores the
// index of the value in this list.
var eventSources = [...]string{"", SourceJWT, SourceIntrospection}

// The constants fromJWT and fromIntrospection are the indexes of SourceJWT and SourceIntrospection
// in the list eventSources.
const (
	fromJWT           = 1
	fromIntrospection = 2
)

// newTrace returns a new trace. It returns nil if Options.Event is nil, because nobody would read
// the trace.
func (m *Middleware) newTrace() *trace {
	if m.opts.Event == nil {
		return nil
	}
	return &trace{start: time.Now()}
}

type tokenKey struct{}

// tokenContext is the context that a middleware passes to a TokenValidator. It contains the token
// that the middleware checks. Functions of the service, for example Config.Subject, must not find
// this tokenContext. So callerContext removes it from the context of such a function. If the
// tokenContext is deep inside the context and can't be removed, callerContext hides it behind a
// second tokenContext, whose token is "".
type tokenContext struct {
	context.Context
	token string // token is the token that the middleware checks
	trace *trace // trace is the record of this check; it is nil if Options.Event is nil
	// checksProofs means that the middleware will check proofs of possession after the
	// TokenValidator has returned the user.
	checksProofs bool
}

func (c *tokenContext) Value(key any) any {
	if _, ok := key.(tokenKey); ok {
		return c
	}
	return c.Context.Value(key)
}

// String returns the text that fmt prints for a tokenContext. The text does not contain the token.
func (c *tokenContext) String() string { return fmt.Sprintf("%v of a token check", c.Context) }

// GoString returns the same text as String, so that %#v shows no token.
func (c *tokenContext) GoString() string { return c.String() }

// newTokenContext returns the context that the middleware m passes to its TokenValidator. It
// returns ctx itself if m has neither a listener for events nor proofs of possession: in this case
// the validator does not need to know that a middleware calls it.
func (m *Middleware) newTokenContext(ctx context.Context, token string, t *trace) context.Context {
	if t == nil && m.proofs == nil {
		return ctx
	}
	return &tokenContext{ctx, token, t, m.proofs != nil}
}

// traceOf returns the trace in the context ctx of a token check. It returns nil if there is none,
// for example because Options.Event is nil. All methods of *trace accept a nil pointer.
func traceOf(ctx context.Context) *trace {
	if c, ok := ctx.Value(tokenKey{}).(*tokenContext); ok {
		return c.trace
	}
	return nil
}

// willCheckProofs reports whether the middleware that checks a token will also check its proofs of
// possession. Only then may a Validator accept a token that is bound to a key. The parameter token
// is the token that a Validator got. If the middleware checks another token, the result is false.
// This happens if code of the service passes the context of a check to a Validator together with a
// token of its own.
func willCheckProofs(ctx context.Context, token string) bool {
	c, ok := ctx.Value(tokenKey{}).(*tokenContext)
	return ok && c.checksProofs && c.token == token
}

// callerContext returns ctx without the tokenContext that a middleware put there for the Validator.
// Functions of the service, for example Config.Subject, get this context. If such a function calls
// a Validator with this context, the Validator refuses tokens that are bound to a key, because
// nobody would check their proof.
func callerContext(ctx context.Context) context.Context {
	if c, ok := ctx.(*tokenContext); ok {
		ctx = c.Context
	}
	if c, ok := ctx.Value(tokenKey{}).(*tokenContext); ok && c.token != "" {
		return &tokenContext{Context: ctx}
	}
	return ctx
}

// trace.setSource records in a trace how the token was checked. If t is nil, setSource does
// nothing.
func (t *trace) setSource(source uint32) {
	if t != nil {
		t.source.Store(source)
	}
}

// minWait is the shortest time that counts as a wait for the issuer. Reading a key that is already
// in memory takes less time.
const minWait = 20 * time.Microsecond

// startWait begins to measure how long a request waits for the issuer. It returns the function
// endWait, which the caller calls when the wait is over. If t is nil, endWait does nothing.
func (t *trace) startWait() (endWait func()) {
	if t == nil {
		return func() {}
	}
	start := time.Now()
	return func() {
		if d := time.Since(start); d > minWait {
			t.upstream.Add(int64(d))
		}
	}
}

// hasQueryToken reports whether the query of the URL u has a parameter access_token. If u is nil,
// the result is false.
func hasQueryToken(u *url.URL) bool { return u != nil && target.QueryHas(u.RawQuery, "access_token") }
