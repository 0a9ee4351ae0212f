package identity

import (
	"crypto"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/xenaauth/xenaauth"
)

// AssertionConfig is about a signed token, made anew for each request, that tells the service who the user is. It has
// the form of an access token of RFC 9068 and is verified as one, with this library for example: Issuer, and the URL of
// [Identity.JWKSHandler] as [xenaauth.Config.JWKSURL], are all that the service has to know.
//
// Its claims are iss, aud, iat, exp and jti of the gateway; sub, client_id, scope, sid, auth_time, acr and amr of the
// access token, as far as it has them; and Claims. A client that acts for itself has no sub: the service lets it in only
// with [xenaauth.Config.AllowClientTokens], like the gateway.
type AssertionConfig struct {
	// Header is the field that it is sent in. "" is X-Auth-Assertion.
	Header string
	// Issuer is the claim iss: the gateway. It is required, and must not be the issuer of access tokens.
	Issuer string
	// Audience is the claim aud: the service. It is required, and must not be an API that clients get access tokens for,
	// nor a client.
	Audience string
	// Lifetime is how long it is valid, but never for longer than the access token. 0 is a minute; 5 minutes is the most.
	Lifetime time.Duration
	// Keys are the keys, ECDSA with P-256 (ES256) or Ed25519 (EdDSA). The first one signs, all are published.
	Keys []crypto.Signer
	// Claims are further claims of the access token that are copied as they are.
	Claims []string
	// WithHeaders sets the bare fields beside it too, for services that don't verify it yet.
	WithHeaders bool
}

// String names the issuer and the audience, and shows no key.
func (c AssertionConfig) String() string {
	return fmt.Sprintf("assertions of %q for %q, %d keys", c.Issuer, c.Audience, len(c.Keys))
}

// GoString is String.
func (c AssertionConfig) GoString() string { return c.String() }

// LogValue is String.
func (c AssertionConfig) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalJSON is String, as JSON: a configuration that is dumped shows no key.
func (c AssertionConfig) MarshalJSON() ([]byte, error) { return json.Marshal(c.String()) }

type assertion struct {
	issuer, audience string
	lifetime         time.Duration
	claims           []string
	keys             atomic.Pointer[keys]
}

// ownClaims are those that the gateway writes itself, or that would make the token one of another kind.
var ownClaims = []string{
	"iss", "aud", "exp", "nbf", "iat", "jti", "sub", "client_id", "azp", "scope", "scp", "sid", "auth_time", "acr", "amr",
	"cnf", "nonce", "at_hash", "c_hash", "events", "token_introspection",
}

func newAssertion(c AssertionConfig) (*assertion, error) {
	a := &assertion{issuer: c.Issuer, audience: c.Audience, lifetime: c.Lifetime, claims: slices.Clone(c.Claims)}
	var errs []error
	wrong := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("identity: Config.Assertion.%s %s", field, fmt.Sprintf(format, args...)))
	}
	if c.Issuer == "" {
		wrong("Issuer", "is empty")
	}
	if c.Audience == "" {
		wrong("Audience", "is empty")
	}
	if a.lifetime == 0 {
		a.lifetime = time.Minute
	}
	if a.lifetime < time.Second || a.lifetime > 5*time.Minute {
		wrong("Lifetime", "is not within a second and 5 minutes")
	}
	for k, name := range c.Claims {
		// Readers that don't tell case must not find a claim of the gateway's twice either.
		same := func(other string) bool { return strings.EqualFold(name, other) }
		if name == "" || slices.ContainsFunc(ownClaims, same) || slices.ContainsFunc(c.Claims[:k], same) {
			wrong("Claims", "holds %q, which is empty, a claim of the assertion's own, or there twice", name)
		}
	}
	set, err := newKeys(c.Keys)
	if err != nil {
		wrong("Keys", "%v", err)
	}
	a.keys.Store(set)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return a, nil
}

// token makes the assertion for u.
func (a *assertion) token(u *xenaauth.User) (string, error) {
	now := time.Now()
	expires := now.Add(a.lifetime)
	if end := u.ExpiresAt(); !end.IsZero() && end.Before(expires) {
		expires = end
	}
	if expires.Unix() <= now.Unix() {
		// The access token passed by the skew that clocks are allowed. An assertion that is born dead helps nobody.
		return "", &xenaauth.Error{Reason: xenaauth.ReasonExpired}
	}
	claims := map[string]any{
		"iss": a.issuer, "aud": a.audience, "iat": now.Unix(), "exp": expires.Unix(), "jti": rand.Text(),
		"client_id": u.ClientID(),
	}
	// Empty ones are left out: a sub that is "" is no user to anybody, but an error to most.
	for name, value := range map[string]string{
		"sub": u.Subject(), "sid": u.SessionID(), "acr": u.AuthenticationContext(), "scope": strings.Join(scopeTokens(u), " "),
	} {
		if value != "" {
			claims[name] = value
		}
	}
	if methods := u.AuthenticationMethods(); len(methods) > 0 {
		claims["amr"] = methods
	}
	if at := u.AuthenticatedAt(); !at.IsZero() {
		claims["auth_time"] = at.Unix()
	}
	for _, name := range a.claims {
		var raw json.RawMessage
		if err := u.Claim(name, &raw); err == nil {
			claims[name] = raw
		} else if !errors.Is(err, xenaauth.ErrNoClaim) {
			return "", fmt.Errorf("%w: %w", err, forbidden)
		}
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("claims: %w", forbidden)
	}
	token, err := a.keys.Load().sign(base64.RawURLEncoding.EncodeToString(payload))
	if err != nil {
		return "", fmt.Errorf("%w: %w", err, &xenaauth.Error{Reason: xenaauth.ReasonUnavailable})
	}
	return token, nil
}
