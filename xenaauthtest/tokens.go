package xenaauthtest

import (
	"encoding/base64"
	"time"
)

// These constants are the values that a Token has if its fields are not set.
const (
	defaultSubject  = "104711"
	defaultClientID = "9213946e-e688-4aab-8fc8-3d914a2ac275.xena.biz"
	defaultLifetime = time.Hour
	apiScope        = "testapi"
)

// Token describes an access token. The zero value describes a token of a user of the Xena API that
// is valid for an hour.
type Token struct {
	// Subject is the id of the user. "" means "104711".
	Subject string

	// ClientID is the id of the application. "" means
	// "9213946e-e688-4aab-8fc8-3d914a2ac275.xena.biz".
	ClientID string

	// Scopes are the granted scopes. nil means openid, profile, testapi and offline_access, or only
	// testapi for a Machine token. An empty list means no scope. The token is always for the API,
	// so a route that requires another scope responds with 403. (The real IdentityServer writes no
	// audience into a token that has identity scopes only. Such a token gets 401. To make one, set
	// Claims to {"aud": nil}.)
	Scopes []string

	// Lifetime is the time from now until the token expires, in whole seconds. 0 means one hour. If
	// Lifetime is negative, the token has already expired, and it was issued one hour before it
	// expired. A validator still accepts a token that expired less than [xenaauth.Config].ClockSkew
	// ago. The default of ClockSkew is 30 seconds, so use -time.Minute for a token that is refused.
	Lifetime time.Duration

	// Machine makes a token of the client credentials grant. This token has no sub, auth_time, idp,
	// amr and sid. IdentityServer writes the claims of a client with the prefix "client_", so the
	// names in Claims get this prefix. Names of protocol claims, such as sub or exp, and names that
	// already have the prefix stay unchanged.
	Machine bool

	// BoundTo binds the token to the key of a client: the claim cnf gets jkt for a client of
	// [NewDPoPClient], and x5t#S256 for a client of [NewMTLSClient]. The introspection response for
	// a token with jkt has the token_type DPoP. nil means that the token is not bound to a key.
	BoundTo *Client

	// Claims are further claims of the token. If another field of Token sets a claim of the same
	// name, the value in Claims replaces it. If the value in Claims is nil, the claim is removed.
	Claims map[string]any

	// Header contains further members of the JOSE header. A value in Header replaces a member of
	// the same name. If the value is nil, the member is removed.
	Header map[string]any
}

// JWT returns a signed access token in the form of the product that the issuer imitates
// ([Version]). IdentityServer3 and old versions of IdentityServer4 write no jti. With such a
// product and a deterministic algorithm such as RS256, two calls with the same t in the same second
// return the same token. Then [Issuer.Revoke] revokes the tokens of both calls.
func (i *Issuer) JWT(t Token) string {
	key := i.keys.current()
	header := applyChanges(i.header(key, i.accessTokenType()), t.Header)
	token := key.signToken(mustMarshal(header), mustMarshal(i.Claims(t)))
	i.remember(token, nil)
	return token
}

// Opaque returns an opaque token: a random string that the introspection endpoint accepts. The
// Header of t has no effect.
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

// IDToken returns an ID token for the user and client of t. A resource server must refuse an ID
// token, although its signature is valid. The ID token has no client_id and no scope. The Scopes,
// Machine and BoundTo of t have no effect.
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
	header := applyChanges(i.header(key, "JWT"), t.Header)
	return key.signToken(mustMarshal(header), mustMarshal(applyChanges(claims, t.Claims)))
}

// LogoutToken returns a back-channel logout token for the user and client of t. A resource server
// must refuse a logout token as an access token. If the issuer imitates Duende IdentityServer
// ([Duende]), the typ of the logout token is logout+jwt. Otherwise, the logout token has the same
// typ as an access token. The Scopes, Machine and BoundTo of t have no effect.
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
	header := applyChanges(i.header(key, typ), t.Header)
	return key.signToken(mustMarshal(header), mustMarshal(applyChanges(claims, t.Claims)))
}

// Sign returns a token with exactly this header and these claims, signed with the current key. Sign
// does not add alg and kid to the header. If alg in the header differs from the algorithm of the
// key, Sign uses the algorithm of the key. The introspection endpoint accepts the token. Sign
// panics if a value can't be written as JSON.
func (i *Issuer) Sign(header, claims map[string]any) string {
	token := i.SignBytes(mustMarshal(header), mustMarshal(claims))
	i.remember(token, nil)
	return token
}

// SignBytes works like [Issuer.Sign], but header and payload need not be JSON, and the
// introspection endpoint does not accept the token.
func (i *Issuer) SignBytes(header, payload []byte) string {
	return i.keys.current().signToken(header, payload)
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

// Token.times returns the claims exp and nbf of the token, in seconds since 1970. The token is
// valid from nbf until exp.
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
