package xenaauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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

// User is the user of a valid access token, and what the token says. It never changes, and all
// requests with that token share it. Accessors return copies. It does not contain the token.
type User struct {
	set     *claims.Set
	parties claims.Parties // the subject may be one that Config.Subject found
	scopes  claims.NameSet // of parties.Scopes

	audienceUnchecked bool // then only a scope tells whether the token is for this API
}

// indexScopes prepares HasScope. The index may take much memory, so it is made only for claims that
// are believed.
func (u *User) indexScopes() { u.scopes = claims.NewNameSet(u.parties.Scopes) }

// size is about how many bytes of memory the user takes, with its claims.
func (u *User) size() int {
	n := int(unsafe.Sizeof(*u)) + u.set.Size() + u.scopes.Size()
	if cap(u.parties.Scopes) > claims.ManyNames {
		n += int(unsafe.Sizeof("")) * cap(u.parties.Scopes)
	}
	return n
}

// NewUser returns the user of a set of claims. claimSet is a value that [json.Marshal] encodes as
// an object. NewUser is for a [TokenValidator] of your own, and for tests of handlers. It checks
// only the types of the claims.
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

// Subject is the id of the user: the claim sub, or what [Config.Subject] found for a token without
// a user. It is "" if the token has no sub, or its sub is its client, and
// [Config.AllowClientTokens] accepts such tokens: the client acts for itself.
func (u *User) Subject() string { return u.parties.Subject }

// ClientID is the application that calls: the claim client_id (RFC 9068, section 2.2), or azp if
// there is no client_id.
func (u *User) ClientID() string { return u.parties.ClientID }

// Issuer is the claim iss. If an introspection response has no iss, it is [Config.Issuer]. Subject,
// SessionID and TokenID are unique only together with Issuer.
func (u *User) Issuer() string { return u.set.Issuer }

// Audience is the claim aud, as a list.
func (u *User) Audience() []string { return slices.Clone(u.set.Audience) }

// Scopes are the scope tokens of the access token (RFC 6749, section 3.3), from the claim scope or
// scp.
func (u *User) Scopes() []string { return slices.Clone(u.parties.Scopes) }

// HasScope reports whether the token has a scope. The comparison is exact.
func (u *User) HasScope(scope string) bool {
	return u.scopes.Has(scope)
}

// SessionID is the claim sid: the login session at the issuer, or "".
func (u *User) SessionID() string { return u.set.SessionID }

// TokenID is the claim jti, or "". Several tokens may have the same jti: IdentityServer4 keeps it
// when a token is refreshed.
func (u *User) TokenID() string { return u.set.ID }

// IdentityProvider is the claim idp: where the user logged in. It is "local" for the issuer itself,
// and "" if the token has no idp.
func (u *User) IdentityProvider() string { return u.set.StringOf(claims.Idp) }

// AuthenticationMethods is the claim amr (RFC 8176), as a list.
func (u *User) AuthenticationMethods() []string { return u.set.StringsOf(claims.Amr) }

// AuthenticationContext is the claim acr (OpenID Connect Core 1.0, section 2), or "".
func (u *User) AuthenticationContext() string { return u.set.StringOf(claims.Acr) }

// AuthenticatedAt is the claim auth_time: when the user logged in. It is zero if there is no
// auth_time.
func (u *User) AuthenticatedAt() time.Time { return moment(u.set.TimeOf(claims.AuthTime)) }

// IssuedAt is the claim iat, or zero. IdentityServer4 keeps it when a token is refreshed: see
// [User.NotBefore].
func (u *User) IssuedAt() time.Time { return moment(u.set.IssuedAt) }

// NotBefore is the claim nbf, or zero. At IdentityServer it is when this token was issued.
func (u *User) NotBefore() time.Time { return moment(u.set.NotBefore) }

// ExpiresAt is the claim exp. It is zero only if the token was introspected and the response has no
// exp.
func (u *User) ExpiresAt() time.Time { return moment(u.set.ExpiresAt) }

func moment(seconds int64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0)
}

// ErrNoClaim is what [User.Claim] returns if the token does not have the claim.
var ErrNoClaim = errors.New("xenaauth: no such claim")

// Claim decodes one claim into v, which is a pointer as for [json.Unmarshal]. The name is exact.
//
// IdentityServer writes a claim with one value as a scalar, and booleans and numbers often as
// strings. So a *[]string also accepts a string, a *bool also "true" and "false" in any case, and
// an *int or *int64 also a string of digits. A *time.Time accepts the seconds of a NumericDate (RFC
// 7519, section 2). The error is [ErrNoClaim], or says that the value does not fit.
func (u *User) Claim(name string, v any) error {
	raw, ok := u.set.Find(name)
	if !ok {
		return ErrNoClaim
	}
	if lenient(raw, v) {
		return nil
	}
	if err := json.Unmarshal([]byte(raw), v); err != nil {
		return fmt.Errorf("xenaauth: claim %q doesn't fit into %T", name, v)
	}
	return nil
}

// Claims decodes all claims into v, as [json.Unmarshal] does: into a map[string]any, or a struct of
// your own.
func (u *User) Claims(v any) error { return json.Unmarshal([]byte(u.set.Raw), v) }

// lenient decodes the loose forms of a value: see [User.Claim]. It reports whether the value has
// one.
func lenient(raw string, v any) bool {
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

// String returns the subject and the client, as text for people.
func (u *User) String() string {
	if u == nil {
		return "no user"
	}
	return fmt.Sprintf("user %q of client %q", u.parties.Subject, u.parties.ClientID)
}

// GoString is String, so that %#v does not show the claims.
func (u *User) GoString() string { return u.String() }

// LogValue returns the subject and the client, and no other claim.
func (u *User) LogValue() slog.Value {
	if u == nil {
		return slog.StringValue(u.String())
	}
	return slog.GroupValue(slog.String("sub", u.parties.Subject), slog.String("client_id", u.parties.ClientID))
}

// MarshalJSON returns the subject, the client, the scopes and the expiry.
func (u *User) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Subject  string `json:"sub,omitempty"`
		ClientID string `json:"client_id"`
		Scope    string `json:"scope,omitempty"`
		Expires  int64  `json:"exp,omitempty"`
	}{u.parties.Subject, u.parties.ClientID, strings.Join(u.parties.Scopes, " "), u.set.ExpiresAt})
}

type userKey struct{}

// userContext carries the user of a request, and what a later guard or a response needs to know
// about the check. The user belongs to the credentials: if a request borrows this context and has
// another Authorization field, or none, the user is not the user of that request.
type userContext struct {
	context.Context
	user        *User       // nil for a request without a user
	by          *Middleware // nil if the user was put there by ContextWithUser
	credentials bearer.Credentials
	confirmed   *confirmed // the proofs of possession that were confirmed for this request
	optional    bool       // the route also accepts requests without a token
}

func (c *userContext) Value(key any) any {
	if _, ok := key.(userKey); ok {
		return c
	}
	return c.Context.Value(key)
}

// String keeps the credentials out of a context that is printed.
func (c *userContext) String() string { return fmt.Sprintf("%v with %v", c.Context, c.user) }

// GoString is String.
func (c *userContext) GoString() string { return c.String() }

// contextOf returns what an earlier guard of this middleware found out about the same credentials,
// or nil.
func (m *Middleware) contextOf(r *http.Request) *userContext {
	c, ok := r.Context().Value(userKey{}).(*userContext)
	if !ok || c.by != m || !c.credentials.Same(r.Header["Authorization"]) {
		return nil
	}
	return c
}

// isCurrent reports whether the token of the user that an earlier guard found is still valid. It
// reports false if the validator can't tell: then the token is validated again.
func (m *Middleware) isCurrent(c *userContext) bool {
	if c.user == nil || m.inner == nil {
		return false
	}
	now := time.Now() // a context may live for longer than a token
	if exp := c.user.ExpiresAt(); !exp.IsZero() && now.After(exp) {
		return false
	}
	return !m.inner.isRevoked(c.user, c.credentials.Token(), now)
}

// UserFromContext returns the user that a [Middleware] or [ContextWithUser] put into the context of
// a request.
func UserFromContext(ctx context.Context) (*User, bool) {
	c, ok := ctx.Value(userKey{}).(*userContext)
	if !ok || c.user == nil {
		return nil, false
	}
	return c.user, true
}

// ContextWithUser returns a context that carries u, for unit tests of handlers. It never satisfies a
// [Middleware]: only a token does.
func ContextWithUser(ctx context.Context, u *User) context.Context {
	return &userContext{Context: ctx, user: u}
}

// withoutUser returns a request whose context has no user. A user that another package put there
// is hidden.
func withoutUser(r *http.Request) *http.Request {
	if _, planted := UserFromContext(r.Context()); planted {
		return r.WithContext(&userContext{Context: r.Context()})
	}
	return r
}
