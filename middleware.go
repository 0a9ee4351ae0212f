package xenaauth

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/xenaauth/xenaauth/internal/bearer"
)

// Options configure a [Middleware]. A nil pointer means the zero value, and the zero value of each
// field is its default.
type Options struct {
	// Realm is the parameter realm of challenges (RFC 9110, section 11.5). If "", it is "xena".
	Realm string
	// ResourceMetadata is the URL of the protected resource metadata, sent in challenges (RFC 9728,
	// section 5.1). If "", challenges have no resource_metadata.
	ResourceMetadata string
	// MaxTokenLength is the largest length of a token, in bytes. Longer tokens are refused before
	// they are read. 0 means 16 KiB. [Config].MaxTokenLength and [Introspection].MaxTokenLength are
	// further limits. A token must satisfy every limit that applies to it.
	MaxTokenLength int
	// EmptyBody sends refusals without a body. The default body is problem details (RFC 9457).
	EmptyBody bool
	// ErrorBody writes the body of a refusal instead of the problem details. Status, challenge,
	// Retry-After and Cache-Control are set before the call, and ErrorBody can't change them. It
	// may set other header fields. It is not called for HEAD requests, or if EmptyBody is set.
	ErrorBody func(http.ResponseWriter, *http.Request, *Error)
	// ProblemTypes is the start of the URIs that say what went wrong. The member type of problem
	// details is ProblemTypes followed by the reason: "https://api.example/problems#" and
	// "expired". An unknown reason counts as unavailable. If ProblemTypes is "", problem details
	// have no type, which means about:blank (RFC 9457, section 4.2.1). docs/troubleshooting.md has
	// a heading for each reason.
	ProblemTypes string
	// Proofs are the proofs of possession that this middleware checks. A token can be bound to a
	// key by its claim cnf (RFC 7800). Without Proofs, the middleware refuses every bound token.
	//
	// With Proofs, it accepts a bound token if cnf has a known member, and each known member of cnf
	// is confirmed for the request. A member of cnf is known if a Proof in this list checks it. The
	// members jkt and x5t#S256 are always known: without a Proof that checks them, the middleware
	// refuses each token that has them. The middleware also refuses a bound token that is sent with
	// another scheme than its Proof requires. If a token needs several proofs, those with the
	// scheme Bearer are confirmed first, for example client certificates. Apart from that, the
	// order is that of Proofs. Some kinds of proof are valid only once, for example DPoP. List such
	// a Proof last. Then it is not used up if the request lacks another proof that the token needs,
	// because the middleware refuses the request before that.
	Proofs []Proof
	// RequireProof refuses every token that is not bound to a key. Challenges then offer only the
	// schemes of Proofs. Without RequireProof, a token without cnf is accepted as a bearer token.
	// [BoundToken] requires a bound token for one route. RequireProof needs Proofs.
	RequireProof bool
	// Event is called with the outcome of every request, for counters and audit logs. Event runs in
	// the goroutine of the request, and the request waits until Event returns.
	Event func(context.Context, Event)
	// Logger receives records that say why requests are refused: which value was expected, and
	// which value the token has. The level is Warn if the response is 503, Debug for
	// [ReasonProofNonce], and Info otherwise. For each [Reason], at most 5 refusals a minute get a
	// record of their own, and one more record contains the number of further refusals. Values of
	// tokens are quoted and cut, and no record contains a token. To distinguish several middlewares
	// in one log, give each its own Realm or Logger. If Logger is nil, Config.Logger of the
	// [Validator] is used, or [slog.Default] if there is none. To log no refusals, use
	// [slog.DiscardHandler].
	Logger *slog.Logger
}

// DefaultMaxTokenLength is the default of [Options].MaxTokenLength and [Config].MaxTokenLength, in
// bytes.
const DefaultMaxTokenLength = 16 << 10

// Middleware checks the requests to handlers. It is safe for concurrent use.
type Middleware struct {
	validator TokenValidator
	// innerValidator is the Validator inside Middleware.validator. It is nil if there is none.
	innerValidator innerValidator
	isWrapped      bool    // isWrapped says that validator is a wrapper around innerValidator
	proofs         *proofs // proofs is nil if Options.Proofs is empty
	opts           Options
	// needsScope is Config.AllowAnyAudience. If it is true, only a scope can show that a token is
	// for this API, so every route must require a scope.
	needsScope bool
	textCache  refusalTextCache
	log        refusalLog
	// All requests without a proof of possession share two values of userContext.guardResult:
	// requiredResult for routes that require a token, and optionalResult for routes that don't.
	requiredResult, optionalResult guardResult
}

// NewMiddleware returns a middleware that validates tokens with v.
//
// v may wrap a [Validator], for example to measure it. If the wrapper has the method Unwrap()
// TokenValidator, the middleware finds the Validator inside, and the wrapped Validator behaves like
// one without a wrapper. If the wrapper has no method Unwrap and a request passes several guards,
// each guard validates the token again, because the middleware can't ask the Validator whether the
// token was revoked in the meantime.
//
// NewMiddleware panics if v is nil, if a challenge can't contain Options.Realm or
// Options.ResourceMetadata, if Options.ProblemTypes is not an absolute URI, if one of
// Options.Proofs is unusable, or if Options.RequireProof is set without Options.Proofs.
func NewMiddleware(v TokenValidator, opts *Options) *Middleware {
	if v == nil {
		panic("xenaauth: nil TokenValidator")
	}
	m := &Middleware{validator: v}
	m.requiredResult, m.optionalResult = guardResult{checkedBy: m}, guardResult{checkedBy: m, isOptional: true}
	if opts != nil {
		m.opts = *opts
	}
	for _, s := range []string{m.opts.Realm, m.opts.ResourceMetadata} {
		if !bearer.IsParamText(s) {
			panic("xenaauth: Options.Realm and Options.ResourceMetadata may contain printable ASCII only, without \" and \\")
		}
	}
	if !isProblemTypes(m.opts.ProblemTypes) {
		panic("xenaauth: Options.ProblemTypes is not an absolute URI, such as https://api.example/problems#")
	}
	if m.opts.Realm == "" {
		m.opts.Realm = "xena"
	}
	if m.opts.MaxTokenLength <= 0 {
		m.opts.MaxTokenLength = DefaultMaxTokenLength
	}
	m.proofs = newProofs(m.opts.Proofs)
	if m.opts.RequireProof && m.proofs == nil {
		panic("xenaauth: Options.RequireProof needs Options.Proofs")
	}
	if m.innerValidator = findValidator(v); m.innerValidator != nil {
		m.isWrapped = m.innerValidator.self() != v
		m.needsScope = m.innerValidator.acceptsAnyAudience()
		if m.opts.Logger == nil {
			m.opts.Logger = m.innerValidator.logger()
		}
	}
	m.log = refusalLog{
		logger: m.opts.Logger, nameAttr: slog.String("realm", m.opts.Realm), damper: newDamper(),
		singleMessage: "xenaauth: request refused", countMessage: "xenaauth: more requests were refused",
	}
	return m
}

// Require allows a request if its token is valid and its user meets every requirement. AnyUser()
// allows every user. If a request passes several guards, for example that of a group of routes and
// that of one route, its token is validated once.
//
// Require adds nothing to the response to an allowed request, except what [Proof].Respond adds. A
// handler that lets shared caches store its response must set Vary: Authorization itself (RFC 6750,
// section 5.3; RFC 9111, section 3.5).
//
// Require panics if there is no requirement, if one of the requirements is the zero Requirement, if
// several requirements together have more than 256 alternative sets of scopes
// ([Requirement.Alternatives]), if [Config.AllowAnyAudience] is set and the requirements would
// allow a token without a scope, or if only a [BoundToken] can satisfy the requirements and
// [Options.Proofs] is empty.
func (m *Middleware) Require(rs ...Requirement) func(http.Handler) http.Handler {
	if len(rs) == 0 {
		panic("xenaauth: Require needs a Requirement: AnyUser() lets every user pass")
	}
	all := AllOf(rs...) // AllOf panics if rs has too many alternative sets of scopes
	rs = all.parts
	if m.needsScope && !needsScope(rs) {
		panic("xenaauth: with Config.AllowAnyAudience every route must require a scope")
	}
	if m.proofs == nil && needsProof(rs) {
		panic("xenaauth: a route requires BoundToken, and Options.Proofs is empty")
	}
	return func(next http.Handler) http.Handler {
		if next == nil {
			panic("xenaauth: nil handler")
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			decided := false
			defer m.answerUndecided(w, &decided)
			allowed, err := m.Check(r, rs...)
			if err != nil {
				decided = true
				m.Deny(w, r, err)
				return
			}
			if m.proofs != nil {
				m.setAllowedHeader(w.Header(), allowed)
			}
			// setAllowedHeader calls a Proof, which may panic. The deferred answerUndecided must
			// then answer 503, so the request counts as decided only after this call.
			decided = true
			next.ServeHTTP(w, allowed)
		})
	}
}

// Optional allows requests without a token, and their handler finds no user. If a request has a
// token of an accepted scheme, the token must be valid. A malformed Authorization field is refused.
// Optional adds Vary: Authorization to the response. It panics if next is nil or
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
		defer m.answerUndecided(w, &decided)
		allowed, err := m.CheckOptional(r)
		if err != nil {
			decided = true
			m.Deny(w, r, err)
			return
		}
		m.setAllowedHeader(w.Header(), allowed)
		decided = true
		next.ServeHTTP(w, allowed)
	})
}

// Check decides about a request like [Middleware.Require], but writes no response. It returns the
// request with the user in its context, or an [*Error]. Without requirements every user is allowed,
// unless [Config.AllowAnyAudience] is set.
//
// Adapters for frameworks use Check, Challenge and Deny. They call Challenge for allowed requests
// as well. Check does not recover from panics in policies, proofs and hooks, and neither does
// Challenge for an allowed request. So an adapter needs a deferred function. If Check or Challenge
// has not returned, this function must answer 503. Without it, other middleware could recover from
// the panic and write nothing, and the status would be 200.
func (m *Middleware) Check(r *http.Request, rs ...Requirement) (*http.Request, error) {
	return m.checkRequest(r, rs, false)
}

// CheckOptional decides about a request like [Middleware.Optional], but writes no response. It is
// [Middleware.Check], except that it also allows a request without a token, and returns it without
// a user. The requirements apply only if there is a user.
func (m *Middleware) CheckOptional(r *http.Request, rs ...Requirement) (*http.Request, error) {
	return m.checkRequest(r, rs, true)
}

// CheckPublic allows a request of a public route. It does not read the credentials. It returns the
// request without a user, even if another package has put a user into its context, and reports the
// request to Options.Event, unless an earlier guard of m has.
func (m *Middleware) CheckPublic(r *http.Request) *http.Request {
	if m.opts.Event != nil && !m.hasReported(r) {
		m.report(r, nil, nil, nil)
	}
	return withoutUser(r)
}

// Refuse reports a refusal that the caller decided, for example because no rule of a route table
// matches the request. Options.Event and the log receive it like a refusal of [Middleware.Check],
// with r.Pattern as the route. Refuse returns the refusal as an [*Error], for Challenge and Deny.
// If err neither is nor wraps an *Error, the refusal has [ReasonUnavailable], so the response is
// 503.
func (m *Middleware) Refuse(r *http.Request, err error) error {
	refusalCopy := *asError(err) // a copy, because the caller may use err again
	refusalCopy.problemTypes = m.opts.ProblemTypes
	m.report(r, nil, &refusalCopy, nil)
	m.logRefusal(r, nil, &refusalCopy)
	return &refusalCopy
}

// checkRequest does the work of Check. If optional is true, it does the work of CheckOptional.
func (m *Middleware) checkRequest(r *http.Request, rs []Requirement, optional bool) (*http.Request, error) {
	if m.opts.Event != nil {
		return m.checkAndReport(r, rs, optional)
	}
	allowed, user, err := m.check(r, rs, optional, nil)
	if err != nil {
		e := m.withProblemTypes(asError(err))
		m.logRefusal(r, user, e)
		return nil, e
	}
	return allowed, nil
}

// checkAndReport does the same as checkRequest, and reports the outcome to Options.Event.
func (m *Middleware) checkAndReport(r *http.Request, rs []Requirement, optional bool) (*http.Request, error) {
	t := m.newTrace()
	checked := false
	defer func() {
		if !checked {
			// A policy, a proof or a TokenValidator has panicked. The guard will answer 503.
			m.report(r, nil, errUndecided, t)
		}
	}()
	allowed, user, err := m.check(r, rs, optional, t)
	checked = true
	if err != nil {
		e := m.withProblemTypes(asError(err))
		m.report(r, user, e, t)
		m.logRefusal(r, user, e)
		return nil, e
	}
	// If several guards of this middleware check a request, the first guard has already reported
	// that the request is allowed.
	if !m.hasReported(r) {
		m.report(r, user, nil, t)
	}
	return allowed, nil
}

// Middleware.check decides whether a request is allowed. If a request with a valid token is
// refused, check also returns the user, for the log and the event.
func (m *Middleware) check(
	r *http.Request, rs []Requirement, optional bool, t *trace,
) (*http.Request, *User, error) {
	c := bearer.Parse(r.Header["Authorization"], m.proofs.acceptedNames(), m.opts.MaxTokenLength)
	// earlierCheck is the result of an earlier guard of this middleware for the same credentials,
	// or nil.
	earlierCheck := m.contextOf(r)
	var user *User
	var list *confirmedProof
	anonymous := optional && (c.Kind == bearer.None || c.Kind == bearer.OtherScheme)
	switch {
	case anonymous:
	case earlierCheck != nil && m.isCurrent(earlierCheck.user, c.Token()):
		user, list = earlierCheck.user, earlierCheck.guardResult.confirmedProofs
	default:
		var err error
		if user, list, err = m.authenticate(r, &c, t); err != nil {
			return nil, user, withScopes(err, rs, nil)
		}
	}
	if earlierCheck == nil || earlierCheck.user != user || earlierCheck.guardResult.isOptional != optional {
		r = withUser(r, userContext{r.Context(), user, c.Line, m.resultFor(optional, list)})
	}
	if anonymous {
		return r, nil, nil
	}
	if err := checkAll(r.Context(), r, user, rs); err != nil {
		return nil, user, err
	}
	return r, user, nil
}

// Middleware.authenticate returns the user of the credentials, and the proofs of possession that
// were confirmed. If the token is valid and a proof is missing or wrong, it returns the user and
// the refusal.
func (m *Middleware) authenticate(r *http.Request, c *bearer.Credentials, t *trace) (*User, *confirmedProof, error) {
	switch c.Kind {
	case bearer.None:
		return nil, nil, refusalNoField
	case bearer.OtherScheme:
		return nil, nil, refuseScheme(m.proofs, c.Line)
	case bearer.Malformed:
		return nil, nil, refuse(ReasonMalformedRequest, m.malformedError(r.Header["Authorization"]))
	}
	user, err := m.validate(r.Context(), c.Token(), t)
	if err != nil {
		return nil, nil, err
	}
	switch {
	case user.isBound():
	case c.Scheme == 0 && m.opts.RequireProof:
		return user, nil, refuseUnbound(errUnbound)
	case c.Scheme == 0:
		return user, nil, nil
	case m.opts.RequireProof:
		return user, nil, refuseUnbound(m.proofs.unboundError(c))
	}
	list, err := m.proofs.confirmAll(r, user, c)
	return user, list, err
}

// Middleware.validate calls the TokenValidator with the token, and returns the user of the token.
func (m *Middleware) validate(ctx context.Context, token string, t *trace) (*User, error) {
	if (m.innerValidator == nil || m.isWrapped) && !bearer.IsToken68(token) {
		// A TokenValidator of the service must never receive text that can't be a token.
		return nil, refusalBadCredentials
	}
	user, err := m.validator.Validate(m.newTokenContext(ctx, token, t), token)
	switch {
	case err != nil && m.innerValidator != nil && !bearer.IsToken68(token):
		// A token with illegal characters is a malformed request (400) and not a bad token (401).
		// The characters are checked only after a refusal, because Validate accepts no token with
		// illegal characters.
		return nil, refusalBadCredentials
	case err != nil:
		return nil, err
	case user == nil:
		return nil, errors.New("TokenValidator returned neither user nor error")
	case m.isWrapped && m.innerValidator.isRevoked(user, token, time.Now()):
		// The TokenValidator is a wrapper around a Validator, and may cache users. So it can return
		// the user of a token that was revoked after the user was cached.
		return nil, refuse(ReasonRevoked, nil)
	}
	return user, nil
}

// Middleware.malformedError returns the error that says what is wrong with the Authorization field.
func (m *Middleware) malformedError(lines []string) error {
	if len(lines) > 1 {
		return errRepeated
	}
	if n := len(lines[0]) - len("Bearer "); n > m.opts.MaxTokenLength {
		return &tooLong{n, m.opts.MaxTokenLength, "Options.MaxTokenLength"}
	}
	return errCredentials
}
