package xenaauth

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/xenaauth/xenaauth/internal/bearer"
)

// Options configure a [Middleware]. The zero value and a nil pointer mean the defaults.
type Options struct {
	// Realm is the realm in challenges (RFC 9110, section 11.5). "" is "xena".
	Realm string
	// ResourceMetadata is the URL of the protected resource metadata, sent in challenges (RFC 9728,
	// section 5.1). If "", challenges have no resource_metadata.
	ResourceMetadata string
	// MaxTokenLength is the largest length of a token, in bytes. It is checked before the token is
	// read. 0 is 16 KiB. [Config] and [Introspection] have bounds of their own, which apply as
	// well.
	MaxTokenLength int
	// EmptyBody sends refusals without a body. The default body is problem details (RFC 9457).
	EmptyBody bool
	// ErrorBody writes the body of a refusal in place of the problem details. Status, challenge and
	// Retry-After are set before the call, and ErrorBody can't change them. Other header fields
	// that it sets are sent too. It is not called for HEAD.
	ErrorBody func(http.ResponseWriter, *http.Request, *Error)
	// Proofs are the proofs of possession that this middleware checks. Without them it refuses every
	// token that is bound to a key by its claim cnf (RFC 7800). With them it accepts a token that is
	// bound, if each member of cnf that it knows is confirmed for the request; jkt and x5t#S256 are
	// known also without a proof. It refuses a bound token with another scheme than its proof's.
	Proofs []Proof
	// Event is called with the outcome of every request, for counters and audit logs. It runs on the
	// request's goroutine.
	Event func(context.Context, Event)
	// Logger receives the cause of each refusal: what was expected and what came. The level is Warn
	// if the response is 503, and Info otherwise. For each [Reason] it receives at most 5 refusals
	// a minute in full, and then the number of further ones. Values from tokens are quoted and cut,
	// and no record contains a token. To tell several middlewares apart, give each a Realm or a
	// Logger of its own. If nil, Config.Logger of a [Validator] is used, or [slog.Default] if that
	// is nil too. To log nothing, use [slog.DiscardHandler].
	Logger *slog.Logger
}

// DefaultMaxTokenLength is the default bound of the length of a token, in bytes.
const DefaultMaxTokenLength = 16 << 10

// Middleware guards handlers. It is safe for concurrent use.
type Middleware struct {
	validator  TokenValidator
	inner      innerValidator // of validator, or nil
	wrapped    bool           // inner is not validator itself
	proofs     *proofs        // nil without proofs
	opts       Options
	needsScope bool // the audience is not checked, so a scope must tell that the token is for this API
	rendered   renderings
	log        refusalLog
}

// NewMiddleware returns a middleware that validates tokens with v.
//
// v may wrap a [Validator], for example to measure it. If the wrapper has the method
// Unwrap() TokenValidator, the middleware finds the Validator inside, and both behave alike. Without
// that method, each guard of a request validates the token again, since only the Validator knows
// what was revoked in the meantime.
//
// NewMiddleware panics if v is nil, if a challenge can't contain Options.Realm or
// Options.ResourceMetadata, or if one of Options.Proofs can't work.
func NewMiddleware(v TokenValidator, opts *Options) *Middleware {
	if v == nil {
		panic("xenaauth: nil TokenValidator")
	}
	m := &Middleware{validator: v}
	if opts != nil {
		m.opts = *opts
	}
	for _, s := range []string{m.opts.Realm, m.opts.ResourceMetadata} {
		if !bearer.IsParamText(s) {
			panic("xenaauth: Options.Realm and Options.ResourceMetadata may contain printable ASCII only, without \" and \\")
		}
	}
	if m.opts.Realm == "" {
		m.opts.Realm = "xena"
	}
	if m.opts.MaxTokenLength <= 0 {
		m.opts.MaxTokenLength = DefaultMaxTokenLength
	}
	m.proofs = newProofs(m.opts.Proofs)
	if m.inner = innermost(v); m.inner != nil {
		m.wrapped = m.inner.self() != v
		m.needsScope = m.inner.acceptsAnyAudience()
		if m.opts.Logger == nil {
			m.opts.Logger = m.inner.logger()
		}
	}
	m.log = refusalLog{
		logger: m.opts.Logger, name: slog.String("realm", m.opts.Realm), damper: newDamper(),
		one: "xenaauth: request refused", more: "xenaauth: more requests were refused",
	}
	return m
}

// Require lets a request pass if its token is valid and its user meets every requirement. AnyUser()
// lets every user pass. If several guards run for one request, for example on a group and on a route
// in it, the token is validated once.
//
// Require adds nothing to a response that passes. A handler that allows shared caches to store a
// response despite the credentials must set Vary: Authorization itself (RFC 6750, section 5.3; RFC
// 9111, section 3.5).
//
// It panics if there is no requirement, if one is the zero Requirement, if the requirements together
// have more than 256 alternative sets of scopes ([Requirement.Alternatives]), or if
// [Config.AllowAnyAudience] is set and a token without a scope could pass.
func (m *Middleware) Require(rs ...Requirement) func(http.Handler) http.Handler {
	if len(rs) == 0 {
		panic("xenaauth: Require needs a Requirement: AnyUser() lets every user pass")
	}
	all := AllOf(rs...) // it panics if they combine to too many alternatives
	rs = all.of
	if m.needsScope && !scoped(rs) {
		panic("xenaauth: with Config.AllowAnyAudience every route must require a scope")
	}
	return func(next http.Handler) http.Handler {
		if next == nil {
			panic("xenaauth: nil handler")
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			decided := false
			defer m.answerUndecided(w, r, &decided)
			allowed, err := m.Check(r, rs...)
			decided = true
			if err != nil {
				m.Deny(w, r, err)
				return
			}
			if m.proofs != nil {
				m.setPassing(w.Header(), allowed)
			}
			next.ServeHTTP(w, allowed)
		})
	}
}

// Optional lets requests without a token pass, without a user. If a request has a token of an
// accepted scheme, the token must be valid. It adds Vary: Authorization to the response. It panics if
// [Config.AllowAnyAudience] is set.
func (m *Middleware) Optional(next http.Handler) http.Handler {
	if m.needsScope {
		panic("xenaauth: with Config.AllowAnyAudience every route must require a scope")
	}
	if next == nil {
		panic("xenaauth: nil handler")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		decided := false
		defer m.answerUndecided(w, r, &decided)
		allowed, err := m.CheckOptional(r)
		decided = true
		if err != nil {
			m.Deny(w, r, err)
			return
		}
		m.setPassing(w.Header(), allowed)
		next.ServeHTTP(w, allowed)
	})
}

// Check decides as [Middleware.Require] does and writes no response. It returns the request with
// the user in its context, or an [*Error]. Without requirements every user may pass. Adapters for
// frameworks use Check, Challenge and Deny, and call Challenge for requests that pass as well.
// Check does not recover from panics of policies and hooks. An adapter answers such a request with
// 503 in a deferred function, because middleware that recovers from a panic and writes nothing
// would leave the status 200.
func (m *Middleware) Check(r *http.Request, rs ...Requirement) (*http.Request, error) {
	return m.checkRequest(r, rs, false)
}

// CheckOptional decides as [Middleware.Optional] does: like [Middleware.Check], but it also accepts a
// request without a token, and returns it without a user. The requirements are for users only.
func (m *Middleware) CheckOptional(r *http.Request, rs ...Requirement) (*http.Request, error) {
	return m.checkRequest(r, rs, true)
}

// CheckPublic lets a request of a public route pass. It does not look at the credentials. It
// returns the request without a user, also if another package put a user into its context, and
// tells Options.Event that the request may pass.
func (m *Middleware) CheckPublic(r *http.Request) *http.Request {
	m.report(r, nil, nil, nil)
	return withoutUser(r)
}

// Refuse reports a refusal that the caller decided, for example because no rule of a route table
// matches the request. Options.Event and the log receive it like a refusal of [Middleware.Check].
// Refuse returns the refusal as an [*Error], for Challenge and Deny. An err that is not an *Error,
// or is nil, is an outage. The route in the log is r.Pattern.
func (m *Middleware) Refuse(r *http.Request, err error) error {
	told := *asError(err) // a copy: the caller may use the original again
	m.report(r, nil, &told, nil)
	m.logRefusal(r, nil, &told)
	return &told
}

// checkRequest is Check, or CheckOptional if optional is set.
func (m *Middleware) checkRequest(r *http.Request, rs []Requirement, optional bool) (*http.Request, error) {
	t := m.newTrace()
	before := m.contextOf(r)
	allowed, user, err := m.check(r, rs, before, optional, t)
	if err != nil {
		m.report(r, user, err, t)
		m.logRefusal(r, user, asError(err))
		return nil, err
	}
	if before == nil { // an earlier guard of this middleware has reported the request
		m.report(r, user, nil, t)
	}
	return allowed, nil
}

// check decides about a request. before is what an earlier guard found out, or nil. If the refusal
// is about a valid token, the user is returned too.
func (m *Middleware) check(
	r *http.Request, rs []Requirement, before *userContext, optional bool, t *trace,
) (*http.Request, *User, error) {
	var c bearer.Credentials
	if before != nil {
		c = before.credentials
	} else {
		c = bearer.Parse(r.Header["Authorization"], m.proofs.acceptedNames(), m.opts.MaxTokenLength)
	}
	var user *User
	var list *confirmed
	anonymous := optional && (c.Kind == bearer.None || c.Kind == bearer.Other)
	switch {
	case anonymous:
	case before != nil && m.isCurrent(before):
		user, list = before.user, before.confirmed
	default:
		var err error
		if user, list, err = m.authenticate(r, &c, t); err != nil {
			return nil, nil, withScopes(err, rs, nil)
		}
	}
	if before == nil || before.user != user || before.optional != optional {
		ctx := r.Context()
		r = r.WithContext(&userContext{ctx, user, m, c, list, optional})
	}
	if anonymous {
		return r, nil, nil
	}
	if err := checkAll(r.Context(), r, user, rs); err != nil {
		return nil, user, err
	}
	return r, user, nil
}

// authenticate returns the user of the credentials, and the proofs of possession that it checked.
func (m *Middleware) authenticate(r *http.Request, c *bearer.Credentials, t *trace) (*User, *confirmed, error) {
	switch c.Kind {
	case bearer.None:
		return nil, nil, refuse(ReasonMissingToken, errNoField)
	case bearer.Other:
		return nil, nil, refuse(ReasonMissingToken, errNotBearer)
	case bearer.Malformed:
		return nil, nil, refuse(ReasonMalformedRequest, m.malformed(r.Header["Authorization"]))
	}
	user, err := m.validate(r.Context(), c.Token(), t)
	if err != nil {
		return nil, nil, err
	}
	if !user.isBound() && c.Scheme == 0 {
		return user, nil, nil
	}
	list, err := m.proofs.confirm(r, user, c)
	if err != nil {
		return nil, nil, err
	}
	return user, list, nil
}

// validate returns the user of a token.
func (m *Middleware) validate(ctx context.Context, token string, t *trace) (*User, error) {
	if m.inner == nil && !bearer.IsToken68(token) {
		return nil, refuse(ReasonMalformedRequest, errCredentials)
	}
	user, err := m.validator.Validate(m.tokenContext(ctx, t), token)
	switch {
	case err != nil && m.inner != nil && !bearer.IsToken68(token):
		// A token that Validate accepts has the right syntax, so only a refused one is looked at.
		return nil, refuse(ReasonMalformedRequest, errCredentials)
	case err != nil:
		return nil, err
	case user == nil:
		return nil, errors.New("TokenValidator returned neither user nor error")
	case m.wrapped && m.inner.isRevoked(user, token, time.Now()):
		return nil, refuse(ReasonRevoked, nil) // a wrapper may return a user that it found before
	}
	return user, nil
}

// malformed says what is wrong with the Authorization field.
func (m *Middleware) malformed(lines []string) error {
	if len(lines) > 1 {
		return errRepeated
	}
	if n := len(lines[0]) - len("Bearer "); n > m.opts.MaxTokenLength {
		return &tooLong{n, m.opts.MaxTokenLength, "Options.MaxTokenLength"}
	}
	return errCredentials
}
