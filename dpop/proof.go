package dpop

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/internal/jose"
)

// Confirm returns nil if the field DPoP of r contains a valid proof for the request r, for token,
// and for the key whose thumbprint is jkt (RFC 9449, section 4.3). It records that the proof was
// used, unless Config.ReplayCheckedElsewhere is set. The package comment says in which order the
// proof is checked.
func (p *Proof) Confirm(r *http.Request, token, jkt string) error {
	proof, err := proofOf(r)
	if err != nil {
		return p.refuse(xenaauth.ReasonProof, jkt, err)
	}
	header, err := jose.ParseEmbedded(proof.Header())
	if err != nil {
		return p.refuse(xenaauth.ReasonProof, jkt, fmt.Errorf("the header of the proof: %w", err))
	}
	// To compare the key of the proof with the key of the token, the Proof computes only a hash.
	// This comparison comes before everything that is expensive, so that a client that does not
	// know the public key of a valid token can't make the service work hard.
	if header.Thumbprint != jkt {
		return &xenaauth.Error{Reason: xenaauth.ReasonConfirmation, Err: errOtherKey}
	}
	if header.Type != "dpop+jwt" {
		return p.refuse(xenaauth.ReasonProof, jkt, &wrongValue{"typ", header.Type, "dpop+jwt"})
	}
	if !p.accepts(header.Algorithm) {
		return p.refuse(xenaauth.ReasonProof, jkt, &wrongAlgorithm{header.Algorithm, p.algorithms})
	}
	c, err := claimsOf(proof)
	if err != nil {
		return p.refuse(xenaauth.ReasonProof, jkt, err)
	}
	now := time.Now()
	if err := p.checkClaims(c, r, token, now); err != nil {
		return p.refuse(xenaauth.ReasonProof, jkt, err)
	}
	if p.nonceMaker != nil {
		if !p.nonceMaker.check(c.nonce, jkt, now) {
			return p.refuse(xenaauth.ReasonProofNonce, jkt, nonceError(c.nonce))
		}
	}
	if err := p.verifySignature(header, proof); err != nil {
		return p.refuse(xenaauth.ReasonProof, jkt, err)
	}
	return p.recordUse(r, c, jkt)
}

// Proof.checkClaims returns an error if the claims of a DPoP proof don't fit the request r, the
// access token or the current time.
func (p *Proof) checkClaims(c *proofClaims, r *http.Request, token string, now time.Time) error {
	if c.method != r.Method {
		return &wrongValue{"htm", c.method, r.Method}
	}
	if err := p.checkTarget(c.target, r); err != nil {
		return err
	}
	if hash := sha256.Sum256([]byte(token)); c.tokenHash != base64.RawURLEncoding.EncodeToString(hash[:]) {
		return errOtherToken
	}
	age := func(seconds int64) time.Duration { return now.Sub(time.Unix(seconds, 0)) }
	switch a := age(c.issuedAt); {
	case a > p.window+p.skew, a < -p.skew:
		return &wrongTime{"iat", c.issuedAt, now}
	// A DPoP proof may have exp and nbf, as every JWT (RFC 7519, sections 4.1.4 and 4.1.5).
	case c.expiresAt != 0 && age(c.expiresAt) >= p.skew:
		return &wrongTime{"exp", c.expiresAt, now}
	case c.notBefore != 0 && age(c.notBefore) < -p.skew:
		return &wrongTime{"nbf", c.notBefore, now}
	}
	return nil
}

// Proof.checkTarget returns an error if the claim htu is not the URL of the request. It ignores the
// query of both URLs and the fragment of htu. A request whose URL contains "#" is an error.
func (p *Proof) checkTarget(target string, r *http.Request) error {
	o, rest, err := splitURL(target)
	if err != nil {
		return fmt.Errorf("htu: %w", err)
	}
	if !p.isHere(o, r) {
		return &wrongOrigin{o, r.Host, p.origins}
	}
	have, err := normalPath(rest)
	if err != nil {
		return fmt.Errorf("htu: %w", err)
	}
	want, err := p.requestPath(r)
	if err != nil {
		return fmt.Errorf("the request: %w", err)
	}
	if have != want {
		return &wrongPath{have, want}
	}
	return nil
}

// Proof.recordUse records in the replay store that a valid DPoP proof was used, and refuses a proof
// that was used before. It is called after all other checks. So a proof with a mistake is not
// recorded, and only the owner of the key can fill the store.
func (p *Proof) recordUse(r *http.Request, c *proofClaims, jkt string) error {
	if p.store == nil {
		return nil
	}
	// The replay store must remember the proof as long as any instance may accept it. This instance
	// accepts the proof until its own clock shows iat + Window + ClockSkew. The clock of this
	// instance may be ahead of the client's clock by ClockSkew, and the clock of another instance
	// may be behind by ClockSkew. Then the other instance accepts the proof longer than this
	// instance, by 2 * ClockSkew. So this code adds ClockSkew three times.
	until := time.Unix(c.issuedAt, 0).Add(p.window + 3*p.skew)
	first, err := p.store.Use(r.Context(), "dpop "+jkt, c.id, until)
	switch {
	case err != nil:
		return &replayCheckError{err}
	case !first:
		return p.refuse(xenaauth.ReasonProofReplayed, jkt, errReplayed)
	}
	return nil
}

// Respond adds a nonce to the response, if nonces are on. After a refused proof, the response
// contains a nonce for the next proof of the client, unless the proof has another key than the
// token. The response to an allowed request contains a new nonce if the nonce in the proof will
// soon be too old (RFC 9449, section 8.2); Cache-Control then keeps caches from storing this
// response.
func (p *Proof) Respond(h http.Header, r *http.Request, err error) {
	if p.nonceMaker == nil {
		return
	}
	if err != nil {
		if cause, ok := errors.AsType[*proofError](err); ok && cause.checker == p {
			h.Set("DPoP-Nonce", p.nonceMaker.newNonce(cause.jkt, time.Now()))
		}
		return
	}
	now := time.Now()
	if !p.nonceMaker.isOld(nonceOf(r), now) {
		return
	}
	if jkt := thumbprintOf(r); jkt != "" {
		h.Set("DPoP-Nonce", p.nonceMaker.newNonce(jkt, now))
		h.Set("Cache-Control", "no-store")
	}
}

// thumbprintOf returns the thumbprint of the key in the DPoP proof of the request r. The proof was
// already accepted. If r has no such proof any more, thumbprintOf returns "".
func thumbprintOf(r *http.Request) string {
	proof, err := proofOf(r)
	if err != nil {
		return ""
	}
	header, err := jose.ParseEmbedded(proof.Header())
	if err != nil {
		return ""
	}
	return header.Thumbprint
}
