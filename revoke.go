package xenaauth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/xenaauth/xenaauth/internal/jose"
)

// Revocation describes access tokens that the service no longer accepts. A token is refused if it matches every field
// that is set. At least one of TokenHash, TokenID, SessionID, Subject, ClientID and IssuedBefore must be set.
// [RevocationOf] makes the usual one. A Revocation can be stored and sent as JSON, and holds no token.
type Revocation struct {
	// TokenHash stands for one token: see [HashToken].
	TokenHash string `json:"token_hash,omitempty"`
	// TokenID is the claim jti. An issuer may give several tokens the same one: IdentityServer4 keeps it when a token is
	// refreshed, so a revocation by TokenID also refuses the tokens that the client gets by refreshing.
	TokenID string `json:"jti,omitempty"`
	// SessionID is the claim sid: all tokens of one login.
	SessionID string `json:"sid,omitempty"`
	// Subject is the claim sub: all tokens of one user. A user that [Config.Subject] found for a token without sub does
	// not count.
	Subject string `json:"sub,omitempty"`
	// ClientID is the claim client_id (or azp): all tokens of one application.
	ClientID string `json:"client_id,omitempty"`
	// IssuedBefore limits the revocation to tokens made before that moment of the issuer's clock, by nbf (by iat where
	// there is no nbf). A token without either claim matches. The zero value sets no limit: a user who logs in again is
	// refused too, until the revocation ends.
	IssuedBefore time.Time `json:"issued_before,omitzero"`
	// Until is when the revocation ends. The zero value is the moment at which every token that exists now has expired:
	// [Config.MaxTokenLifetime] and three times the skew from now, or 24 hours with [Config.AllowAnyLifetime]. Set Until
	// for introspected tokens of an issuer that doesn't tell when they expire. The year must be within 1 and 9999.
	Until time.Time `json:"until,omitzero"`
}

// RevocationOf returns the Revocation that ends the login of u, for a handler that logs its caller out.
//
// If the token has the claim sid, the Revocation names the session: it refuses all tokens of that login, those that
// the client gets later by refreshing included. Otherwise it names the user and the client, and refuses the tokens that
// the user has got through that client until now, on all devices; a token that is issued later is accepted. So revoke
// the refresh token at the issuer too.
//
// To revoke one token and no other, use Revocation{TokenHash: HashToken(token)}. The claim jti is not fit for that: see
// [Revocation.TokenID].
//
// If u is nil, or has neither session, subject nor client, the result is the zero Revocation, and [Validator.Revoke]
// returns an error for it.
func RevocationOf(u *User) Revocation {
	switch {
	case u == nil:
		return Revocation{}
	case u.SessionID() != "":
		return Revocation{SessionID: u.SessionID()}
	case u.set.Subject == "" && u.clientID == "":
		return Revocation{}
	}
	// Times in tokens are whole seconds, and the issuer's clock may be ahead of ours.
	last := max(time.Now().Unix(), madeAt(u))
	return Revocation{Subject: u.set.Subject, ClientID: u.clientID, IssuedBefore: time.Unix(last+1, 0)}
}

// HashToken returns the name of a token in a [Revocation]: the SHA-256, in hex, of an opaque token. Of a JWT it is the
// hash without the signature: from one ECDSA signature anybody can make a second that verifies as well.
func HashToken(token string) string {
	if parts, ok := jose.Split(token); ok && parts.Looks() {
		token = parts.Signed()
	}
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// RevocationBus carries revocations between the instances of a service. Implementations over a message broker or a
// database live outside this package.
type RevocationBus interface {
	// Publish sends r to all instances, those that start later included, until r.Until. No error means that the bus has
	// r. It does not mean that every instance has applied r already.
	Publish(ctx context.Context, r Revocation) error
	// Subscribe calls apply with each revocation that any instance publishes or has published and that hasn't ended. It
	// returns when ctx does, or with an error that ends the subscription.
	Subscribe(ctx context.Context, apply func(Revocation)) error
}

// maxRevocations bounds memory. A login system that revokes more than this within a token's lifetime should revoke by
// session or subject, not by token.
const maxRevocations = 100_000

// ErrRevocationsFull is returned by [Validator.Revoke] when 100 000 revocations are in force on this instance. The new
// one is not. A [RevocationBus] returns it too when it has no room: then Revoke returns it within [ErrNotPublished].
var ErrRevocationsFull = errors.New("xenaauth: too many revocations are in force")

// ErrNotPublished is returned by [Validator.Revoke], with the error of the bus, when the revocation is in force on this
// instance and [Config.RevocationBus] did not take it. Other instances may still accept the tokens. Revoking again is
// safe: equal revocations count once.
var ErrNotPublished = errors.New("xenaauth: the revocation is in force here, but was not published")

// Revoke makes the Validator refuse the tokens that r describes, from its next request on, and publishes r on
// [Config.RevocationBus]. The Validator forgets r when it ends. If r is unusable, or with [ErrRevocationsFull] alone,
// nothing changes. With [ErrNotPublished] this instance refuses the tokens and the others may not.
func (v *Validator) Revoke(ctx context.Context, r Revocation) error {
	now := time.Now()
	r, err := v.revoked.complete(r, now)
	if err != nil {
		return err
	}
	if err := v.revoked.add(r, now); err != nil {
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

// FollowRevocations applies what other instances publish on [Config.RevocationBus], until ctx ends. Call it in a
// goroutine of its own, and call it again after an error. Without a bus it returns an error at once.
func (v *Validator) FollowRevocations(ctx context.Context) error {
	if v.cfg.RevocationBus == nil {
		return errors.New("xenaauth: Config.RevocationBus is not set")
	}
	return v.cfg.RevocationBus.Subscribe(ctx, func(r Revocation) {
		now := time.Now()
		if r, err := v.revoked.complete(r, now); err == nil {
			err := v.revoked.add(r, now)
			const bad, good = "revocations of other instances are not in force here", "revocations of other instances are in force again"
			v.report.change("revocations", err, bad, good)
		}
	})
}
