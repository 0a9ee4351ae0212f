package xenaauthtest

import (
	"encoding/base64"
	"time"
)

// What a Token has unless it says otherwise.
const (
	defaultSubject  = "104711"
	defaultClientID = "9213946e-e688-4aab-8fc8-3d914a2ac275.xena.biz"
	defaultLifetime = time.Hour
	apiScope        = "testapi"
)

// Token says what an access token is to contain. The zero value is a token of
// a user of the Xena API, valid for an hour.
type Token struct {
	// Subject is the user's id. Empty is "104711".
	Subject string

	// ClientID is the id of the application. Empty is
	// "9213946e-e688-4aab-8fc8-3d914a2ac275.xena.biz".
	ClientID string

	// Scopes are the scopes granted. Nil is openid, profile, testapi and
	// offline_access, and for a Machine token testapi alone; an empty list is
	// no scope. The token is for the API whatever its scopes are, so one that
	// lacks a scope is refused with 403. (An IdentityServer leaves the API out
	// of the audience of a token with identity scopes alone, for which the
	// answer is 401: the Claims {"aud": nil} make such a token.)
	Scopes []string

	// Lifetime is how long the token is valid from now on, in whole seconds.
	// Zero is one hour. If negative, the token expired that long ago and had
	// become valid an hour before.
	Lifetime time.Duration

	// Machine makes it a token from the client credentials grant, with no
	// sub, auth_time, idp, amr and sid. The further Claims are then claims of
	// the client, which IdentityServer prefixes with "client_"; protocol
	// claims such as sub or exp, and names that have the prefix already,
	// are taken as they are.
	Machine bool

	// Claims are further claims. They override those above, and a nil value
	// removes a claim.
	Claims map[string]any

	// Header does for the JOSE header what Claims does for the claims.
	Header map[string]any
}

// JWT returns a signed access token in the shape of the issuer's version.
// Versions without jti make the same token of the same t within a second if the
// algorithm is deterministic; they share their fate at [Issuer.Revoke].
func (i *Issuer) JWT(t Token) string {
	key := i.keys.current()
	header := override(i.header(key, i.accessTokenType()), t.Header)
	token := key.token(mustMarshal(header), mustMarshal(i.Claims(t)))
	i.remember(token, nil)
	return token
}

// Opaque returns a reference token: a random string that the introspection
// endpoint knows. The Header of t is of no effect.
func (i *Issuer) Opaque(t Token) string {
	random := randomBytes(32)
	var token string
	switch i.opts.Version {
	case IdentityServer4:
		token = upperHex(random)
	case Duende:
		token = upperHex(random) + "-1"
	default:
		token = base64.RawURLEncoding.EncodeToString(random)
	}
	i.remember(token, mustMarshal(i.Claims(t)))
	return token
}

// IDToken returns an ID token for the user and client of t, which a resource
// server must refuse though its signature is good. It has neither client_id nor
// scope; the Scopes and Machine of t are of no effect.
func (i *Issuer) IDToken(t Token) string {
	key := i.keys.current()
	exp, nbf := t.times()
	claims := map[string]any{
		"nbf":       nbf,
		"exp":       exp,
		"iss":       i.id,
		"aud":       t.clientID(),
		"nonce":     upperHex(randomBytes(16)),
		"iat":       nbf,
		"at_hash":   base64.RawURLEncoding.EncodeToString(randomBytes(key.hash().Size() / 2)),
		"sid":       upperHex(randomBytes(16)),
		"sub":       t.subject(),
		"auth_time": nbf - 10,
		"idp":       "local",
		"amr":       i.authenticationMethods(),
	}
	header := override(i.header(key, "JWT"), t.Header)
	return key.token(mustMarshal(header), mustMarshal(override(claims, t.Claims)))
}

// LogoutToken returns a back-channel logout token for the user and client of
// t, which a resource server must refuse. Duende marks it as one; the others
// give it the type of their access tokens. The Scopes and Machine of t are of
// no effect.
func (i *Issuer) LogoutToken(t Token) string {
	key := i.keys.current()
	exp, nbf := t.times()
	claims := map[string]any{
		"nbf":    nbf,
		"exp":    exp,
		"iss":    i.id,
		"sub":    t.subject(),
		"aud":    t.clientID(),
		"iat":    nbf,
		"jti":    upperHex(randomBytes(16)),
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
		"sid":    upperHex(randomBytes(16)),
	}
	typ := i.accessTokenType()
	if i.opts.Version == Duende {
		typ = "logout+jwt"
	}
	header := override(i.header(key, typ), t.Header)
	return key.token(mustMarshal(header), mustMarshal(override(claims, t.Claims)))
}

// Sign signs exactly this header and these claims with the current key: alg
// and kid are not added, and whatever alg says, the algorithm is the key's. The
// introspection endpoint knows the token. It panics if a value has no JSON.
func (i *Issuer) Sign(header, claims map[string]any) string {
	token := i.SignBytes(mustMarshal(header), mustMarshal(claims))
	i.remember(token, nil)
	return token
}

// SignBytes is like [Issuer.Sign] for a header and payload that need not be
// JSON. The introspection endpoint does not know the token.
func (i *Issuer) SignBytes(header, payload []byte) string {
	return i.keys.current().token(header, payload)
}

func (t Token) subject() string {
	if t.Subject == "" {
		return defaultSubject
	}
	return t.Subject
}

func (t Token) clientID() string {
	if t.ClientID == "" {
		return defaultClientID
	}
	return t.ClientID
}

func (t Token) scopes() []string {
	switch {
	case t.Scopes != nil:
		return t.Scopes
	case t.Machine:
		return []string{apiScope}
	default:
		return []string{"openid", "profile", apiScope, "offline_access"}
	}
}

// times returns exp and nbf in seconds since the epoch.
func (t Token) times() (exp, nbf int64) {
	now := time.Now()
	switch {
	case t.Lifetime < 0:
		end := now.Add(t.Lifetime)
		return end.Unix(), end.Add(-defaultLifetime).Unix()
	case t.Lifetime == 0:
		return now.Add(defaultLifetime).Unix(), now.Unix()
	default:
		return now.Add(t.Lifetime).Unix(), now.Unix()
	}
}
