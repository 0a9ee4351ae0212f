package xenaauth

import (
	"context"
	"errors"
	"math"
	"net/http"
	"net/url"
	"strconv"
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
	// MaxTokenLength bounds the token, in bytes, before anything reads it. 0 is 16 KiB.
	MaxTokenLength int
	// EmptyBody leaves out the problem details that refusals are answered with.
	EmptyBody bool
	// ErrorBody writes the body of refusals in place of the problem details. Status, challenge and Retry-After are set
	// already and not its to change; what it writes goes out with them. It is not called for HEAD.
	ErrorBody func(http.ResponseWriter, *http.Request, *Error)
	// Event is told the outcome of every check, for counters and audit logs. It runs on the request's goroutine.
	Event func(context.Context, Event)
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
	opts       Options
	needsScope bool // the audience is not checked, so a scope must tell that the token is for this API
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
		m.needsScope = own.policy.anyAudience
	}
	return m
}

// Require lets a request pass whose token is valid and whose user meets every requirement; with none, every user may
// pass. Used several times on the way to one handler, on a group and on a route in it, it validates the token once.
//
// It panics on a zero Requirement, and where [Config.AllowAnyAudience] is set and a token without a scope could pass.
func (m *Middleware) Require(rs ...Requirement) func(http.Handler) http.Handler {
	if len(rs) > 0 {
		rs = made(rs)
	}
	if m.needsScope && !scoped(rs) {
		panic("xenaauth: with Config.AllowAnyAudience every route must require a scope")
	}
	return func(next http.Handler) http.Handler {
		if next == nil {
			panic("xenaauth: nil handler")
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			allowed, err := m.Check(r, rs...)
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
		allowed, err := m.Check(r)
		if err != nil {
			if asError(err).Reason != ReasonMissingToken {
				m.Deny(w, r, err)
				return
			}
			allowed = r
			if _, planted := UserFromContext(r.Context()); planted {
				allowed = r.WithContext(&userContext{Context: r.Context()})
			}
		}
		next.ServeHTTP(w, allowed)
	})
}

// Check is what [Middleware.Require] decides, without the answering: it returns the request with the user in its
// context, or an [*Error]. Adapters for frameworks are made of Check, Challenge and Deny.
func (m *Middleware) Check(r *http.Request, rs ...Requirement) (*http.Request, error) {
	allowed, user, err := m.check(r, rs)
	if m.opts.Event != nil {
		m.opts.Event(r.Context(), Event{User: user, Err: err})
	}
	if err != nil {
		return nil, err
	}
	return allowed, nil
}

func (m *Middleware) check(r *http.Request, rs []Requirement) (*http.Request, *User, *Error) {
	lines := r.Header["Authorization"]
	user := m.known(r.Context(), lines)
	if user == nil {
		token, kind := bearer.Parse(lines, m.opts.MaxTokenLength)
		if kind == bearer.Token && tokenInQuery(r.URL) {
			kind = bearer.Malformed // more than one way to send it: RFC 6750, section 3.1
		}
		switch kind {
		case bearer.None, bearer.Other:
			return nil, nil, tell(refuse(ReasonMissingToken, nil), rs, nil)
		case bearer.Malformed:
			return nil, nil, tell(refuse(ReasonMalformedRequest, nil), rs, nil)
		}
		var err error
		if user, err = m.validator.Validate(r.Context(), token); err == nil && user == nil {
			err = errors.New("TokenValidator returned neither user nor error")
		}
		if err != nil {
			return nil, nil, tell(asError(err), rs, nil)
		}
		r = r.WithContext(&userContext{Context: r.Context(), user: user, by: m, authorization: lines[0]})
	}
	if user.audienceUnchecked && !scoped(rs) {
		return nil, user, refuse(ReasonForbidden, errors.New("no audience is checked and the route requires no scope"))
	}
	for i := range rs {
		if err := rs[i].check(r, user); err != nil {
			return nil, user, tell(asError(err), rs, user)
		}
	}
	return r, user, nil
}

// tokenInQuery reports whether a request also brings a token in the way that RFC 6750, section 2.3, advises against.
// Such a token is never read. A form in the body isn't looked at: it is the handler's.
func tokenInQuery(u *url.URL) bool {
	return u != nil && strings.Contains(u.RawQuery, "access_token") && u.Query().Has("access_token")
}

// known is the user that this middleware has found for these very credentials already.
func (m *Middleware) known(ctx context.Context, lines []string) *User {
	c, ok := ctx.Value(userKey{}).(*userContext)
	if !ok || c.by != m || len(lines) != 1 || lines[0] != c.authorization {
		return nil
	}
	return c.user
}

// tell adds what the route requires to a refusal, which its maker may hand out again: hence the copy.
func tell(e *Error, rs []Requirement, u *User) *Error {
	if e.Scopes != nil || e.Reason == ReasonUnavailable || e.Reason == ReasonForbidden || len(rs) == 0 {
		return e
	}
	told := *e
	told.Scopes = nearest(combined(rs), u)
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

// Challenge sets the header fields of a refusal and returns its status: WWW-Authenticate (RFC 6750, section 3) or
// Retry-After, and that no cache may keep it. An err that is no [*Error] counts as an outage.
func (m *Middleware) Challenge(h http.Header, err error) (status int) {
	e := asError(err)
	a := e.answer()
	h.Set("Cache-Control", "no-store")
	h.Add("Vary", "Authorization")
	if a.status == http.StatusServiceUnavailable {
		h.Set("Retry-After", strconv.Itoa(retrySeconds(e.RetryAfter)))
		return a.status
	}
	description := a.description
	if a.code == "" {
		description = "" // who sent no credentials made no error: RFC 6750, section 3.1
	}
	h.Add("WWW-Authenticate", bearer.Challenge(
		bearer.Param{Name: "realm", Value: m.opts.Realm},
		bearer.Param{Name: "error", Value: a.code},
		bearer.Param{Name: "error_description", Value: description},
		bearer.Param{Name: "scope", Value: strings.Join(e.Scopes, " ")},
		bearer.Param{Name: "resource_metadata", Value: m.opts.ResourceMetadata},
	))
	return a.status
}

// retrySeconds is d as Retry-After has it (RFC 9110, section 10.2.3): whole seconds, at least one.
func retrySeconds(d time.Duration) int { return int(max(1, math.Ceil(d.Seconds()))) }

// Deny answers a request that [Middleware.Check] refused: Challenge, and problem details (RFC 9457) or what
// [Options] say as its body.
func (m *Middleware) Deny(w http.ResponseWriter, r *http.Request, err error) {
	e := asError(err)
	h := w.Header()
	for _, name := range []string{"Content-Length", "Content-Encoding", "Etag", "Last-Modified"} {
		h.Del(name) // whoever set them described another body
	}
	status := m.Challenge(h, e)
	switch {
	case r.Method == http.MethodHead || m.opts.EmptyBody:
		w.WriteHeader(status)
	case m.opts.ErrorBody != nil:
		l := newLockedWriter(w, status)
		m.opts.ErrorBody(l, r, e)
		l.WriteHeader(status) // a hook that writes nothing must not turn a refusal into 200
	default:
		h.Set("Content-Type", "application/problem+json")
		h.Set("X-Content-Type-Options", "nosniff")
		body, _ := e.MarshalJSON() // strings and a number: it can't fail
		w.WriteHeader(status)
		_, _ = w.Write(body) // a client that has gone away needs no answer
	}
}
