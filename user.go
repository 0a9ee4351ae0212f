package xenaauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"github.com/xenaauth/xenaauth/internal/bearer"
	"github.com/xenaauth/xenaauth/internal/claims"
)

// User is the user of a valid access token, with the claims of that token. It does not contain the
// token itself. A User never changes, and requests with the same token may share it. So methods
// that return a slice return a copy.
type User struct {
	set *claims.Set
	// parties contains the user, the client and the scopes that the claims name. If the claims name
	// no user, parties.Subject is the id that Config.Subject found, or "".
	parties    claims.Parties
	scopeIndex claims.NameSet // scopeIndex is the index that HasScope uses

	// audienceUnchecked is Config.AllowAnyAudience. If it is true, a scope must show that the token
	// is for this API.
	audienceUnchecked bool
}

// indexScopes prepares the index that HasScope uses. It is called only for a verified token,
// because the index for a forged token could take much memory.
func (u *User) indexScopes() { u.scopeIndex = claims.NewNameSet(u.parties.Scopes) }

// User.size estimates how many bytes of memory the user takes, including its claims.
func (u *User) size() int {
	n := int(unsafe.Sizeof(*u)) + u.set.Size() + u.scopeIndex.Size()
	if cap(u.parties.Scopes) > claims.ManyNames {
		n += int(unsafe.Sizeof("")) * cap(u.parties.Scopes)
	}
	return n
}

// NewUser returns a user with the claims in claimSet. claimSet is a value that [json.Marshal]
// encodes as an object, for example a map. NewUser is for a [TokenValidator] of your own, and for
// tests of handlers. It checks the types of the claims, but not their values.
func NewUser(claimSet any) (*User, error) {
	text, err := json.Marshal(claimSet)
	if err != nil {
		return nil, fmt.Errorf("xenaauth: claims: %w", err)
	}
	set, err := claims.Parse(string(text), claims.Answer)
	if err != nil {
		return nil, fmt.Errorf("xenaauth: claims: %w", err)
	}
	var names claims.PartyNames
	u := &User{set: set, parties: names.Read(set)}
	u.indexScopes()
	return u, nil
}

// Subject is the id of the user: the claim sub, or the id that [Config.Subject] found. It is "" if
// a client acts for itself: the token has no sub or its sub is its client, and
// [Config.AllowClientTokens] accepts it.
func (u *User) Subject() string { return u.parties.Subject }

// ClientID is the id of the application that sent the request: the claim client_id (RFC 9068,
// section 2.2), or azp if there is no client_id. If [Config.ClientClaims] is set, it is the first
// of those claims.
func (u *User) ClientID() string { return u.parties.ClientID }

// Issuer is the claim iss, or [Config.Issuer] if an introspection response has no iss. Subject,
// SessionID and TokenID are unique only together with Issuer.
func (u *User) Issuer() string { return u.set.Issuer }

// Audience is the claim aud. A single audience is a list with one element.
func (u *User) Audience() []string { return slices.Clone(u.set.Audience) }

// Scopes are the scopes of the access token (RFC 6749, section 3.3), from the claim scope or scp,
// or from a claim of [Config.ScopeClaims].
func (u *User) Scopes() []string { return slices.Clone(u.parties.Scopes) }

// HasScope reports whether the token has the given scope. Scopes that differ only in upper and
// lower case are different scopes.
func (u *User) HasScope(scope string) bool { return u.scopeIndex.Has(scope) }

// SessionID is the claim sid, which names the login session at the issuer, or "".
func (u *User) SessionID() string { return u.set.SessionID }

// TokenID is the claim jti, or "". Several tokens may have the same jti: IdentityServer4 keeps it
// when a token is refreshed.
func (u *User) TokenID() string { return u.set.ID }

// IdentityProvider is the claim idp, which names the server where the user logged in, or "".
// "local" is the issuer itself.
func (u *User) IdentityProvider() string { return u.set.StringOf(claims.Idp) }

// AuthenticationMethods is the claim amr (RFC 8176): how the user logged in.
func (u *User) AuthenticationMethods() []string { return u.set.StringsOf(claims.Amr) }

// AuthenticationContext is the claim acr (OpenID Connect Core 1.0, section 2). It says how reliable
// the login is. It is "" if the token has no acr.
func (u *User) AuthenticationContext() string { return u.set.StringOf(claims.Acr) }

// AuthenticatedAt is the claim auth_time: when the user logged in. It is the zero time if the token
// has no auth_time.
func (u *User) AuthenticatedAt() time.Time { return moment(u.set.TimeOf(claims.AuthTime)) }

// IssuedAt is the claim iat, or the zero time. IdentityServer4 keeps iat when a token is refreshed,
// so [User.NotBefore] may be later.
func (u *User) IssuedAt() time.Time { return moment(u.set.IssuedAt) }

// NotBefore is the claim nbf, or the zero time. At IdentityServer it is when this token was issued.
func (u *User) NotBefore() time.Time { return moment(u.set.NotBefore) }

// ExpiresAt is the claim exp. It is the zero time only if an introspection response, or the claims
// for [NewUser], have no exp.
func (u *User) ExpiresAt() time.Time { return moment(u.set.ExpiresAt) }

func moment(seconds int64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0)
}

// ErrNoClaim is what [User.Claim] returns if the token does not have the claim.
var ErrNoClaim = errors.New("xenaauth: no such claim")

// Claim decodes the value of a claim into v, which is a pointer as for [json.Unmarshal]. name is
// the exact name of the claim, in upper and lower case.
//
// If a list has only one element, IdentityServer writes the element without the list: "a" in place
// of ["a"]. It often writes booleans and numbers as strings. So if v is a *[]string, Claim also
// accepts a string. If v is a *bool, it also accepts the strings "true" and "false", in upper or
// lower case. If v is an *int or *int64, it also accepts a string of digits. If v is a *time.Time,
// Claim accepts a number of seconds (NumericDate in RFC 7519, section 2), also as a string, and a
// time in the form of RFC 3339. The error is [ErrNoClaim], or says that the value does not fit.
func (u *User) Claim(name string, v any) error {
	raw, ok := u.set.Find(name)
	if !ok {
		return ErrNoClaim
	}
	if decodeLoosely(raw, v) {
		return nil
	}
	var err error
	switch v := v.(type) {
	case *[]string:
		err = decodeWhole(raw, nil, v)
	case *time.Time:
		err = decodeWhole(raw, *v, v)
	default:
		err = json.Unmarshal([]byte(raw), v)
	}
	if err != nil {
		return fmt.Errorf("xenaauth: claim %q doesn't fit into %T", name, v)
	}
	return nil
}

// decodeWhole decodes the JSON text raw into *v. If raw does not fit, it does not change *v. For
// this, [json.Unmarshal] first decodes raw into the parameter value, which is a copy.
func decodeWhole[T any](raw string, value T, v *T) error {
	err := json.Unmarshal([]byte(raw), &value)
	if err == nil {
		*v = value
	}
	return err
}

// Claims decodes all claims of the token into v, as [json.Unmarshal] does. v is a pointer to a
// map[string]any or to a struct of your own.
func (u *User) Claims(v any) error { return json.Unmarshal([]byte(u.set.Raw), v) }

// decodeLoosely decodes raw into v if raw is one of the loose forms that [User.Claim] describes,
// such as "true" in quotation marks for a bool. It reports whether raw is such a form.
func decodeLoosely(raw string, v any) bool {
	var text string
	quoted := strings.HasPrefix(raw, `"`) && json.Unmarshal([]byte(raw), &text) == nil
	switch v := v.(type) {
	case *[]string:
		if quoted {
			*v = []string{text}
		}
		return quoted
	case *bool:
		if b, ok := map[string]bool{"true": true, "false": false}[strings.ToLower(text)]; quoted && ok {
			*v = b
			return true
		}
	case *int:
		if n, err := strconv.Atoi(text); quoted && err == nil {
			*v = n
			return true
		}
	case *int64:
		if n, err := strconv.ParseInt(text, 10, 64); quoted && err == nil {
			*v = n
			return true
		}
	case *time.Time:
		if !quoted {
			text = raw
		}
		if seconds, err := strconv.ParseFloat(text, 64); err == nil && seconds >= 0 && seconds < 1<<40 {
			*v = time.Unix(int64(seconds), 0)
			return true
		}
	}
	return false
}

// String returns the subject and the client of the user. It does not show other claims.
func (u *User) String() string {
	if u == nil {
		return "no user"
	}
	return fmt.Sprintf("user %q of client %q", u.parties.Subject, u.parties.ClientID)
}

// GoString returns the same text as String, so that %#v does not show other claims.
func (u *User) GoString() string { return u.String() }

// LogValue returns the subject and the client, so that a log record shows no other claims.
func (u *User) LogValue() slog.Value {
	if u == nil {
		return slog.StringValue(u.String())
	}
	return slog.GroupValue(slog.String("sub", u.parties.Subject), slog.String("client_id", u.parties.ClientID))
}

// MarshalJSON returns the subject, the client and the scopes of the user, and when the token
// expires. It does not show other claims.
func (u *User) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Subject  string `json:"sub,omitempty"`
		ClientID string `json:"client_id"`
		Scope    string `json:"scope,omitempty"`
		Expires  int64  `json:"exp,omitempty"`
	}{u.parties.Subject, u.parties.ClientID, strings.Join(u.parties.Scopes, " "), u.set.ExpiresAt})
}

type userKey struct{}

// userContext carries the user of a request, and the results of the check that a later guard or the
// response needs. The user belongs to the credentials of that request. If code uses this context
// for a request with another Authorization field, or without one, the second request does not get
// the user.
type userContext struct {
	context.Context
	user          *User  // user is nil if the request has no user
	authorization string // authorization is the Authorization field of the request; it may be ""
	guardResult   *guardResult
}

// guardResult says how a middleware has checked a request. userContext has a pointer to a
// guardResult, because most requests share one of two values: Middleware.requiredResult and
// Middleware.optionalResult. Only a request with a proof of possession has a value of its own.
type guardResult struct {
	// checkedBy is the middleware that has checked the request, or nil if none has
	checkedBy  *Middleware
	isOptional bool // isOptional means that the route accepts requests without a token
	// confirmedProofs is the list of the proofs of possession that were confirmed for the request
	confirmedProofs *confirmedProof
}

// uncheckedResult is the value of userContext.guardResult for a context that no middleware has
// made. Such a context comes from ContextWithUser or withoutUser.
var uncheckedResult guardResult

// Middleware.resultFor returns the value of userContext.guardResult for a request that the
// middleware m has allowed. list contains the proofs of possession that were confirmed.
func (m *Middleware) resultFor(optional bool, list *confirmedProof) *guardResult {
	switch {
	case list != nil:
		return &guardResult{m, optional, list}
	case optional:
		return &m.optionalResult
	}
	return &m.requiredResult
}

func (c *userContext) Value(key any) any {
	if _, ok := key.(userKey); ok {
		return c
	}
	return c.Context.Value(key)
}

// String returns the text that fmt prints for a userContext. The text does not contain the
// credentials.
func (c *userContext) String() string { return fmt.Sprintf("%v with %v", c.Context, c.user) }

// GoString returns the same text as String, so that %#v shows no credentials.
func (c *userContext) GoString() string { return c.String() }

// withUser returns a copy of r whose context is c. The copy and its context are one allocation,
// because the middleware needs both for every request that it allows.
func withUser(r *http.Request, c userContext) *http.Request {
	both := &struct {
		request http.Request
		context userContext
	}{context: c}
	both.request = *r.WithContext(&both.context)
	return &both.request
}

// contextOf returns the userContext that an earlier guard of this middleware has made for the
// request r with the same credentials. It looks only at the userContext that was made last, and
// returns nil if that is not from such a guard.
func (m *Middleware) contextOf(r *http.Request) *userContext {
	c, ok := r.Context().Value(userKey{}).(*userContext)
	if !ok || !m.isFor(c, r) {
		return nil
	}
	return c
}

// Middleware.isFor reports whether a guard of this middleware has made the context c for the
// request r. r must have the same credentials. If a proof of possession was confirmed, r must also
// have the same method, host and target.
func (m *Middleware) isFor(c *userContext, r *http.Request) bool {
	result := c.guardResult
	return result.checkedBy == m && bearer.Same(c.authorization, r.Header["Authorization"]) &&
		result.confirmedProofs.isFor(r)
}

// hasReported reports whether an earlier guard of this middleware has allowed the request r. That
// guard has reported this to the hook Options.Event, so a later guard does not report it again.
func (m *Middleware) hasReported(r *http.Request) bool {
	for c := range userContexts(r.Context()) {
		if m.isFor(c, r) {
			return true
		}
	}
	return false
}

// userContexts returns all userContexts inside the context ctx. The userContext that was made last
// comes first.
func userContexts(ctx context.Context) iter.Seq[*userContext] {
	return func(yield func(*userContext) bool) {
		for {
			c, ok := ctx.Value(userKey{}).(*userContext)
			if !ok || !yield(c) {
				return
			}
			ctx = c.Context
		}
	}
}

// isCurrent reports whether a token that an earlier guard validated is still valid: whether it has
// not expired and was not revoked. u is the user of the token, or nil. If the TokenValidator of m
// contains no Validator, isCurrent can't find out whether the token is still valid. The result is
// then false, and the token is validated again.
func (m *Middleware) isCurrent(u *User, token string) bool {
	if u == nil || m.innerValidator == nil {
		return false
	}
	// Read the clock again, because the context may be used long after the token was validated.
	now := time.Now()
	if exp := u.ExpiresAt(); !exp.IsZero() && now.After(exp) {
		return false
	}
	return !m.innerValidator.isRevoked(u, token, now)
}

// UserFromContext returns the user in the context of a request. A [Middleware] puts the user there,
// or [ContextWithUser] in a test.
func UserFromContext(ctx context.Context) (*User, bool) {
	c, ok := ctx.Value(userKey{}).(*userContext)
	if !ok || c.user == nil {
		return nil, false
	}
	return c.user, true
}

// ContextWithUser returns a context with the user u, for unit tests of handlers. A [Middleware]
// ignores this user: it requires a token.
func ContextWithUser(ctx context.Context, u *User) context.Context {
	return &userContext{Context: ctx, user: u, guardResult: &uncheckedResult}
}

// withoutUser returns r with a context that has no user. If other code has put a user into the
// context of r, withoutUser hides this user.
func withoutUser(r *http.Request) *http.Request {
	if _, hasUser := UserFromContext(r.Context()); hasUser {
		return r.WithContext(&userContext{Context: r.Context(), guardResult: &uncheckedResult})
	}
	return r
}
