package xenaauth

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/xenaauth/xenaauth/internal/bearer"
)

// Options tune a [Middleware]. The zero value, or a nil pointer, is the default.
type Options struct {
	// Realm is told in challenges (RFC 9110, section 11.5). "" is "xena".
	Realm string
	// ResourceMetadata is the URL of the protected resource metadata, told in challenges (RFC 9728, section 5.1). "" is none.
	ResourceMetadata string
	// MaxTokenLength bounds the token, in bytes, before anything reads it. 0 is 16 KiB. [Config] and [Introspection] have
	// bounds of their own, which apply as well.
	MaxTokenLength int
	// EmptyBody leaves out the problem details that refusals are answered with.
	EmptyBody bool
	// ErrorBody writes the body of refusals in place of the problem details. Status, challenge and Retry-After are set
	// already and not its to change; what it writes goes out with them. It is not called for HEAD.
	ErrorBody func(http.ResponseWriter, *http.Request, *Error)
	// Event is told the outcome of every check, for counters and audit logs. It runs on the request's goroutine.
	Event func(context.Context, Event)
	// Logger is told why requests are refused, with what was expected and what came: at level Info, and at level Warn what
	// is answered 503. Of each [Reason] it is told 5 refusals a minute in full, and then how many more there were. Values of
	// tokens are quoted and cut, and a token is never among them. To tell middlewares apart, give each a Realm or a Logger of
	// its own. nil is Config.Logger of a [Validator], if that is set, and else [slog.Default]. A Logger with
	// [slog.DiscardHandler] is told nothing.
	Logger *slog.Logger
}

// Event is the outcome of one check of a request.
type Event struct {
	// User is whom the token stands for. It is nil for a request without a valid token.
	User *User
	// Err is the refusal. It is nil for a request that may pass.
	Err *Error
}

// DefaultMaxTokenLength is how long a token may be, in bytes, unless configured otherwise.
const DefaultMaxTokenLength = 16 << 10

// Middleware guards handlers. It is safe for concurrent use.
type Middleware struct {
	validator  TokenValidator
	own        *Validator // the same, if it is ours: it knows tokens in use before anything looks at them
	opts       Options
	needsScope bool // the audience is not checked, so a scope must tell that the token is for this API
	rendered   renderings
	log        refusalLog
}

// NewMiddleware returns a middleware that asks v about tokens. It panics on a nil v and on options that no challenge can
// carry.
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

// Require lets a request pass whose token is valid and whose user meets every requirement; with none, every user may
// pass. Used several times on the way to one handler, on a group and on a route in it, it validates the token once.
//
// It adds nothing to a response that passes: a handler that lets shared caches keep one in spite of the credentials must
// say Vary: Authorization itself (RFC 6750, section 5.3; RFC 9111, section 3.5).
//
// It panics on a zero Requirement, on requirements with more than 256 alternative sets of scopes together
// ([Requirement.Alternatives]), and where [Config.AllowAnyAudience] is set and a token without a scope could pass.
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

// Optional lets requests without a bearer token pass, without a user. A token that is there must be valid all the same.
// It panics where [Config.AllowAnyAudience] is set.
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

// Check is what [Middleware.Require] decides, without the answering: it returns the request with the user in its
// context, or an [*Error]. Adapters for frameworks are made of Check, Challenge and Deny. Check lets panics of policies and
// hooks pass. An adapter answers such a request 503 in a deferred function, because middleware that recovers from a panic
// and writes nothing would leave 200.
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

// CheckOptional is what [Middleware.Optional] decides: like [Middleware.Check] without requirements, but a request that
// brings no bearer token is returned without a user. A response that depends on it should say Vary: Authorization.
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
	// By what the request brings, and not by the reason, which a validator of somebody else's may give for a bad token.
	if _, kind := bearer.Cut(r.Header["Authorization"], m.opts.MaxTokenLength); kind != bearer.None && kind != bearer.Other {
		m.logRefusal(route, r, user, err)
		return nil, err
	}
	if _, planted := UserFromContext(r.Context()); planted {
		r = r.WithContext(&userContext{Context: r.Context()}) // somebody else's word
	}
	return r, nil
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
	if user.audienceUnchecked && !scoped(rs) {
		return nil, user, refuse(ReasonForbidden, errors.New("no audience is checked and the route requires no scope"))
	}
	for i := range rs {
		if err := rs[i].check(r, user); err != nil {
			return nil, user, tell(err, rs, user)
		}
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
	if m.own != nil {
		return m.own.validate(r.Context(), token, bearer.IsToken68)
	}
	if !bearer.IsToken68(token) {
		return nil, refuse(ReasonMalformedRequest, errCredentials)
	}
	user, err := m.validator.Validate(r.Context(), token)
	if err == nil && user == nil {
		err = errors.New("TokenValidator returned neither user nor error")
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

// known is the user that this middleware has found for these very credentials already.
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
		if token, _ := bearer.Cut(lines, m.opts.MaxTokenLength); m.own.revoked.match(c.user, token, now) {
			return nil
		}
	}
	return c.user
}

// tell adds what the route requires to a refusal, which its maker may hand out again: hence the copy.
func tell(err error, rs []Requirement, u *User) *Error {
	told := *asError(err)
	if told.Scopes == nil && told.Reason != ReasonUnavailable && told.Reason != ReasonForbidden && len(rs) > 0 {
		if asked := askAll(rs, u); u == nil || asked.missing > 0 {
			told.Scopes = asked.scopes
		}
	}
	if told.Reason == ReasonInsufficientScope && told.cause == nil && u != nil {
		told.cause = &missingScope{u.scopes, told.Scopes}
	}
	told.Scopes = slices.Clone(told.Scopes) // what a hook does to them must not reach the route
	return &told
}

func scoped(rs []Requirement) bool {
	for _, r := range rs {
		if r.scoped() {
			return true
		}
	}
	return false
}
