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

// AssertionConfig configures the assertion: a signed token that tells the service who the user is.
// The gateway signs a new assertion for each request. An assertion has the form of an access token
// (RFC 9068), and the service verifies it in the same way as an access token. A service that uses
// this library needs Issuer, Audience and, as [xenaauth.Config.JWKSURL], the URL of
// [Identity.JWKSHandler].
//
// The assertion has these claims:
//   - the gateway's own iss, aud, iat, exp and jti;
//   - sub, client_id, scope, sid, auth_time, acr and amr, with the values of the [xenaauth.User].
//     A claim without a value is left out;
//   - those in Claims, copied from the access token if it has them;
//   - token_iss, the issuer of the access token. Two issuers may use the same subject, client or
//     session. An older gateway does not write token_iss, and has a single issuer.
//
// If a client acts for itself, the assertion has no sub. Set [xenaauth.Config.AllowClientTokens] in
// the gateway and in the service: otherwise the gateway refuses the access token, and the service
// refuses the assertion.
//
// If the access token names no client, the assertion has no client_id. The gateway accepts such a
// token only with [xenaauth.Config.AllowMissingClientID]. A service that uses this library refuses
// an assertion that names no client. It accepts the assertion if [xenaauth.Config.ClientClaims] is
// {"client_id", "token_iss"}: the issuer of the access token then counts as the client.
type AssertionConfig struct {
	// Header is the name of the field that contains the assertion. The default is X-Auth-Assertion.
	Header string
	// Issuer is the claim iss, which names the gateway. It is required, and must not be the issuer
	// of access tokens.
	Issuer string
	// Audience is the claim aud, which names the service. It is required. Audience must be neither
	// the audience of access tokens nor the ID of a client.
	Audience string
	// Lifetime is for how long an assertion is valid. If the access token expires earlier, the
	// assertion expires at the same time as the access token. The default is one minute. Other
	// values must be between one second and 5 minutes.
	Lifetime time.Duration
	// Keys are private keys: ECDSA with P-256 (ES256) or Ed25519 (EdDSA). The first key signs. The
	// public keys of all Keys are published.
	Keys []crypto.Signer
	// Claims are the names of further claims, which are copied unchanged from the access token.
	Claims []string
	// WithHeaders sends the header fields of [Config], for example X-Auth-User, in addition to the
	// assertion. These fields are not signed. They are for services that do not verify the
	// assertion yet.
	WithHeaders bool
}

// String returns a text for logs: the issuer and the audience of the assertions, and the number of
// keys. The text does not contain the keys themselves.
func (c AssertionConfig) String() string {
	return fmt.Sprintf("assertions of %q for %q, %d keys", c.Issuer, c.Audience, len(c.Keys))
}

// GoString returns the text of String. This text does not contain the keys.
func (c AssertionConfig) GoString() string { return c.String() }

// LogValue returns the text of String as a value for a log. This text does not contain the keys.
func (c AssertionConfig) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalJSON returns the text of String as JSON. So a configuration that is written as JSON does
// not contain the keys.
func (c AssertionConfig) MarshalJSON() ([]byte, error) { return json.Marshal(c.String()) }

type assertion struct {
	issuer, audience string
	lifetime         time.Duration
	claims           []string
	keys             atomic.Pointer[signingKeys]
}

// issuerClaim is the name of the claim with the issuer of the access token.
const issuerClaim = "token_iss"

// reservedClaims are the claims that AssertionConfig.Claims must not list. The gateway writes some
// of them itself. The others would change how a service reads the assertion: when it is valid
// (nbf), its client and scopes (azp, scp), whether it needs a proof of possession (cnf), or what
// kind of token it is.
var reservedClaims = []string{
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
		// Two names of claims must differ in more than upper and lower case. Some programs ignore
		// case when they read claims, and would take both names for the same claim.
		same := func(other string) bool { return strings.EqualFold(name, other) }
		if name == "" || slices.ContainsFunc(reservedClaims, same) || slices.ContainsFunc(c.Claims[:k], same) {
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

// assertion.makeToken returns a new assertion for the user u.
func (a *assertion) makeToken(u *xenaauth.User) (string, error) {
	now := time.Now()
	expires := now.Add(a.lifetime)
	if end := u.ExpiresAt(); !end.IsZero() && end.Before(expires) {
		expires = end
	}
	if expires.Unix() <= now.Unix() {
		// The access token has expired. The middleware accepted it only because of the clock skew.
		// An assertion expires no later than its access token, so it would already be expired too.
		return "", &xenaauth.Error{Reason: xenaauth.ReasonExpired}
	}
	claims := map[string]any{
		"iss": a.issuer, "aud": a.audience, "iat": now.Unix(), "exp": expires.Unix(), "jti": rand.Text(),
	}
	// If the user has no value for one of the claims sub, client_id, sid, acr, scope and token_iss,
	// the assertion does not contain this claim. The reason is that most services refuse an empty
	// sub or client_id.
	for name, value := range map[string]string{
		"sub":       u.Subject(),
		"client_id": u.ClientID(),
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
