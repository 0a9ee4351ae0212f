package identity

import (
	"crypto"
	"crypto/rand"
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

// AssertionConfig configures a signed token that tells the service who the user is. The gateway
// makes a new one for each request. It has the form of an access token (RFC 9068), and the service
// verifies it as an access token. With this library, the service needs Issuer, Audience and the URL
// of [Identity.JWKSHandler] as [xenaauth.Config.JWKSURL].
//
// The claims are:
//   - of the gateway: iss, aud, iat, exp and jti;
//   - of the access token, if it has them: sub, client_id, scope, sid, auth_time, acr, amr, and
//     Claims;
//   - token_iss: the issuer of the access token. Subjects, clients and sessions of two issuers may
//     have the same name. An assertion without token_iss is of a gateway with one issuer.
//
// A client that acts for itself has no sub. The service, like the gateway, accepts it only with
// [xenaauth.Config.AllowClientTokens].
type AssertionConfig struct {
	// Header is the field of the assertion. "" is X-Auth-Assertion.
	Header string
	// Issuer is the claim iss: the gateway. It is required, and must not be the issuer of access
	// tokens.
	Issuer string
	// Audience is the claim aud: the service. It is required. It must be neither an API for which
	// clients get access tokens, nor a client.
	Audience string
	// Lifetime is how long the assertion is valid. It never outlives the access token. 0 is one
	// minute; the maximum is 5 minutes.
	Lifetime time.Duration
	// Keys are ECDSA keys with P-256 (ES256) or Ed25519 keys (EdDSA). The first key signs, all are
	// published.
	Keys []crypto.Signer
	// Claims are further claims of the access token that are copied unchanged.
	Claims []string
	// WithHeaders also sets the unsigned fields, for services that do not verify the assertion yet.
	WithHeaders bool
}

// String names the issuer and the audience, and shows no key.
func (c AssertionConfig) String() string {
	return fmt.Sprintf("assertions of %q for %q, %d keys", c.Issuer, c.Audience, len(c.Keys))
}

// GoString returns String().
func (c AssertionConfig) GoString() string { return c.String() }

// LogValue returns String().
func (c AssertionConfig) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalJSON returns String() as JSON, so that a configuration that is dumped shows no key.
func (c AssertionConfig) MarshalJSON() ([]byte, error) { return json.Marshal(c.String()) }

type assertion struct {
	issuer, audience string
	lifetime         time.Duration
	claims           []string
	keys             atomic.Pointer[keys]
}

// issuerClaim is the claim with the issuer of the access token.
const issuerClaim = "token_iss"

// ownClaims are the claims that the gateway writes itself, and those that would make the token one
// of another kind. Config.Claims must not have them.
var ownClaims = []string{
	"iss", "aud", "exp", "nbf", "iat", "jti", "sub", "client_id", "azp", "scope", "scp", "sid",
	"auth_time", "acr", "amr", "cnf", "nonce", "at_hash", "c_hash", "events", "token_introspection",
	issuerClaim,
}

func newAssertion(c AssertionConfig) (*assertion, error) {
	a := &assertion{
		issuer: c.Issuer, audience: c.Audience, lifetime: c.Lifetime, claims: slices.Clone(c.Claims),
	}
	var errs []error
	wrong := func(field, format string, args ...any) {
		text := fmt.Sprintf(format, args...)
		errs = append(errs, fmt.Errorf("identity: Config.Assertion.%s %s", field, text))
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
		// A reader that ignores case must not find a claim twice.
		same := func(other string) bool { return strings.EqualFold(name, other) }
		if name == "" || slices.ContainsFunc(ownClaims, same) || slices.ContainsFunc(c.Claims[:k], same) {
			wrong("Claims", "has %q: it is empty, set by the assertion itself, or a repetition", name)
		}
	}
	set, err := newKeys(c.Keys)
	if err != nil {
		errs = append(errs, fmt.Errorf("identity: Config.Assertion.Keys: %w", err))
	}
	a.keys.Store(set)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return a, nil
}

// token returns the assertion for u.
func (a *assertion) token(u *xenaauth.User) (string, error) {
	now := time.Now()
	expires := now.Add(a.lifetime)
	if end := u.ExpiresAt(); !end.IsZero() && end.Before(expires) {
		expires = end
	}
	if expires.Unix() <= now.Unix() {
		// The access token passed only because of the clock skew that is allowed. An assertion would
		// be expired from the start.
		return "", &xenaauth.Error{Reason: xenaauth.ReasonExpired}
	}
	claims := map[string]any{
		"iss": a.issuer, "aud": a.audience, "iat": now.Unix(), "exp": expires.Unix(), "jti": rand.Text(),
		"client_id": u.ClientID(),
	}
	// Empty claims are left out: most services take an empty sub for an error.
	for name, value := range map[string]string{
		"sub":       u.Subject(),
		"sid":       u.SessionID(),
		"acr":       u.AuthenticationContext(),
		"scope":     strings.Join(scopeTokens(u), " "),
		issuerClaim: u.Issuer(),
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
			return "", fmt.Errorf("%w: %w", err, errForbidden)
		}
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("claims: %w", errForbidden)
	}
	token, err := a.keys.Load().signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("%w: %w", err, &xenaauth.Error{Reason: xenaauth.ReasonUnavailable})
	}
	return token, nil
}
