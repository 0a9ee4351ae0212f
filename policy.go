package xenaauth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/xenaauth/xenaauth/internal/claims"
	"github.com/xenaauth/xenaauth/internal/jose"
)

// policy is the part of the Config that says which claims a token must have. It decides whether a
// token is accepted. The policy is applied for every request, to JWTs and to introspected tokens.
// Its decisions are not cached.
type policy struct {
	issuer        string
	audiences     claims.NameSet
	anyAudience   bool
	strictProfile bool // strictProfile means that Config.Profile is ProfileRFC9068
	skew          time.Duration
	// maxLifetime is the longest accepted lifetime of a token, in seconds; 0 accepts any lifetime
	maxLifetime  int64
	clientTokens bool

	parties claims.PartyNames
	// otherKindClaims are the claims that other kinds of token have, for example ID tokens. A token
	// with one of them is refused.
	otherKindClaims claims.Member
	clientAudience  bool // clientAudience is Config.AllowClientAudience
	missingClient   bool // missingClient is Config.AllowMissingClientID

	subjectOf func(context.Context, *User) (string, error)
}

func newPolicy(c Config) *policy {
	p := &policy{
		issuer:        c.Issuer,
		audiences:     claims.NewNameSet(c.Audiences),
		anyAudience:   c.AllowAnyAudience,
		strictProfile: c.Profile == ProfileRFC9068,
		skew:          c.ClockSkew,
		clientTokens:  c.AllowClientTokens,
		subjectOf:     c.Subject,

		parties:         claims.PartyNames{Client: c.ClientClaims, Scopes: c.ScopeClaims},
		otherKindClaims: otherKindClaims,
		clientAudience:  c.AllowClientAudience,
		missingClient:   c.AllowMissingClientID,
	}
	if c.AllowNonce {
		p.otherKindClaims &^= claims.Nonce
	}
	if !c.AllowAnyLifetime {
		p.maxLifetime = int64((c.MaxTokenLifetime + c.ClockSkew) / time.Second)
	}
	return p
}

// policy.user returns the User of a token with the given claims. The caller must call indexScopes
// before it caches the user.
func (p *policy) user(set *claims.Set) User {
	return User{set: set, parties: p.parties.Read(set), audienceUnchecked: p.anyAudience}
}

// policy.check checks the claims of a token. Other functions check the signature, the revocations
// and the subject of the token. source says whether the claims come from a JWT or from an
// introspection response. header is the header of the JWT. If the JWT was in a cache, header is
// nil, because the header was checked before. An introspection response has no header. policy.check
// calls one function for each part of the check. These functions are below, in the same order.
func (p *policy) check(
	ctx context.Context, token string, u *User, header *jose.Header, source claims.Source, now time.Time,
) error {
	set := u.set
	if err := p.checkIssuer(set, source); err != nil {
		return err
	}
	if header != nil {
		if err := p.checkHeaderType(header); err != nil {
			return err
		}
	}
	if set.Has&(p.otherKindClaims|kindClaims) != 0 {
		if err := p.checkKind(set, source); err != nil {
			return err
		}
	}
	if err := p.checkTimes(set, source, now); err != nil {
		return err
	}
	if err := p.checkClientAudience(u, source); err != nil {
		return err
	}
	if err := p.checkAudience(set, source); err != nil {
		return err
	}
	if err := p.checkParties(u, source); err != nil {
		return err
	}
	// a token that is bound to a key needs a proof of possession (RFC 7800, section 3.1)
	if u.isBound() && !willCheckProofs(ctx, token) {
		return refuse(ReasonConfirmation, errUnconfirmed)
	}
	if p.strictProfile && source == claims.JWT {
		return p.checkProfile(set)
	}
	if header != nil && !p.strictProfile {
		return p.checkScopeClaim(header, u)
	}
	return nil
}

// checkIssuer refuses a token whose iss is not Config.Issuer (RFC 8725, section 3.8). It accepts an
// introspection response without iss, because the response comes from the issuer.
func (p *policy) checkIssuer(set *claims.Set, source claims.Source) error {
	if source == claims.Answer && set.Has&claims.Iss == 0 {
		return nil
	}
	if set.Issuer != p.issuer {
		return refuse(ReasonIssuer, &wrongIssuer{set.Issuer, p.issuer})
	}
	return nil
}

// checkHeaderType refuses a JWT whose typ is not the type of an access token (RFC 9068, section
// 2.1). IdentityServer before 4.0 writes JWT, and other issuers write no typ. Only ProfileRFC9068
// refuses JWTs with typ JWT or without typ.
func (p *policy) checkHeaderType(header *jose.Header) error {
	switch {
	case header.HasType && header.Type == "at+jwt":
		return nil
	case p.strictProfile:
		return refuse(ReasonTokenType, &wrongType{header.Type, "at+jwt"})
	case header.HasType && !strings.EqualFold(header.Type, "jwt"):
		return refuse(ReasonTokenType, &wrongType{header.Type, "at+jwt, JWT or none"})
	}
	return nil
}

// otherKindClaims are claims that mark another kind of token. No access token from the issuer Xena
// has one of them. They occur in ID tokens (nonce, at_hash, c_hash), in logout tokens and security
// events (events), and in signed introspection responses (token_introspection).
var otherKindClaims = claims.Nonce | claims.AtHash | claims.CHash | claims.Events | claims.TokenIntrospection

// accessTokenNames are the words that issuers write to say that a token is an access token. They
// are values of the claims token_use (Amazon Cognito, Ory Hydra), typ (Keycloak) and token_type
// (RFC 7662, and JWTs of some libraries). Upper and lower case are equal.
var accessTokenNames = []string{"access_token", "access", "Bearer", "at+jwt", "application/at+jwt", "JWT"}

// kindClaims are the claims whose value says what kind of token this is.
var kindClaims = claims.TokenUse | claims.Typ | claims.TokenType

// checkKind refuses a token that looks like an ID token or another kind of token. Such a token has
// one of the otherKindClaims, or one of the kindClaims with a value that does not mean an access
// token. checkKind accepts a token without these claims.
func (p *policy) checkKind(set *claims.Set, source claims.Source) error {
	if set.Has&p.otherKindClaims != 0 {
		return refuse(ReasonTokenType, otherKindError(set.Has&p.otherKindClaims))
	}
	for _, c := range []struct {
		bit         claims.Member
		name, value string
	}{
		{claims.TokenUse, "token_use", set.TokenUse},
		{claims.Typ, "typ", set.Typ},
		{claims.TokenType, "token_type", set.TokenType},
	} {
		if set.Has&c.bit == 0 {
			continue
		}
		ok := meansAccessToken(set, c.value)
		// In an introspection response, token_type says with which authentication scheme the token
		// is sent (RFC 7662, section 2.2). So only Bearer is accepted, and DPoP for a bound token.
		if c.bit == claims.TokenType && source == claims.Answer {
			ok = strings.EqualFold(c.value, "Bearer") || strings.EqualFold(c.value, "DPoP") && set.Has&claims.Cnf != 0
		}
		if !ok {
			return refuse(ReasonTokenType, &wrongKind{c.name, c.value})
		}
	}
	return nil
}

// meansAccessToken reports whether the value of one of the kindClaims means that the token is an
// access token.
func meansAccessToken(set *claims.Set, claimValue string) bool {
	if strings.EqualFold(claimValue, "DPoP") {
		// Keycloak writes DPoP into the claim typ of an access token that is bound to a key.
		return set.Has&claims.Cnf != 0
	}
	return slices.ContainsFunc(accessTokenNames, func(name string) bool { return strings.EqualFold(claimValue, name) })
}

func (p *policy) checkTimes(set *claims.Set, source claims.Source, now time.Time) error {
	if set.Has&claims.Exp == 0 {
		if source == claims.JWT {
			return refuse(ReasonClaims, errors.New("exp is missing"))
		}
	} else if now.Add(-p.skew).Unix() >= set.ExpiresAt {
		return refuse(ReasonExpired, &wrongTime{"exp", set.ExpiresAt, now})
	}
	// ClockSkew matters only if nbf or iat is in the future. Most tokens have neither in the
	// future, so this condition saves them the calculation with ClockSkew.
	if latest := max(set.NotBefore, set.IssuedAt); latest > now.Unix() {
		late := now.Add(p.skew).Unix()
		if set.NotBefore > late {
			return refuse(ReasonNotYetValid, &wrongTime{"nbf", set.NotBefore, now})
		}
		if set.IssuedAt > late {
			return refuse(ReasonNotYetValid, &wrongTime{"iat", set.IssuedAt, now})
		}
	}
	if p.maxLifetime == 0 || set.Has&claims.Exp == 0 {
		return nil
	}
	// The lifetime of a token begins at nbf, which is when this token was issued. iat may be
	// earlier: IdentityServer4 copies iat from the token that was refreshed.
	from, name := set.NotBefore, "nbf"
	switch {
	case set.NotBefore != 0:
		// old versions of Keycloak write nbf: 0 to say that the token has no nbf
	case set.Has&claims.Iat != 0:
		from, name = set.IssuedAt, "iat"
	// A token without nbf and iat is refused, because the start of its lifetime is unknown. The
	// time of this check can't replace the start: shortly before the end of a long lifetime, the
	// rest of the lifetime is short, and the token would be accepted.
	default:
		return refuse(ReasonLifetime, errNoStart)
	}
	if set.ExpiresAt-from > p.maxLifetime {
		return refuse(ReasonLifetime, p.lifetimeError(name, set.ExpiresAt-from))
	}
	return nil
}

// lifetimeError returns the error for a token whose lifetime is too long. startClaim is nbf or iat,
// the claim at which the lifetime begins.
func (p *policy) lifetimeError(startClaim string, seconds int64) error {
	return &wrongLifetime{startClaim, seconds, p.maxLifetime - int64(p.skew/time.Second)}
}

// checkClientAudience refuses a token whose only audience is its own client, because ID tokens have
// that audience. With [Config.AllowClientAudience], checkClientAudience accepts the token if it has
// a scope claim, which ID tokens usually don't have. With ProfileRFC9068 and AllowClientAudience, a
// JWT needs no scope claim, because typ already says that it is an access token.
func (p *policy) checkClientAudience(u *User, source claims.Source) error {
	set, client := u.set, u.parties.ClientID
	if len(set.Audience) == 0 || client == "" {
		return nil
	}
	for _, a := range set.Audience {
		if a != client {
			return nil
		}
	}
	switch {
	case !p.clientAudience:
		return refuse(ReasonTokenType, errClientAudience)
	case !(p.strictProfile && source == claims.JWT) && set.Has&(claims.Scope|claims.Scp) == 0:
		return refuse(ReasonTokenType, errClientAudienceAlone)
	}
	return nil
}

func (p *policy) checkAudience(set *claims.Set, source claims.Source) error {
	if p.anyAudience || source == claims.Answer && set.Has&claims.Aud == 0 {
		return nil
	}
	for _, a := range set.Audience {
		if p.audiences.Has(a) {
			return nil
		}
	}
	return refuse(ReasonAudience, &wrongAudience{set.Audience, "Config.Audiences", p.audiences.List()})
}

// checkParties refuses a token that names no client. It also refuses identifiers that are not safe
// to log, compare and store.
func (p *policy) checkParties(u *User, source claims.Source) error {
	set := u.set
	if u.parties.Unusable != "" {
		return refuse(ReasonClaims, &claims.TypeError{Name: u.parties.Unusable})
	}
	if u.parties.ClientID == "" && !(p.missingClient && source == claims.Answer) {
		return refuse(ReasonClaims, p.missingClientError(source))
	}
	if p.strictProfile && set.Has&claims.ClientID == 0 && set.Has&claims.Azp != 0 {
		return refuse(ReasonClaims, errors.New("client_id is missing"))
	}
	if set.Has&claims.Sub != 0 && set.Subject == "" {
		return refuse(ReasonClaims, errors.New("sub is empty"))
	}
	if u.parties.BadIdentifier {
		return refuse(ReasonClaims, errBadIdentifier)
	}
	return nil
}

// missingClientError returns the refusal of a token that names no client. The text lists the claims
// that may name the client.
func (p *policy) missingClientError(source claims.Source) error {
	names := p.parties.Client
	if names == nil {
		names = []string{"client_id", "azp"}
	}
	text := strings.Join(names, " or ") + " is missing"
	if source == claims.Answer {
		return errors.New(text + " in the introspection response: see Config.AllowMissingClientID")
	}
	return errors.New(text + ": see Config.ClientClaims")
}

// checkProfile checks the rules that RFC 9068, section 2.2, adds. It is called for JWTs if
// Config.Profile is ProfileRFC9068.
func (p *policy) checkProfile(set *claims.Set) error {
	for _, c := range []struct {
		bit  claims.Member
		name string
	}{
		{claims.Aud, "aud"}, {claims.Sub, "sub"}, {claims.ClientID, "client_id"},
		{claims.Iat, "iat"}, {claims.Jti, "jti"},
	} {
		if set.Has&c.bit == 0 {
			return refuse(ReasonClaims, fmt.Errorf("%s is missing", c.name))
		}
	}
	if set.ScopeIsList {
		return refuse(ReasonClaims, errors.New("scope is not a string"))
	}
	return nil
}

// checkScopeClaim refuses a JWT that could be an ID token because it has no scope claim. In the
// implicit flow and in token exchange, some servers issue ID tokens without any of the claims that
// only ID tokens have. So a JWT without a scope claim must meet two conditions. Its audience must
// not include its client. And its typ must say that it is an access token, or it must have another
// claim of [Config.ScopeClaims]. With ProfileRFC9068, typ always says that the token is an access
// token, so checkScopeClaim is not called.
func (p *policy) checkScopeClaim(header *jose.Header, u *User) error {
	if u.set.Has&(claims.Scope|claims.Scp) != 0 {
		return nil
	}
	forClient := slices.Contains(u.set.Audience, u.parties.ClientID)
	if forClient || header.Type != "at+jwt" && !u.parties.NamedScopes {
		return refuse(ReasonTokenType, errNoScope)
	}
	return nil
}

// policy.subject returns the user u with its subject, which [Config.Subject] may have to find. It
// is called after all other checks, because Config.Subject may be slow.
func (p *policy) subject(ctx context.Context, u *User) (*User, error) {
	if u.parties.Subject != "" {
		return u, nil
	}
	if p.subjectOf != nil {
		subject, err := p.subjectOf(callerContext(ctx), u)
		if err != nil {
			return nil, asError(err)
		}
		if !claims.IsIdentifier(subject) {
			return nil, refuse(ReasonSubject, errBadSubject)
		}
		if subject != "" {
			resolved := *u
			resolved.parties.Subject = subject
			return &resolved, nil
		}
	}
	if p.clientTokens {
		return u, nil
	}
	return nil, refuse(ReasonSubject, &noUser{u.set.Subject, u.parties.ClientID})
}
