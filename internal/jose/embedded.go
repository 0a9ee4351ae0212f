package jose

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"math/big"
	"slices"
	"strings"

	"github.com/xenaauth/xenaauth/internal/claims"
)

// Embedded is the header of a JWS that contains the public key of its signer, for example of a DPoP
// proof (RFC 9449). The signature proves only that the signer has the private key of this public
// key. So before the caller calls Verify, it must compare Thumbprint with the thumbprint of a key
// that the signer must have.
type Embedded struct {
	Algorithm string
	// Type is the member typ of the header, unchanged
	Type string
	// Thumbprint is the SHA-256 thumbprint of the key (RFC 7638), in base64url.
	Thumbprint string

	key embeddedKey
}

// embeddedKey is the public key (JWK) in the header of a token, before it was checked completely.
// The fields n, e, x and y contain its modulus, exponent and coordinates. After checkMembers has
// accepted the key, the fields that the type of the key needs are canonical base64url.
type embeddedKey struct {
	kty, crv, n, e, x, y string
	// algorithm and use are the members alg and use of the key; each is "" if the key does not have
	// the member
	algorithm, use string
	numbers        [2][]byte
	operations     []string
	restricted     bool // restricted is true if the key has the member key_ops
}

// These constants limit the modulus and the exponent of an RSA key that the header of a token
// contains. A client chooses such a key, and a larger modulus or exponent would make the
// verification more expensive.
const (
	maxEmbeddedModulus  = 4096 / 8
	embeddedExponent    = 65537
	embeddedExponentB64 = "AQAB"
)

// These errors say why a key in the header of a token can't be used.
var (
	ErrNoKey        = errors.New("jwk is missing")
	ErrPrivateKey   = errors.New("jwk is a private or symmetric key")
	ErrUnusableKey  = errors.New("jwk is not a supported public key: RSA with 2048 to 4096 bits, P-256, P-384 or Ed25519")
	ErrUnfitKey     = errors.New("jwk and alg do not fit together")
	ErrNotForVerify = errors.New("jwk is not for signatures")
	errMember       = errors.New("jwk has a malformed member")
)

// ParseEmbedded parses the first segment of a token whose header contains a public key. The error
// is ErrMalformed, ErrHeader, ErrAlgorithm or one of the errors about such a key. ParseEmbedded
// verifies no signature and builds no public key.
func ParseEmbedded(segment string) (*Embedded, error) {
	var r headerReader
	if !r.openHeader(segment) {
		return nil, ErrMalformed
	}
	defer r.memberReader.Close()
	h, jwk := new(Embedded), ""
	for name, more := r.memberReader.Next(); more; name, more = r.memberReader.Next() {
		ok := true
		switch name {
		case "alg":
			h.Algorithm, ok = readWord(&r.memberReader)
		case "typ":
			h.Type, ok = readWord(&r.memberReader)
		case "jwk":
			jwk, ok = r.memberReader.Raw()
		default:
			ok = r.skipValue(name)
		}
		if !ok {
			return nil, ErrMalformed
		}
	}
	switch err := r.err(); {
	case err != nil:
		return nil, err
	case algorithms[h.Algorithm] == nil:
		return nil, ErrAlgorithm
	case jwk == "":
		return nil, ErrNoKey
	}
	if err := h.key.parse(jwk); err != nil {
		return nil, err
	}
	if err := h.key.checkMembers(algorithms[h.Algorithm]); err != nil {
		return nil, err
	}
	h.Thumbprint = h.key.thumbprint()
	return h, nil
}

// embeddedKey.parse reads the members of the key (JWK) in the header of a token (RFC 7517, section
// 4).
func (k *embeddedKey) parse(text string) error {
	m := claims.Members{Registered: registeredJWK}
	m.Open(text)
	defer m.Close()
	private := false
	for name, more := m.Next(); more; name, more = m.Next() {
		var into *string
		switch name {
		case "kty":
			into = &k.kty
		case "crv":
			into = &k.crv
		case "n":
			into = &k.n
		case "e":
			into = &k.e
		case "x":
			into = &k.x
		case "y":
			into = &k.y
		case "alg":
			into = &k.algorithm
		case "use":
			into = &k.use
		case "d", "p", "q", "dp", "dq", "qi", "oth", "k":
			private = true
		}
		ok := false
		switch {
		case into != nil:
			*into, ok = m.String()
		case name == "key_ops":
			k.restricted = true
			k.operations, ok = m.Strings()
		default:
			_, ok = m.Raw()
		}
		if !ok {
			return errMember
		}
	}
	switch {
	case m.Err() != nil:
		return ErrMalformed
	case private:
		return ErrPrivateKey
	}
	return nil
}

// embeddedKey.checkMembers refuses a key that is not for signatures, or does not fit the algorithm
// a. RFC 7518 allows only one form for the modulus, the exponent and the coordinates of a key.
// checkMembers refuses every other form. So each key has only one thumbprint.
func (k *embeddedKey) checkMembers(a *algorithm) error {
	switch {
	case k.use != "" && k.use != "sig", k.restricted && !slices.Contains(k.operations, "verify"):
		return ErrNotForVerify
	case k.kty != a.kty, k.algorithm != "" && algorithms[k.algorithm] != a:
		return ErrUnfitKey
	}
	coordinate := 0 // coordinate is the length in bytes that the coordinates x and y must have
	switch {
	case k.kty == "RSA":
		k.crv = ""
		return k.checkModulus()
	case k.crv == "P-521": // P-521 is supported only for the keys of issuers
		return ErrUnusableKey
	case k.crv != a.crv:
		return ErrUnfitKey
	case k.kty == "EC":
		coordinate = coordinates[k.crv]
	default:
		coordinate = ed25519.PublicKeySize
	}
	for i, text := range []string{k.x, k.y} {
		if k.kty == "OKP" && i == 1 {
			break
		}
		if len(text) != encoding.EncodedLen(coordinate) {
			return ErrUnusableKey
		}
		number, err := decodeString(text)
		if err != nil {
			return ErrUnusableKey
		}
		k.numbers[i] = number
	}
	return nil
}

func (k *embeddedKey) checkModulus() error {
	if k.e != embeddedExponentB64 || len(k.n) > encoding.EncodedLen(maxEmbeddedModulus) {
		return ErrUnusableKey
	}
	n, err := decodeString(k.n)
	// The modulus of an RSA key must not begin with a zero byte, and it must be odd.
	if err != nil || len(n) < minModulus || n[0] == 0 || n[len(n)-1]&1 == 0 ||
		len(n) == minModulus && n[0] < 0x80 {
		return ErrUnusableKey
	}
	k.numbers[0] = n
	return nil
}

// embeddedKey.thumbprint returns the thumbprint of a key (RFC 7638, section 3): the hash of its
// required members, in the order of their names. The key must have passed embeddedKey.checkMembers
// before.
func (k *embeddedKey) thumbprint() string {
	var b strings.Builder
	b.Grow(64 + len(k.n) + len(k.x) + len(k.y))
	switch k.kty {
	case "RSA":
		b.WriteString(`{"e":"` + embeddedExponentB64 + `","kty":"RSA","n":"` + k.n)
	case "EC":
		b.WriteString(`{"crv":"` + k.crv + `","kty":"EC","x":"` + k.x + `","y":"` + k.y)
	default:
		b.WriteString(`{"crv":"` + k.crv + `","kty":"OKP","x":"` + k.x)
	}
	b.WriteString(`"}`)
	sum := sha256.Sum256([]byte(b.String()))
	return encoding.EncodeToString(sum[:])
}

// Verify returns nil if the token t was signed with the private key of the embedded key. Otherwise
// the error is ErrSignature, ErrMalformed, or ErrUnusableKey if the key is not a point on its
// curve. The header h must be the header of t.
func (h *Embedded) Verify(t Token) error {
	k := &Key{kty: h.key.kty, crv: h.key.crv}
	switch a, b := h.key.numbers[0], h.key.numbers[1]; h.key.kty {
	case "RSA":
		k.size = len(a)
		k.public = &rsa.PublicKey{N: new(big.Int).SetBytes(a), E: embeddedExponent}
	case "EC":
		curve := elliptic.P256()
		if h.key.crv == "P-384" {
			curve = elliptic.P384()
		}
		public, err := ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, a, b))
		if err != nil {
			return ErrUnusableKey // the public key is a point that is not on the curve
		}
		k.public = public
	default:
		k.public = ed25519.PublicKey(a)
	}
	_, err := t.Hash().Verify(h.Algorithm, []*Key{k})
	return err
}
