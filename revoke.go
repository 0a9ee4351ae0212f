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
// and IssuedBefore must be set. [User.Revocation] returns the usual Revocation for a user. A
// Revocation contains no token, so it can be stored and sent as JSON.
type Revocation struct {
	// Issuer is the issuer of the tokens. The issuer is part of a Revocation because two issuers
	// may use the same subject, session or client. If "", it is [Config.Issuer] of the Validator
	// that gets the Revocation.
	Issuer string `json:"issuer,omitempty"`
	// TokenHash matches one token. Use [HashToken] to compute it.
	TokenHash string `json:"token_hash,omitempty"`
	// TokenID matches the claim jti. Several tokens may have the same jti: IdentityServer4 keeps it
	// when a token is refreshed. So a revocation by TokenID also refuses the tokens that the client
	// gets later with its refresh token.
	TokenID string `json:"jti,omitempty"`
	// SessionID matches the claim sid. It therefore matches all tokens of one login.
	SessionID string `json:"sid,omitempty"`
	// Subject matches the claim sub. It therefore matches all tokens of one user. It does not match
	// a user that [Config.Subject] found for a token without sub.
	Subject string `json:"sub,omitempty"`
	// ClientID matches the claim client_id (or azp, or a claim of [Config.ClientClaims]). It
	// therefore matches all tokens of one application.
	ClientID string `json:"client_id,omitempty"`
	// IssuedBefore limits the revocation to tokens that were issued before this time, by the
	// issuer's clock. A token was issued at its nbf, or at its iat if it has no nbf. A token
	// without nbf and iat always matches. The zero value sets no limit: until the revocation ends,
	// new tokens are refused too, also if the user logs in again.
	IssuedBefore time.Time `json:"issued_before,omitzero"`
	// Until is when the revocation ends. If it is zero, the revocation ends when every token that
	// exists now has expired: after [Config.MaxTokenLifetime] and three times ClockSkew, or after
	// 24 hours with [Config.AllowAnyLifetime]. Set Until if tokens may live for longer, for example
	// introspected tokens whose responses have no exp. The year must be within 1 and 9999.
	Until time.Time `json:"until,omitzero"`
}

// Revocation returns the Revocation that ends the login of u. It is for a handler by which a user
// logs out.
//
// If the token has the claim sid, the Revocation names the session: it refuses all tokens of that
// login, including the tokens that the client gets later with its refresh token. If the token has
// no sid, the Revocation names the user and the client, and refuses the tokens that this client got
// for this user until now, on all devices. If the token also has no sub, the Revocation names the
// client alone: it then refuses all tokens that this client got until now, also those for users. A
// token that is issued later is accepted, so revoke the refresh token at the issuer too.
//
// To revoke a single token, use Revocation{TokenHash: HashToken(token)}. The claim jti is not
// suitable: see [Revocation.TokenID].
//
// If u is nil, or has no session, no subject and no client, the result is the zero Revocation, for
// which [Validator.Revoke] returns an error.
func (u *User) Revocation() Revocation {
	switch {
	case u == nil:
		return Revocation{}
	case u.SessionID() != "":
		return Revocation{Issuer: u.Issuer(), SessionID: u.SessionID()}
	case u.set.Subject == "" && u.parties.ClientID == "":
		return Revocation{}
	}
	// The times in tokens are whole seconds. So the Revocation includes all tokens that are issued
	// in the current second. The Revocation must also include the token with which the user logs
	// out. If the issuer's clock is ahead of ours, this token seems to be issued in the future. So
	// the code compares the current time with the time when the token was issued, and uses the
	// later one.
	last := max(time.Now().Unix(), u.issueTime())
	return Revocation{
		Issuer:       u.Issuer(),
		Subject:      u.set.Subject,
		ClientID:     u.parties.ClientID,
		IssuedBefore: time.Unix(last+1, 0),
	}
}

// issueTime returns when the token of u was issued, in seconds since 1970: its nbf, or its iat if
// it has no nbf. For a token with neither nbf nor iat, it returns the earliest possible time, so
// that every IssuedBefore matches.
func (u *User) issueTime() int64 {
	return cmp.Or(u.set.NotBefore, u.set.IssuedAt, math.MinInt64)
}

// HashToken returns the value of [Revocation.TokenHash] for a token. For an opaque token it is the
// SHA-256 of the token, in hex. For a JWT it is the SHA-256 of the token without its signature:
// from one valid ECDSA signature anybody can compute a second one, and the revocation must match
// the token with either signature.
func HashToken(token string) string {
	if parts, ok := jose.Split(token); ok && parts.LooksLikeJWT() {
		token = parts.Signed()
	}
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// RevocationBus sends revocations to all instances of a service. This package contains no
// implementation. An implementation uses a message broker or a database, and must keep every field
// of a Revocation.
type RevocationBus interface {
	// Publish sends r to all instances until r.Until, including instances that start later. It
	// returns nil as soon as the bus has stored r: the instances may receive r after that.
	Publish(ctx context.Context, r Revocation) error
	// Subscribe passes each revocation that has not ended to the function apply. The revocations
	// that were published before the call come first. After that, each new revocation is passed on
	// when it is published. Subscribe returns when ctx ends, or earlier with an error.
	Subscribe(ctx context.Context, apply func(Revocation)) error
}

// ErrRevocationsFull is what [Validator.Revoke] returns if 100 000 revocations are in force on this
// instance. The new revocation is then not in force. If the [RevocationBus] has no room, Revoke
// returns ErrRevocationsFull together with [ErrNotPublished].
var ErrRevocationsFull = errors.New("xenaauth: too many revocations are in force")

// ErrNotPublished is what [Validator.Revoke] returns if [Config.RevocationBus] did not accept the
// revocation. The error of the bus is wrapped too. The revocation is in force on this instance, but
// other instances may still accept the tokens. Revoke may be called again with the same Revocation.
var ErrNotPublished = errors.New("xenaauth: the revocation is in force here, but was not published")

// Revoke makes the Validator refuse the tokens that r describes, from the next request on, and
// publishes r on [Config.RevocationBus]. The Validator removes r when r ends. If the error is
// [ErrNotPublished], r is in force on this instance, but other instances may still accept the
// tokens. After any other error, r is not in force.
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

// FollowRevocations receives the revocations that other instances publish on
// [Config.RevocationBus], and puts them in force on this instance. It ignores revocations of other
// issuers. Call it in a goroutine of its own: it returns when ctx ends, or earlier with an error.
// After an error, call it again. If Config.RevocationBus is nil, it returns an error immediately.
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
		v.report.recordState("revocations", v.addRevocation(r, now),
			"revocations of other instances are not in force here",
			"revocations of other instances are in force again")
	})
}

// completeRevocation checks the revocation r, and fills in its issuer and the time at which it
// ends. It also converts the times to UTC and Revocation.TokenHash to lower case, so that every
// instance stores the same Revocation.
func (v *Validator) completeRevocation(r Revocation, now time.Time) (Revocation, error) {
	if r.Issuer == "" { // an older version of this library sends no issuer
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
		lifetime := 24 * time.Hour // each token that exists now expires within this time
		if !v.cfg.AllowAnyLifetime {
			lifetime = v.cfg.MaxTokenLifetime + 3*v.cfg.ClockSkew
		}
		r.Until = now.Add(lifetime)
	}
	// Round(0) removes the monotonic clock reading, because it differs between instances.
	r.Until, r.IssuedBefore = r.Until.UTC().Round(0), r.IssuedBefore.UTC().Round(0)
	for _, at := range []time.Time{r.Until, r.IssuedBefore} {
		// Times beyond the year 9999 are refused: RFC 3339 can't express them in JSON, and
		// calculations with time.Time overflow in a distant year.
		if at.Year() < 1 || at.Year() > 9999 {
			return r, errors.New("xenaauth: a time of the Revocation is not within the years 1 to 9999")
		}
	}
	return r, nil
}

// addRevocation puts the revocation r in force on this instance. r must come from
// completeRevocation.
func (v *Validator) addRevocation(r Revocation, now time.Time) error {
	added := v.revocationSet.Add(revocations.Revocation{
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

// isRevoked reports whether a revocation that is in force matches the token of the user u. token is
// the text of that token.
func (v *Validator) isRevoked(u *User, token string, now time.Time) bool {
	if v.revocationSet.Empty() {
		return false
	}
	return v.revocationSet.Match(revocations.Token{
		Fields: revocations.Fields{
			TokenID:   u.TokenID(),
			SessionID: u.SessionID(),
			Subject:   u.set.Subject,
			ClientID:  u.parties.ClientID,
		},
		Issued: u.issueTime(),
		Text:   token,
	}, now)
}
