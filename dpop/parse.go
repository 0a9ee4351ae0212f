package dpop

import (
	"errors"
	"net/http"
	"strings"

	"github.com/xenaauth/xenaauth/internal/claims"
	"github.com/xenaauth/xenaauth/internal/jose"
)

// These constants are the largest lengths of a DPoP proof and of its jti, in bytes. Real proofs
// have about 500 bytes with an EC key, and up to 2 000 bytes with an RSA key.
const (
	maxProof = 8 << 10
	maxID    = 256
)

// proofClaims are the claims of a DPoP proof (RFC 9449, section 4.2).
type proofClaims struct {
	id, method, target, tokenHash, nonce string
	// The times in a DPoP proof are in seconds since 1970. 0 means that the claim is missing.
	issuedAt, expiresAt, notBefore int64
}

var claimNames = claims.NewNames("jti", "htm", "htu", "iat", "ath", "nonce", "exp", "nbf")

// These errors say that a request has no DPoP proof, or why its proof can't be read.
var (
	errMissing  = errors.New("the DPoP field is missing")
	errRepeated = errors.New("the DPoP field is repeated")
	errTooLong  = errors.New("the proof has more than 8192 bytes")
	errNotJWT   = errors.New("the proof is not a JWT in compact form")
	errClaims   = errors.New("the claims of the proof are not a strict JSON object, or a claim has the wrong type")
	errID       = errors.New("jti is missing, or has more than 256 bytes")
	errRequired = errors.New("htm, htu, iat or ath is missing")
)

// proofOf returns the DPoP proof of the request r, from the header field DPoP. The proof is split
// into header, claims and signature.
func proofOf(r *http.Request) (jose.Token, error) {
	lines := r.Header["Dpop"]
	switch {
	case len(lines) == 0:
		return jose.Token{}, errMissing
	case len(lines) > 1:
		return jose.Token{}, errRepeated
	case len(lines[0]) > maxProof:
		return jose.Token{}, errTooLong
	}
	token, ok := jose.Split(lines[0])
	if !ok {
		return jose.Token{}, errNotJWT
	}
	return token, nil
}

// claimsOf parses the claims of a DPoP proof. A missing jti, htm, htu, iat or ath is an error: a
// proof that is sent to an API must have them (RFC 9449, section 4.3). A jti of more than maxID
// bytes is an error too.
func claimsOf(token jose.Token) (*proofClaims, error) {
	text, err := token.Payload()
	if err != nil {
		return nil, errNotJWT
	}
	c := new(proofClaims)
	m := claims.Members{Registered: claimNames}
	m.Open(text)
	defer m.Close()
	for name, more := m.Next(); more; name, more = m.Next() {
		ok := false
		switch name {
		case "jti":
			c.id, ok = m.String()
		case "htm":
			c.method, ok = m.String()
		case "htu":
			c.target, ok = m.String()
		case "ath":
			c.tokenHash, ok = m.String()
		case "nonce":
			c.nonce, ok = m.String()
		case "iat":
			c.issuedAt, ok = m.Time()
		case "exp":
			c.expiresAt, ok = m.Time()
		case "nbf":
			c.notBefore, ok = m.Time()
		default:
			_, ok = m.Raw()
		}
		if !ok {
			return nil, errClaims
		}
	}
	switch {
	case m.Err() != nil:
		return nil, errClaims
	case c.id == "" || len(c.id) > maxID:
		return nil, errID
	case c.method == "" || c.target == "" || c.issuedAt == 0 || c.tokenHash == "":
		return nil, errRequired
	}
	return c, nil
}

// Proof.accepts reports whether a DPoP proof may be signed with the given algorithm.
func (p *Proof) accepts(algorithm string) bool {
	return jose.ContainsAlgorithm(p.algorithms, algorithm)
}

// nonceOf returns the nonce in the DPoP proof of the request r. The proof was already accepted. If
// it has no nonce, nonceOf returns "".
func nonceOf(r *http.Request) string {
	token, err := proofOf(r)
	if err != nil {
		return ""
	}
	c, err := claimsOf(token)
	if err != nil {
		return ""
	}
	return c.nonce
}

// pathForLog shortens a path for the log. A long run of letters, digits, "-", ".", "_" and "~" may
// be a credential, so only the start of the run is shown.
func pathForLog(path string) string {
	const maxRun, shown, maxPath = 40, 16, 160
	var b strings.Builder
	for path != "" && b.Len() < maxPath {
		n := strings.IndexFunc(path, func(c rune) bool {
			return !isUnreserved(byte(c))
		})
		switch {
		case n < 0:
			n = len(path)
		case n == 0:
			n = 1
		}
		if n > maxRun {
			b.WriteString(path[:shown] + "...")
		} else {
			b.WriteString(path[:n])
		}
		path = path[n:]
	}
	if path != "" {
		b.WriteString("...")
	}
	return b.String()
}
