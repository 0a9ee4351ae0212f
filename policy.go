package xenaauth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/xenaauth/xenaauth/internal/claims"
)

// policy decides about facts. Both doors, JWT and introspection, meet it, and on every request anew: nothing of what it
// says is kept.
type policy struct {
	issuer       string
	audiences    claims.NameSet
	anyAudience  bool
	strict       bool // RFC 9068 to the letter
	skew         time.Duration
	lifetime     int64 // seconds; 0 is any
	clientTokens bool

	claimNames     claimNames
	confusable     claims.Member // no access token has one of these
	clientAudience bool          // accept tokens whose audience is their client
	missingClient  bool          // accept introspection responses that name no client

	subjectOf func(context.Context, *User) (string, error)
}

func newPolicy(c Config) *policy {
	p := &policy{
		issuer:       c.Issuer,
		audiences:    claims.NewNameSet(c.Audiences),
		anyAudience:  c.AllowAnyAudience,
		strict:       c.Profile == ProfileRFC9068,
		skew:         c.ClockSkew,
		clientTokens: c.AllowClientTokens,
		subjectOf:    c.Subject,

		claimNames:     claimNames{client: c.ClientClaims, scopes: c.ScopeClaims},
		confusable:     confusable,
		clientAudience: c.AllowClientAudience,
		missingClient:  c.AllowMissingClientID,
	}
	if c.AllowNonce {
		p.confusable &^= claims.Nonce
	}
	if !c.AllowAnyLifetime {
		p.lifetime = int64((c.MaxTokenLifetime + c.ClockSkew) / time.Second)
	}
	return p
}

// user returns the user of an introspection response. A response without iss is about a token of
// the issuer that sent it.
func (p *policy) user(set *claims.Set) *User {
	if set.Has&claims.Iss == 0 {
		set.Issuer = p.issuer
	}
	u := newUser(set, p.claimNames)
	u.audienceUnchecked = p.anyAudience
	return u
}

// maxName bounds names of users, clients, sessions and tokens, in bytes. OpenID Connect allows a sub 255 characters.
const maxName = 512

// issuedBy is the first thing that is looked at, before any key is fetched (RFC 8725, section 3.8).
func (p *policy) issuedBy(set *claims.Set, source claims.Source) *Error {
	if source == claims.Answer && set.Has&claims.Iss == 0 {
		return nil // the issuer itself has answered
	}
	if set.Issuer != p.issuer {
		return refuse(ReasonIssuer, &wrongIssuer{set.Issuer, p.issuer})
	}
	return nil
}

// check holds the claims to everything but the signature and the subject. source is where they come from.
func (p *policy) check(u *User, source claims.Source, now time.Time) *Error {
	set := u.set
	if err := p.issuedBy(set, source); err != nil {
		return err
	}
	if err := p.kind(set, source); err != nil {
		return err
	}
	if err := p.times(set, source, now); err != nil {
		return err
	}
	if err := p.audience(u, source); err != nil {
		return err
	}
	if err := p.names(u, source); err != nil {
		return err
	}
	if set.Has&claims.Cnf != 0 { // RFC 7800, section 3.1: there is nothing here that could check it
		return refuse(ReasonConfirmation, errUnconfirmed)
	}
	if p.strict && source == claims.JWT {
		return p.rfc9068(set)
	}
	return nil
}

func (p *policy) times(set *claims.Set, source claims.Source, now time.Time) *Error {
	early, late := now.Add(-p.skew).Unix(), now.Add(p.skew).Unix()
	if set.Has&claims.Exp == 0 {
		if source == claims.JWT {
			return refuse(ReasonClaims, errors.New("exp is missing"))
		}
	} else if early >= set.ExpiresAt {
		return refuse(ReasonExpired, &wrongTime{"exp", set.ExpiresAt, now})
	}
	if set.NotBefore > late {
		return refuse(ReasonNotYetValid, &wrongTime{"nbf", set.NotBefore, now})
	}
	if set.IssuedAt > late {
		return refuse(ReasonNotYetValid, &wrongTime{"iat", set.IssuedAt, now})
	}
	if p.lifetime == 0 || set.Has&claims.Exp == 0 {
		return nil
	}
	// From nbf, which is when this token was made; iat may be that of the token it was refreshed from.
	from, name := set.NotBefore, "nbf"
	switch {
	case set.NotBefore != 0: // old Keycloaks write 0 for a token that has no nbf
	case set.Has&claims.Iat != 0:
		from, name = set.IssuedAt, "iat"
	default: // a start of our own, such as now, would let a long-lived token in once it is old enough
		return refuse(ReasonLifetime, errNoStart)
	}
	if set.ExpiresAt-from > p.lifetime {
		return refuse(ReasonLifetime, p.tooLongLived(name, set.ExpiresAt-from))
	}
	return nil
}

// tooLongLived is the error for a token that is valid for that many seconds from the time of a claim.
func (p *policy) tooLongLived(from string, seconds int64) error {
	return &wrongLifetime{from, seconds, p.lifetime - int64(p.skew/time.Second)}
}

var errNoStart = errors.New("nbf and iat are missing, so its lifetime is unknown: see Config.AllowAnyLifetime")

func (p *policy) audience(u *User, source claims.Source) *Error {
	if err := p.forClient(u, source); err != nil {
		return err
	}
	set := u.set
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

// names holds identifiers to what can be logged, compared and stored without surprise.
func (p *policy) names(u *User, source claims.Source) *Error {
	set := u.set
	if u.unusable != "" {
		return refuse(ReasonClaims, &claims.TypeError{Name: u.unusable})
	}
	if u.clientID == "" && !(p.missingClient && source == claims.Answer) {
		return refuse(ReasonClaims, p.errNoClient(source))
	}
	if p.strict && set.Has&claims.ClientID == 0 && set.Has&claims.Azp != 0 {
		return refuse(ReasonClaims, errors.New("client_id is missing"))
	}
	if set.Has&claims.Sub != 0 && set.Subject == "" {
		return refuse(ReasonClaims, errors.New("sub is empty"))
	}
	if u.misnamed {
		return refuse(ReasonClaims, errMisnamed)
	}
	return nil
}

// errNoClient says which claims could have named the client.
func (p *policy) errNoClient(source claims.Source) error {
	names := p.claimNames.client
	if names == nil {
		names = []string{"client_id", "azp"}
	}
	text := strings.Join(names, " or ") + " is missing"
	if source == claims.Answer {
		return errors.New(text + " in the introspection response: see Config.AllowMissingClientID")
	}
	return errors.New(text + ": see Config.ClientClaims")
}

// isName reports whether s can be an identifier: it is asked once about each, since they don't change.
func isName(s string) bool {
	if len(s) > maxName {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c == 0x7f || c == 0xc2 && i+1 < len(s) && s[i+1] < 0xa0 { // U+0080 to U+009F are controls too
			return false
		}
	}
	return true
}

// rfc9068 is what RFC 9068, section 2.2, requires beyond all that.
func (p *policy) rfc9068(set *claims.Set) *Error {
	for _, c := range []struct {
		bit  claims.Member
		name string
	}{{claims.Aud, "aud"}, {claims.Sub, "sub"}, {claims.ClientID, "client_id"}, {claims.Iat, "iat"}, {claims.Jti, "jti"}} {
		if set.Has&c.bit == 0 {
			return refuse(ReasonClaims, fmt.Errorf("%s is missing", c.name))
		}
	}
	if set.ScopeIsList {
		return refuse(ReasonClaims, errors.New("scope is not a string"))
	}
	return nil
}

// subject finds who the user is. It runs last, on tokens that are good in every other way: a resolver may cost.
func (p *policy) subject(ctx context.Context, u *User) (*User, error) {
	if u.subject != "" {
		return u, nil
	}
	if p.subjectOf != nil {
		subject, err := p.subjectOf(ctx, u)
		if err != nil {
			return nil, asError(err)
		}
		if !isName(subject) {
			return nil, refuse(ReasonSubject, errors.New("the resolved subject is too long or has control characters"))
		}
		if subject != "" {
			known := *u
			known.subject = subject
			return &known, nil
		}
	}
	if p.clientTokens {
		return u, nil
	}
	return nil, refuse(ReasonSubject, &noUser{u.set.Subject, u.clientID})
}
