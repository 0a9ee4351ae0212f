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
	// Event is called with the outcome of every check, for counters and audit logs. It runs on the
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

// Event is the outcome of one check of a request.
type Event struct {
	// User is the user of the valid token. It is nil for a request without a valid token.
	User *User
	// Err is the refusal. It is nil if the request may pass.
	Err *Error
}

// DefaultMaxTokenLength is the default bound of the length of a token, in bytes.
const DefaultMaxTokenLength = 16 << 10

// Middleware guards handlers. It is safe for concurrent use.
type Middleware struct {
	validator  TokenValidator
	own        *Validator // validator, if it is a *Validator
	opts       Options
	needsScope bool // the audience is not checked, so a scope must tell that the token is for this API
	rendered   renderings
	log        refusalLog
}

// NewMiddleware returns a middleware that validates tokens with v. It panics if v is nil, or if a
// challenge can't contain Options.Realm or Options.ResourceMetadata.
func NewMiddleware(v TokenValidator, opts *Options) *Middleware {
	if v == nil {
		panic("xenaauth: nil TokenValidator")
	}
	m := &Middleware{validator: v}
	if opts != nil {
		m.opts = *opts
	}
	for _, s := range []string{m.opts.Realm, m.opts.ResourceMetadata} {
		if strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r > 0x7e || r == '"' || r == '\\' }) {
			panic("xenaauth: Options.Realm and Options.ResourceMetadata may hold printable ASCII only, without \" and \\")
		}
	}
	if m.opts.Realm == "" {
		m.opts.Realm = "xena"
	}
	if m.opts.MaxTokenLength <= 0 {
		m.opts.MaxTokenLength = DefaultMaxTokenLength
	}
	if own, ok := v.(*Validator); ok {
		m.own = own
		m.needsScope = own.policy.anyAudience
		if m.opts.Logger == nil {
			m.opts.Logger = own.cfg.Logger
		}
	}
	m.log = refusalLog{
		logger: m.opts.Logger, name: slog.String("realm", m.opts.Realm), damper: newDamper(),
		one: "xenaauth: request refused", more: "xenaauth: more requests were refused",
	}
	return m
}

// Require lets a request pass if its token is valid and its user meets every requirement. Without
// requirements every user may pass. If several guards run for one request, for example on a group
// and on a route in it, the token is validated once.
//
// Require adds nothing to a response that passes. A handler that allows shared caches to store a
// response despite the credentials must set Vary: Authorization itself (RFC 6750, section 5.3; RFC
// 9111, section 3.5).
//
// It panics if a requirement is the zero Requirement, if the requirements have more than 256
// alternative sets of scopes together ([Requirement.Alternatives]), or if [Config.AllowAnyAudience]
// is set and a token without a scope could pass.
func (m *Middleware) Require(rs ...Requirement) func(http.Handler) http.Handler {
	if len(rs) > 0 {
		all := AllOf(rs...) // which panics if they combine to too many alternatives
		rs = all.of
	}
	if m.needsScope && !scoped(rs) {
		panic("xenaauth: with Config.AllowAnyAudience every route must require a scope")
	}
	return func(next http.Handler) http.Handler {
		if next == nil {
			panic("xenaauth: nil handler")
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			decided := false
			defer m.answerUndecided(w, &decided)
			allowed, err := m.Check(r, rs...)
			decided = true
			if err != nil {
				m.Deny(w, r, err)
				return
			}
			next.ServeHTTP(w, allowed)
		})
	}
}

// Optional lets requests without a bearer token pass, without a user. If a request has a bearer
// token, the token must be valid. It panics if [Config.AllowAnyAudience] is set.
func (m *Middleware) Optional(next http.Handler) http.Handler {
	if m.needsScope {
		panic("xenaauth: with Config.AllowAnyAudience every route must require a scope")
	}
	if next == nil {
		panic("xenaauth: nil handler")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Authorization")
		decided := false
		defer m.answerUndecided(w, &decided)
		allowed, err := m.CheckOptional(r)
		decided = true
		if err != nil {
			m.Deny(w, r, err)
			return
		}
		next.ServeHTTP(w, allowed)
	})
}

// Check decides as [Middleware.Require] does and writes no response. It returns the request with
// the user in its context, or an [*Error]. Adapters for frameworks use Check, Challenge and Deny.
// Check does not recover from panics of policies and hooks. An adapter answers such a request with
// 503 in a deferred function, because middleware that recovers from a panic and writes nothing
// would leave the status 200.
func (m *Middleware) Check(r *http.Request, rs ...Requirement) (*http.Request, error) {
	return m.checkAt(r.Pattern, r, rs)
}

// checkAt is Check for the route of this pattern.
func (m *Middleware) checkAt(route string, r *http.Request, rs []Requirement) (*http.Request, error) {
	allowed, user, err := m.check(r, rs)
	m.tellEvent(r, user, err)
	if err != nil {
		m.logRefusal(route, r, user, err)
		return nil, err
	}
	return allowed, nil
}

// tellEvent tells Options.Event an outcome. err is nil if the request may pass.
func (m *Middleware) tellEvent(r *http.Request, user *User, err *Error) {
	if m.opts.Event != nil {
		m.opts.Event(r.Context(), Event{User: user, Err: err})
	}
}

// CheckOptional decides as [Middleware.Optional] does: like [Middleware.Check] without
// requirements, but it also accepts a request without a bearer token, and returns it without a user.
// A response that depends on the user should have Vary: Authorization.
func (m *Middleware) CheckOptional(r *http.Request) (*http.Request, error) {
	return m.checkOptionalAt(r.Pattern, r)
}

// checkOptionalAt is CheckOptional for the route of this pattern.
func (m *Middleware) checkOptionalAt(route string, r *http.Request) (*http.Request, error) {
	allowed, user, err := m.check(r, nil)
	m.tellEvent(r, user, err)
	if err == nil {
		return allowed, nil
	}
	// The request decides, not the reason: a TokenValidator may give any reason for a bad token.
	if _, kind := bearer.Cut(r.Header["Authorization"], m.opts.MaxTokenLength); kind != bearer.None && kind != bearer.Other {
		m.logRefusal(route, r, user, err)
		return nil, err
	}
	return withoutUser(r), nil
}

// CheckPublic lets a request of a public route pass. It does not look at the credentials. It
// returns the request without a user, also if another package put a user into its context, and
// tells Options.Event that the request may pass.
func (m *Middleware) CheckPublic(r *http.Request) *http.Request {
	m.tellEvent(r, nil, nil)
	return withoutUser(r)
}

// withoutUser returns a request whose context has no user. A user that another package put there
// is hidden.
func withoutUser(r *http.Request) *http.Request {
	if _, planted := UserFromContext(r.Context()); planted {
		return r.WithContext(&userContext{Context: r.Context()})
	}
	return r
}

// Refuse reports a refusal that the caller decided, for example because no rule of a route table
// matches the request. Options.Event and the log receive it like a refusal of [Middleware.Check].
// Refuse returns the refusal as an [*Error], for Challenge and Deny. An err that is not an *Error,
// or is nil, is an outage. The route in the log is r.Pattern.
func (m *Middleware) Refuse(r *http.Request, err error) error {
	return m.refuseAt(r.Pattern, r, err)
}

// refuseAt is Refuse for the route of this pattern.
func (m *Middleware) refuseAt(route string, r *http.Request, err error) error {
	told := *asError(err) // a copy: the caller may use the original again
	m.tellEvent(r, nil, &told)
	m.logRefusal(route, r, nil, &told)
	return &told
}

func (m *Middleware) check(r *http.Request, rs []Requirement) (*http.Request, *User, *Error) {
	lines := r.Header["Authorization"]
	user := m.known(r.Context(), lines)
	if user == nil {
		var err error
		if user, err = m.authenticate(r, lines); err != nil {
			return nil, nil, tell(err, rs, nil)
		}
		r = r.WithContext(&userContext{Context: r.Context(), user: user, by: m, authorization: lines[0]})
	}
	if err := checkAll(r.Context(), r, user, rs); err != nil {
		return nil, user, asError(err)
	}
	return r, user, nil
}

// authenticate returns the user of a request's credentials.
func (m *Middleware) authenticate(r *http.Request, lines []string) (*User, error) {
	token, kind := bearer.Cut(lines, m.opts.MaxTokenLength)
	switch kind {
	case bearer.None:
		return nil, refuse(ReasonMissingToken, errNoField)
	case bearer.Other:
		return nil, refuse(ReasonMissingToken, errNotBearer)
	case bearer.Malformed:
		return nil, refuse(ReasonMalformedRequest, m.malformed(lines))
	}
	if tokenInQuery(r.URL) { // more than one way to send it: RFC 6750, section 3.1
		return nil, refuse(ReasonMalformedRequest, errInQuery)
	}
	if m.own == nil && !bearer.IsToken68(token) {
		return nil, refuse(ReasonMalformedRequest, errCredentials)
	}
	user, err := m.validator.Validate(r.Context(), token)
	switch {
	case err == nil && user == nil:
		err = errors.New("TokenValidator returned neither user nor error")
	case err != nil && m.own != nil && !bearer.IsToken68(token):
		err = refuse(ReasonMalformedRequest, errCredentials) // a token that Validate accepts has the right syntax
	}
	return user, err
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

// known returns the user that this middleware has already found for the same credentials.
func (m *Middleware) known(ctx context.Context, lines []string) *User {
	c, ok := ctx.Value(userKey{}).(*userContext)
	if !ok || c.by != m || len(lines) != 1 || lines[0] != c.authorization || c.user == nil {
		return nil
	}
	now := time.Now() // a context may live for longer than a token
	if exp := c.user.ExpiresAt(); !exp.IsZero() && now.After(exp) {
		return nil
	}
	if m.own != nil {
		if token, _ := bearer.Cut(lines, m.opts.MaxTokenLength); m.own.isRevoked(c.user, token, now) {
			return nil
		}
	}
	return c.user
}

// tell adds what the route requires to a copy of a refusal. Its maker may return the original again.
func tell(err error, rs []Requirement, u *User) *Error {
	told := *asError(err)
	if told.Scopes == nil && told.Reason != ReasonUnavailable && told.Reason != ReasonForbidden && len(rs) > 0 {
		if asked := requestAll(rs, u); u == nil || asked.missing > 0 {
			told.Scopes = asked.scopes
		}
	}
	if told.Reason == ReasonInsufficientScope && told.Err == nil && u != nil {
		told.Err = &missingScope{u.parties.Scopes, told.Scopes}
	}
	told.Scopes = slices.Clone(told.Scopes) // a hook may change them
	told.Params = maps.Clone(told.Params)
	return &told
}
