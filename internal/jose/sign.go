package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
)

// Signer signs JWTs with one private key. A Signer is safe for concurrent use if its private key is
// safe for concurrent use.
type Signer struct {
	key    crypto.Signer
	public JWK
	header string // header is the first segment of each JWT
}

// JWK is a public key in the form in which a key set contains it (RFC 7517; RFC 8037 for Ed25519).
type JWK struct {
	Type      string `json:"kty"`
	Curve     string `json:"crv"`
	X         string `json:"x"`
	Y         string `json:"y,omitempty"`
	ID        string `json:"kid"` // ID is the thumbprint of the key (RFC 7638)
	Use       string `json:"use"`
	Algorithm string `json:"alg"`
}

// NewSigner returns a Signer. typ becomes the member typ in the header of its JWTs. The key must be
// ECDSA with P-256 (ES256) or Ed25519 (EdDSA).
func NewSigner(key crypto.Signer, typ string) (*Signer, error) {
	if key == nil {
		return nil, errors.New("is nil")
	}
	public, err := publicJWK(key.Public())
	if err != nil {
		return nil, err
	}
	header, err := json.Marshal(map[string]string{"typ": typ, "alg": public.Algorithm, "kid": public.ID})
	if err != nil {
		return nil, err
	}
	return &Signer{key: key, public: public, header: encoding.EncodeToString(header)}, nil
}

// Public returns the public key that verifies the JWTs of this Signer.
func (s *Signer) Public() JWK { return s.public }

// Sign returns a JWT with the given payload (RFC 7515, section 7.1).
func (s *Signer) Sign(payload []byte) (string, error) {
	input := s.header + "." + encoding.EncodeToString(payload)
	message, hash := []byte(input), crypto.Hash(0)
	isECDSA := s.public.Algorithm == "ES256"
	if isECDSA {
		sum := sha256.Sum256(message)
		message, hash = sum[:], crypto.SHA256
	}
	signature, err := s.key.Sign(rand.Reader, message, hash)
	if err != nil {
		// The error of the private key is replaced by another error, because its text may contain
		// the name of a key store.
		return "", errors.New("signing key: Sign failed")
	}
	if isECDSA {
		if signature, err = joinDER(signature); err != nil {
			return "", err
		}
	}
	return input + "." + encoding.EncodeToString(signature), nil
}

// publicJWK returns a public key as a JWK. The error says why the key is not supported.
func publicJWK(public crypto.PublicKey) (JWK, error) {
	var k JWK
	// members contains the members of the JWK from which the thumbprint is computed (RFC 7638), in
	// lexicographic order.
	var members string
	encode := encoding.EncodeToString
	switch p := public.(type) {
	case *ecdsa.PublicKey:
		if p.Curve != elliptic.P256() {
			return JWK{}, errors.New("is not of curve P-256")
		}
		// an elliptic-curve point without compression is the byte 4, the coordinate x and the
		// coordinate y
		point, err := p.Bytes()
		if err != nil {
			return JWK{}, errors.New("is not a point of its curve")
		}
		k = JWK{Type: "EC", Curve: "P-256", X: encode(point[1:33]), Y: encode(point[33:]), Algorithm: "ES256"}
		members = `{"crv":"P-256","kty":"EC","x":"` + k.X + `","y":"` + k.Y + `"}`
	case ed25519.PublicKey:
		if len(p) != ed25519.PublicKeySize {
			return JWK{}, errors.New("is not 32 bytes long")
		}
		k = JWK{Type: "OKP", Curve: "Ed25519", X: encode(p), Algorithm: "EdDSA"}
		members = `{"crv":"Ed25519","kty":"OKP","x":"` + k.X + `"}`
	default:
		return JWK{}, fmt.Errorf("is neither ECDSA with P-256 nor Ed25519: %T", public)
	}
	sum := sha256.Sum256([]byte(members))
	k.ID, k.Use = encode(sum[:]), "sig"
	return k, nil
}

// joinDER converts an ES256 signature from ASN.1 into the form of a JWS: its two numbers at full
// length (RFC 7518, section 3.4). appendDER does the opposite.
func joinDER(signature []byte) ([]byte, error) {
	var v struct{ R, S *big.Int }
	rest, err := asn1.Unmarshal(signature, &v)
	if err != nil || len(rest) > 0 || v.R.Sign() <= 0 || v.S.Sign() <= 0 || v.R.BitLen() > 256 || v.S.BitLen() > 256 {
		return nil, errors.New("signing key: the signature is malformed")
	}
	b := make([]byte, 64)
	v.R.FillBytes(b[:32])
	v.S.FillBytes(b[32:])
	return b, nil
}
