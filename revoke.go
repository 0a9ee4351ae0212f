package xenaauth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xenaauth/xenaauth/internal/jose"
)

// Revocation says which access tokens no longer hold. Every field that is set must match for a token to be refused; one
// of TokenHash, TokenID, SessionID, Subject, ClientID and IssuedBefore must be set. It can be stored and sent as JSON,
// and holds no token.
type Revocation struct {
	// TokenHash is one token's: see [HashToken].
	TokenHash string `json:"token_hash,omitempty"`
	// TokenID is the claim jti. IdentityServer4 keeps it over a refresh, so it may stand for several tokens.
	TokenID string `json:"jti,omitempty"`
	// SessionID is the claim sid: all tokens of one login.
	SessionID string `json:"sid,omitempty"`
	// Subject is the claim sub: all tokens of one user, whatever a subject resolver makes of them.
	Subject string `json:"sub,omitempty"`
	// ClientID is the application's: all tokens that it got.
	ClientID string `json:"client_id,omitempty"`
	// IssuedBefore limits it to tokens made before that moment of the issuer's clock, by nbf (by iat where there is no
	// nbf). Zero is no limit: then a user who logs in again is refused too, until the revocation ends. A token without
	// either claim matches.
	IssuedBefore time.Time `json:"issued_before,omitzero"`
	// Until is when it ends. Zero is once every token that exists now has expired: [Config.MaxTokenLifetime] and three
	// times the skew from now, or 24 hours with [Config.AllowAnyLifetime]. Set it for introspected tokens of an issuer
	// that doesn't tell when they expire.
	Until time.Time `json:"until,omitzero"`
}

// HashToken is the name that a token has in a [Revocation]: the SHA-256, in hex, of an opaque token, or of a JWT without
// its signature, since of an ECDSA signature anybody can make another that verifies as well.
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
	// Publish tells all instances of r, those that start later included, until r.Until.
	Publish(ctx context.Context, r Revocation) error
	// Subscribe calls apply with each revocation that any instance publishes or has published and that hasn't ended. It
	// returns when ctx does, or with an error that ends the subscription.
	Subscribe(ctx context.Context, apply func(Revocation)) error
}

// maxRevocations bounds memory. A login system that revokes more than this within a token's lifetime should revoke by
// session or subject, not by token.
const maxRevocations = 100_000

// ErrRevocationsFull is returned by [Validator.Revoke] when 100 000 revocations are in force. The new one is not.
var ErrRevocationsFull = errors.New("xenaauth: too many revocations are in force")

// Revoke makes the Validator refuse tokens from its next request on, and tells [Config.RevocationBus]. What it refuses
// is forgotten by itself once no such token can be valid. The error says that r is unusable, or is
// [ErrRevocationsFull], or the bus's own; in the last case this instance refuses all the same.
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
		return fmt.Errorf("xenaauth: the revocation holds here but was not published: %w", err)
	}
	return nil
}

// FollowRevocations takes over what other instances publish on [Config.RevocationBus], until ctx ends. It is for a
// goroutine of the caller's, who starts it again after an error. Without a bus it returns an error at once.
func (v *Validator) FollowRevocations(ctx context.Context) error {
	if v.cfg.RevocationBus == nil {
		return errors.New("xenaauth: Config.RevocationBus is not set")
	}
	return v.cfg.RevocationBus.Subscribe(ctx, func(r Revocation) {
		now := time.Now()
		if r, err := v.revoked.complete(r, now); err == nil {
			err := v.revoked.add(r, now)
			v.report.change("revocations", err, "what other instances revoke does not hold here", "what other instances revoke holds again")
		}
	})
}

// revocations are those in force.
type revocations struct {
	lifetime time.Duration // of the longest-lived token
	count    atomic.Int64  // so that nobody locks while there are none

	mu     sync.RWMutex
	by     map[mark][]Revocation
	next   time.Time // when the first of them ends
	hashes int       // how many name a token
}

// mark is the one field that a revocation is filed under: its most selective.
type mark struct{ field, value string }

func newRevocations(c Config) *revocations {
	r := &revocations{lifetime: 24 * time.Hour, by: make(map[mark][]Revocation)}
	if !c.AllowAnyLifetime {
		r.lifetime = c.MaxTokenLifetime + 3*c.ClockSkew
	}
	return r
}

func (r Revocation) mark() mark {
	for _, m := range []mark{
		{"token", r.TokenHash}, {"jti", r.TokenID}, {"sid", r.SessionID}, {"sub", r.Subject}, {"client", r.ClientID},
	} {
		if m.value != "" {
			return m
		}
	}
	return mark{}
}

func (s *revocations) complete(r Revocation, now time.Time) (Revocation, error) {
	if r.mark() == (mark{}) && r.IssuedBefore.IsZero() {
		return r, errors.New("xenaauth: a Revocation that names nothing")
	}
	for _, name := range []string{r.TokenHash, r.TokenID, r.SessionID, r.Subject, r.ClientID} {
		if !isName(name) {
			return r, errors.New("xenaauth: a Revocation that names what no token has")
		}
	}
	if b, err := hex.DecodeString(r.TokenHash); err != nil || r.TokenHash != "" && len(b) != sha256.Size {
		return r, errors.New("xenaauth: Revocation.TokenHash is not from HashToken")
	}
	r.TokenHash = strings.ToLower(r.TokenHash)
	if r.Until.IsZero() {
		r.Until = now.Add(s.lifetime)
	}
	// The wall clock alone, so that the same revocation is the same wherever it was made.
	r.Until, r.IssuedBefore = r.Until.UTC().Round(0), r.IssuedBefore.UTC().Round(0)
	return r, nil
}

func (s *revocations) add(r Revocation, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !now.Before(r.Until) {
		return nil
	}
	s.sweep(now)
	m := r.mark()
	for i, have := range s.by[m] {
		same, until := have, have.Until
		same.Until = r.Until
		if same == r { // said again, by another instance perhaps
			if until.Before(r.Until) {
				s.by[m][i].Until = r.Until
			}
			return nil
		}
	}
	if s.count.Load() >= maxRevocations {
		return ErrRevocationsFull
	}
	if r.TokenHash != "" {
		s.hashes++
	}
	s.by[m] = append(s.by[m], r)
	if s.next.IsZero() || r.Until.Before(s.next) {
		s.next = r.Until
	}
	s.count.Add(1)
	return nil
}

// sweep forgets what has ended. s.mu is held.
func (s *revocations) sweep(now time.Time) {
	if s.next.IsZero() || now.Before(s.next) {
		return
	}
	s.next, s.hashes = time.Time{}, 0
	n := 0
	for m, list := range s.by {
		var live []Revocation
		for _, r := range list {
			if !now.Before(r.Until) {
				continue
			}
			live = append(live, r)
			if s.next.IsZero() || r.Until.Before(s.next) {
				s.next = r.Until
			}
			if r.TokenHash != "" {
				s.hashes++
			}
		}
		if n += len(live); len(live) == 0 {
			delete(s.by, m)
			continue
		}
		s.by[m] = live
	}
	// Sweeping looks at all of them, so it waits for a while even if more end soon.
	if soon := now.Add(time.Second); !s.next.IsZero() && s.next.Before(soon) {
		s.next = soon
	}
	s.count.Store(int64(n))
}

// match reports whether a token is revoked.
func (s *revocations) match(u *User, token string, now time.Time) bool {
	if s.count.Load() == 0 {
		return false
	}
	s.mu.RLock()
	over := !s.next.IsZero() && !now.Before(s.next)
	found := s.find(u, token, now)
	s.mu.RUnlock()
	if over {
		s.mu.Lock()
		s.sweep(now)
		s.mu.Unlock()
	}
	return found
}

// find looks for a revocation of a token. s.mu is held for reading.
func (s *revocations) find(u *User, token string, now time.Time) bool {
	marks := [...]mark{{}, {"jti", u.TokenID()}, {"sid", u.SessionID()}, {"sub", u.set.Subject}, {"client", u.clientID}, {}}
	if s.hashes > 0 {
		marks[5] = mark{"token", HashToken(token)}
	}
	for i, m := range marks {
		if i > 0 && m.value == "" {
			continue
		}
		for _, r := range s.by[m] {
			if now.Before(r.Until) && r.matches(u, marks[5].value) {
				return true
			}
		}
	}
	return false
}

func (r *Revocation) matches(u *User, tokenHash string) bool {
	made := u.NotBefore()
	if made.IsZero() {
		made = u.IssuedAt()
	}
	return (r.TokenHash == "" || r.TokenHash == tokenHash) &&
		(r.TokenID == "" || r.TokenID == u.TokenID()) &&
		(r.SessionID == "" || r.SessionID == u.SessionID()) &&
		(r.Subject == "" || r.Subject == u.set.Subject) &&
		(r.ClientID == "" || r.ClientID == u.clientID) &&
		(r.IssuedBefore.IsZero() || made.IsZero() || made.Before(r.IssuedBefore))
}

// inForce is how many there are.
func (s *revocations) inForce(now time.Time) int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	n := 0
	for _, list := range s.by {
		for _, r := range list {
			if now.Before(r.Until) {
				n++
			}
		}
	}
	return n
}
