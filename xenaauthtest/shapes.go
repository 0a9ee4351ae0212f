package xenaauthtest

import (
	"strings"
)

// protocolClaims are claims whose names the protocol defines. In a token for a machine
// (Token.Machine), the other claims get the prefix "client_".
var protocolClaims = map[string]bool{
	"acr": true, "act": true, "amr": true, "at_hash": true, "aud": true,
	"auth_time": true, "azp": true, "c_hash": true, "client_id": true,
	"cnf": true, "events": true, "exp": true, "iat": true, "idp": true,
	"iss": true, "jti": true, "nbf": true, "nonce": true, "scope": true,
	"sid": true, "sub": true, "token_introspection": true,
}

// Header returns the JOSE header that [Issuer.JWT] writes. The caller may change it.
func (i *Issuer) Header() map[string]any {
	return i.header(i.keys.current(), i.accessTokenType())
}

// Claims returns the claims that [Issuer.JWT] signs. The caller may change them. A time has the
// type int64, and a list has the type []string. IdentityServer4 4.x and Duende IdentityServer write
// jti and sid. If the issuer imitates one of these products, each call returns a new jti and a new
// sid. A Machine token has no sid.
func (i *Issuer) Claims(t Token) map[string]any {
	exp, nbf := t.times()
	claims := map[string]any{
		"nbf":       nbf,
		"exp":       exp,
		"iss":       i.id,
		"client_id": t.clientID(),
	}
	scopes := t.scopes()
	if aud := i.audience(); aud != nil {
		claims["aud"] = aud
	}
	if scope := i.scope(scopes); scope != nil {
		claims["scope"] = scope
	}
	isRecent := i.opts.Version == IdentityServer4 || i.opts.Version == Duende
	if isRecent {
		claims["iat"] = nbf
		claims["jti"] = upperHex(randomBytes(16))
	}
	if t.BoundTo != nil {
		claims["cnf"] = t.BoundTo.confirmation()
	}
	if t.Machine {
		return applyChanges(claims, addClientPrefix(t.Claims))
	}
	claims["sub"] = t.subject()
	claims["auth_time"] = nbf - 10
	claims["idp"] = "local"
	claims["amr"] = i.authenticationMethods()
	if isRecent {
		claims["sid"] = upperHex(randomBytes(16))
	}
	return applyChanges(claims, t.Claims)
}

func (i *Issuer) header(key *signingKey, typ string) map[string]any {
	header := map[string]any{"alg": key.algorithm, "kid": key.kid, "typ": typ}
	if key.x5t != "" {
		header["x5t"] = key.x5t
	}
	return header
}

func (i *Issuer) accessTokenType() string {
	if i.opts.Version == IdentityServer3 || i.opts.Version == IdentityServer4v1 {
		return "JWT"
	}
	return "at+jwt"
}

// Issuer.audience returns the claim aud of a token for the API. Its form depends on the product
// that the issuer imitates: a string, a []string or nil.
func (i *Issuer) audience() any {
	if i.opts.ScopeOnly {
		return nil
	}
	switch i.opts.Version {
	case IdentityServer3:
		return i.resource
	case IdentityServer4v1:
		return []string{i.resource, i.opts.API}
	case IdentityServer4v3:
		return i.opts.API
	default:
		return []string{i.opts.API, i.resource}
	}
}

// Issuer.scope returns the claim scope of a token. Its form depends on the product that the issuer
// imitates: a string, a []string or nil. Old versions of IdentityServer always write the claim,
// because an access token without it would look like an ID token.
func (i *Issuer) scope(scopes []string) any {
	switch {
	case len(scopes) == 0 && i.accessTokenType() != "JWT":
		return nil
	case i.opts.ScopesAsString:
		return strings.Join(scopes, " ")
	case i.opts.Version == IdentityServer3 && len(scopes) == 1:
		return scopes[0]
	default:
		return append([]string{}, scopes...)
	}
}

func (i *Issuer) authenticationMethods() []string {
	if i.opts.Version == IdentityServer3 {
		return []string{"password"}
	}
	return []string{"pwd"}
}

// isAPIScope reports whether scope gives access to an API. An identity scope, such as openid, gives
// access to no API.
func isAPIScope(scope string) bool {
	switch scope {
	case "openid", "profile", "email", "offline_access":
		return false
	}
	return true
}

func addClientPrefix(claims map[string]any) map[string]any {
	renamed := make(map[string]any, len(claims))
	for name, value := range claims {
		if !protocolClaims[name] && !strings.HasPrefix(name, "client_") {
			name = "client_" + name
		}
		renamed[name] = value
	}
	return renamed
}

// applyChanges changes the map members, which contains the claims or the header of a token, and
// returns this map. Each value in newMembers is written into the map under the same name. If the
// value is nil, the member with this name is removed from the map.
func applyChanges(members, newMembers map[string]any) map[string]any {
	for name, value := range newMembers {
		if value == nil {
			delete(members, name)
		} else {
			members[name] = value
		}
	}
	return members
}
