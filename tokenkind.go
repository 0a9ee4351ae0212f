package xenaauth

import (
	"errors"
	"slices"
	"strings"

	"github.com/xenaauth/xenaauth/internal/claims"
	"github.com/xenaauth/xenaauth/internal/jose"
)

// confusable are claims that no access token of Xena has: claims of ID tokens (nonce, at_hash, c_hash), of logout
// tokens and security events (events), and of signed introspection responses (token_introspection).
const confusable = claims.Nonce | claims.AtHash | claims.CHash | claims.Events | claims.TokenIntrospection

// The marks of other kinds of tokens, and the settings that accept them.
var (
	errNonce               = errors.New("nonce marks an ID token: see Config.AllowNonce")
	errIDToken             = errors.New("at_hash and c_hash mark an ID token")
	errEvents              = errors.New("events marks a logout token or a security event")
	errIntrospectionToken  = errors.New("token_introspection marks a signed introspection response")
	errClientAudience      = errors.New("an audience that is the client marks an ID token: see Config.AllowClientAudience")
	errClientAudienceAlone = errors.New("an audience that is the client and no scope mark an ID token")
	errNoScope             = errors.New("neither scope nor scp is there, which marks an ID token: see Config.ScopeClaims")
)

// markOf returns the error for the first of the confusable claims that a token has.
func markOf(has claims.Member) error {
	switch {
	case has&(claims.AtHash|claims.CHash) != 0:
		return errIDToken
	case has&claims.Events != 0:
		return errEvents
	case has&claims.TokenIntrospection != 0:
		return errIntrospectionToken
	}
	return errNonce
}

// accessTokenNames are the words by which issuers call a token an access token, in the claims token_use (Amazon
// Cognito, Ory Hydra), typ (Keycloak) and token_type (RFC 7662, and JWTs of some libraries). Case doesn't matter.
var accessTokenNames = []string{"access_token", "access", "Bearer", "at+jwt", "application/at+jwt", "JWT"}

// kind refuses a token that is called something else than an access token, or has a claim of another kind of token.
// A token that says nothing about its kind passes.
func (p *policy) kind(set *claims.Set, source claims.Source) *Error {
	if set.Has&p.confusable != 0 {
		return refuse(ReasonTokenType, markOf(set.Has&p.confusable))
	}
	if set.Has&(claims.TokenUse|claims.Typ|claims.TokenType) == 0 {
		return nil
	}
	for _, c := range []struct {
		bit         claims.Member
		name, value string
	}{{claims.TokenUse, "token_use", set.TokenUse}, {claims.Typ, "typ", set.Typ}, {claims.TokenType, "token_type", set.TokenType}} {
		if set.Has&c.bit == 0 {
			continue
		}
		ok := callsAccessToken(set, c.value)
		if c.bit == claims.TokenType && source == claims.Answer { // RFC 7662, section 2.2: how the token is to be used
			ok = strings.EqualFold(c.value, "Bearer")
		}
		if !ok {
			return refuse(ReasonTokenType, &wrongKind{c.name, c.value})
		}
	}
	return nil
}

// callsAccessToken reports whether a claim about the kind of a token calls it an access token.
func callsAccessToken(set *claims.Set, kind string) bool {
	if strings.EqualFold(kind, "DPoP") {
		return set.Has&claims.Cnf != 0 // Keycloak's word for an access token that is bound to a key
	}
	return slices.ContainsFunc(accessTokenNames, func(name string) bool { return strings.EqualFold(kind, name) })
}

// forClient refuses a token that only its own client may read, as the audience of an ID token says. If
// [Config.AllowClientAudience] permits that audience, the token must have a scope claim, which ID tokens don't have. A JWT
// of the strict profile needs none, because its header says that it is an access token.
func (p *policy) forClient(u *User, source claims.Source) *Error {
	set := u.set
	if len(set.Audience) == 0 || u.clientID == "" ||
		slices.ContainsFunc(set.Audience, func(a string) bool { return a != u.clientID }) {
		return nil
	}
	switch {
	case !p.clientAudience:
		return refuse(ReasonTokenType, errClientAudience)
	case !(p.strict && source == claims.JWT) && set.Has&(claims.Scope|claims.Scp) == 0:
		return refuse(ReasonTokenType, errClientAudienceAlone)
	}
	return nil
}

// lookalike reports whether a JWT could be an ID token without any of the confusable claims. Some
// servers issue such ID tokens in the implicit flow and in token exchange. A scope claim marks an
// access token. A JWT without it is accepted if its audience does not include the client, and if a
// claim calls it an access token or it has another claim that [Config.ScopeClaims] names. The
// strict profile needs no such guess.
func (p *policy) lookalike(header *jose.Header, u *User) bool {
	if p.strict || u.set.Has&(claims.Scope|claims.Scp) != 0 {
		return false
	}
	return slices.Contains(u.set.Audience, u.clientID) || header.Type != "at+jwt" && !u.grants
}
