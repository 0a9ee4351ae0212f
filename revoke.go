package xenaauth

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/xenaauth/xenaauth/internal/claims"
	"github.com/xenaauth/xenaauth/internal/jose"
	"github.com/xenaauth/xenaauth/internal/revocations"
)

// Revocation describes access tokens that the service no longer accepts. A token is refused if it
// matches every field that is set. At least one of TokenHash, TokenID, SessionID, Subject, ClientID
// and IssuedBefore must be set. [User.Revocation] makes the usual one. A Revocation can be stored
// and sent as JSON, and holds no token.
type Revocation struct {
	// Issuer is the issuer of the tokens: two issuers may have the same subject, session or client.
	// "" is [Config.Issuer] of the Validator that gets the Revocation.
	Issuer string `json:"issuer,omitempty"`
	// TokenHash names one token: see [HashToken].
	TokenHash string `json:"token_hash,omitempty"`
	// TokenID is the claim jti. Several tokens may have the same jti: IdentityServer4 keeps it when
	// a token is refreshed. So a revocation by TokenID also refuses the tokens that the client gets
	// later by refreshing.
	TokenID string `json:"jti,omitempty"`
	// SessionID is the claim sid: all tokens of one login.
	SessionID string `json:"sid,omitempty"`
	// Subject is the claim sub: all tokens of one user. A user that [Config.Subject] found for a
	// token without sub does not match.
	Subject string `json:"sub,omitempty"`
	// ClientID is the claim client_id (or azp): all tokens of one application.
	ClientID string `json:"client_id,omitempty"`
	// IssuedBefore limits the revocation to tokens that were issued before that time, on the
	// issuer's clock. The time of a token is nbf, or iat if it has no nbf. A token without both
	// claims matches. The zero value sets no limit: if the user logs in again, the new tokens are
	// refused too, until the revocation ends.
	IssuedBefore time.Time `json:"issued_before,omitzero"`
	// Until is when the revocation ends. The zero value is the time at which every token that
	// exists now has expired: now, plus [Config.MaxTokenLifetime] and three times ClockSkew, or now
	// plus 24 hours with [Config.AllowAnyLifetime]. Set Until for introspected tokens if the
	// issuer's responses have no exp. The year must be within 1 and 9999.
	Until time.Time `json:"until,omitzero"`
}

// Revocation returns the Revocation that ends the login of u. It is for a handler that logs its
// caller out.
//
// If the token has the claim sid, the Revocation names the session: it refuses all tokens of that
// login, including those that the client gets later by refreshing. Otherwise it names the user and
// the client, and refuses the tokens that were issued to that client for the user until now, on all
// devices. A token that is issued later is accepted. So revoke the refresh token at the issuer too.
//
// To revoke one token and no other, use Revocation{TokenHash: HashToken(token)}. The claim jti is
// not fit for that: see [Revocation.TokenID].
//
// If u is nil, or has no session, no subject and no client, the result is the zero Revocation, and
// [Validator.Revoke] returns an error for it.
func (u *User) Revocation() Revocation {
	switch {
	case u == nil:
		return Revocation{}
	case u.SessionID() != "":
		return Revocation{Issuer: u.Issuer(), SessionID: u.SessionID()}
	case u.set.Subject == "" && u.parties.ClientID == "":
		return Revocation{}
	}
	// Times in tokens are whole seconds, and the issuer's clock may be ahead of ours.
	last := max(time.Now().Unix(), u.madeAt())
	return Revocation{
		Issuer:       u.Issuer(),
		Subject:      u.set.Subject,
		ClientID:     u.parties.ClientID,
		IssuedBefore: time.Unix(last+1, 0),
	}
}

// madeAt returns the claim nbf in seconds since 1970, or iat if there is no nbf. A token without
// both counts as older than any other.
func (u *User) madeAt() int64 {
	return cmp.Or(u.set.NotBefore, u.set.IssuedAt, math.MinInt64)
}

// HashToken returns the value of [Revocation.TokenHash] for a token. For an opaque token it is the
// SHA-256 of the token, in hex. For a JWT it is the SHA-256 of the token without its signature,
// because everybody can make a second valid signature from one ECDSA signature.
func HashToken(token string) string {
	if parts, ok := jose.Split(token); ok && parts.Looks() {
		token = parts.Signed()
	}
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// RevocationBus carries revocations between the instances of a service. Implementations over a
// message broker or a database live outside this package. They keep every field of a Revocation.
type RevocationBus interface {
	// Publish sends r to all instances until r.Until, including instances that start later. A nil
	// error means that the bus has r. It does not mean that every instance has applied r already.
	Publish(ctx context.Context, r Revocation) error
	// Subscribe calls apply with each revocation that any instance publishes or has published and
	// that has not ended. It returns when ctx ends, or earlier with an error.
	Subscribe(ctx context.Context, apply func(Revocation)) error
}

// ErrRevocationsFull is what [Validator.Revoke] returns if 100 000 revocations are in force on this
// instance. The new revocation is then not in force. A [RevocationBus] returns ErrRevocationsFull
// too if it has no room: then Revoke returns it together with [ErrNotPublished].
var ErrRevocationsFull = errors.New("xenaauth: too many revocations are in force")

// ErrNotPublished is what [Validator.Revoke] returns, together with the error of the bus, if the
// revocation is in force on this instance and [Config.RevocationBus] did not accept it. Other
// instances may still accept the tokens. It is safe to call Revoke again: equal revocations count
// once.
var ErrNotPublished = errors.New("xenaauth: the revocation is in force here, but was not published")

// Revoke makes the Validator refuse the tokens that r describes, from its next request on, and
// publishes r on [Config.RevocationBus]. The Validator forgets r when r ends. If r is invalid or of
// another issuer, or if the error is [ErrRevocationsFull] alone, nothing changes. If the error is
// [ErrNotPublished], this instance refuses the tokens, and other instances may still accept them.
func (v *Validator) Revoke(ctx context.Context, r Revocation) error {
	now := time.Now()
	r, err := v.completeRevocation(r, now)
	if err != nil {
		return err
	}
	if err := v.addRevocation(r, now); err != nil {
		return err
	}
	if v.cfg.RevocationBus == nil {
		return nil
	}
	if err := v.cfg.RevocationBus.Publish(ctx, r); err != nil {
		return fmt.Errorf("%w: %w", ErrNotPublished, err)
	}
	return nil
}

// FollowRevocations applies the revocations that other instances publish on [Config.RevocationBus],
// until ctx ends. It ignores revocations of other issuers. Call it in a goroutine of its own, and
// call it again after an error. Without a bus it returns an error at once.
func (v *Validator) FollowRevocations(ctx context.Context) error {
	if v.cfg.RevocationBus == nil {
		return errors.New("xenaauth: Config.RevocationBus is not set")
	}
	return v.cfg.RevocationBus.Subscribe(ctx, func(r Revocation) {
		now := time.Now()
		r, err := v.completeRevocation(r, now)
		if err != nil {
			return
		}
		v.report.change("revocations", v.addRevocation(r, now),
			"revocations of other instances are not in force here",
			"revocations of other instances are in force again")
	})
}

// completeRevocation returns r with its issuer and its end, in the one form that equal revocations
// have on all instances.
func (v *Validator) completeRevocation(r Revocation, now time.Time) (Revocation, error) {
	if r.Issuer == "" { // also in a message of an instance that knows of one issuer only
		r.Issuer = v.cfg.Issuer
	}
	if r.Issuer != v.cfg.Issuer {
		return r, errors.New("xenaauth: Revocation.Issuer is not Config.Issuer")
	}
	names := [...]string{r.TokenHash, r.TokenID, r.SessionID, r.Subject, r.ClientID}
	if names == [5]string{} && r.IssuedBefore.IsZero() {
		return r, errors.New("xenaauth: the Revocation names no tokens")
	}
	for _, name := range names {
		if !claims.IsIdentifier(name) {
			return r, errors.New("xenaauth: the Revocation has a value that no token has")
		}
	}
	if b, err := hex.DecodeString(r.TokenHash); err != nil || len(b) != 0 && len(b) != sha256.Size {
		return r, errors.New("xenaauth: Revocation.TokenHash is not from HashToken")
	}
	r.TokenHash = strings.ToLower(r.TokenHash)
	if r.Until.IsZero() {
		lifetime := 24 * time.Hour // of the token that lives longest
		if !v.cfg.AllowAnyLifetime {
			lifetime = v.cfg.MaxTokenLifetime + 3*v.cfg.ClockSkew
		}
		r.Until = now.Add(lifetime)
	}
	// Round removes the monotonic clock reading, which differs between instances.
	r.Until, r.IssuedBefore = r.Until.UTC().Round(0), r.IssuedBefore.UTC().Round(0)
	for _, at := range []time.Time{r.Until, r.IssuedBefore} {
		if at.Year() < 1 || at.Year() > 9999 { // RFC 3339; and time.Time overflows far beyond
			return r, errors.New("xenaauth: a time of the Revocation is not within the years 1 to 9999")
		}
	}
	return r, nil
}

// addRevocation puts a completed revocation in force.
func (v *Validator) addRevocation(r Revocation, now time.Time) error {
	added := v.revoked.Add(revocations.Revocation{
		Fields: revocations.Fields{
			TokenHash: r.TokenHash,
			TokenID:   r.TokenID,
			SessionID: r.SessionID,
			Subject:   r.Subject,
			ClientID:  r.ClientID,
		},
		IssuedBefore: r.IssuedBefore,
		Until:        r.Until,
	}, now)
	if !added {
		return ErrRevocationsFull
	}
	return nil
}

// isRevoked reports whether a revocation in force refuses the token of u.
func (v *Validator) isRevoked(u *User, token string, now time.Time) bool {
	if v.revoked.Empty() {
		return false
	}
	return v.revoked.Match(revocations.Token{
		Fields: revocations.Fields{
			TokenID:   u.TokenID(),
			SessionID: u.SessionID(),
			Subject:   u.set.Subject,
			ClientID:  u.parties.ClientID,
		},
		Issued: u.madeAt(),
		Text:   token,
	}, now)
}
