package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"strconv"
	"time"
)

// keySetMaxAge is how long the key set may be cached.
const keySetMaxAge = 5 * time.Minute

// SetKeys replaces the keys that assertions are signed with: the first one signs, all are published. Without
// [Config.Assertion], and on an error, it changes nothing.
//
// Verifiers that cache the key set must know a key before it signs. So a rotation takes three calls: the new key behind
// the old one; five minutes later, which is how long the key set may be cached, the new one before the old one; and,
// once the last assertion of the old key has expired, the new one alone. A verifier that fetches the keys at the sight of
// an unknown one, as this library's does, needs no waiting. All instances of a gateway need the same keys, in each step
// all of them before the next one begins. To take back a key that was stolen, leave it out at once.
func (i *Identity) SetKeys(signers []crypto.Signer) error {
	if i.assertion == nil {
		return errors.New("identity: no Config.Assertion, so no use for keys")
	}
	set, err := newKeys(signers)
	if err != nil {
		return fmt.Errorf("identity: keys: %w", err)
	}
	i.assertion.keys.Store(set)
	return nil
}

// JWKSHandler serves the public keys as a JWK set (RFC 7517), to be cached for five minutes. It is for the services
// behind the gateway; nothing in it is secret. Without [Config.Assertion] it answers 404.
func (i *Identity) JWKSHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case i.assertion == nil:
			http.NotFound(w, r)
			return
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
			return
		}
		document := i.assertion.keys.Load().document
		h := w.Header()
		h.Set("Content-Type", "application/jwk-set+json")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "public, max-age="+strconv.Itoa(int(keySetMaxAge/time.Second)))
		h.Set("Content-Length", strconv.Itoa(len(document)))
		_, _ = w.Write(document) // to HEAD, net/http sends none; a client that has gone away needs no answer
	})
}

// keys are what assertions are signed and verified with. They don't change.
type keys struct {
	signer   crypto.Signer
	ecdsa    bool
	header   string // of the JWS, encoded
	document []byte // the JWK set
}

// jwk is a public key (RFC 7517; RFC 8037 for Ed25519).
type jwk struct {
	Type      string `json:"kty"`
	Curve     string `json:"crv"`
	X         string `json:"x"`
	Y         string `json:"y,omitempty"`
	ID        string `json:"kid"`
	Use       string `json:"use"`
	Algorithm string `json:"alg"`
}

func newKeys(signers []crypto.Signer) (*keys, error) {
	if len(signers) == 0 {
		return nil, errors.New("are none")
	}
	published := make([]jwk, 0, len(signers))
	known := make(map[string]bool)
	for n, s := range signers {
		if s == nil {
			return nil, fmt.Errorf("number %d is nil", n+1)
		}
		k, err := publicKey(s.Public())
		if err != nil {
			return nil, fmt.Errorf("number %d: %w", n+1, err)
		}
		if known[k.ID] {
			return nil, fmt.Errorf("number %d is there twice", n+1)
		}
		known[k.ID] = true
		published = append(published, k)
	}
	header, err := json.Marshal(map[string]string{
		"typ": "at+jwt", "alg": published[0].Algorithm, "kid": published[0].ID,
	})
	if err != nil {
		return nil, err
	}
	document, err := json.Marshal(map[string]any{"keys": published})
	if err != nil {
		return nil, err
	}
	return &keys{
		signer:   signers[0],
		ecdsa:    published[0].Algorithm == "ES256",
		header:   base64.RawURLEncoding.EncodeToString(header),
		document: document,
	}, nil
}

// publicKey is a key as it is published. Its id is its thumbprint (RFC 7638), so that a key has one name everywhere.
func publicKey(public crypto.PublicKey) (jwk, error) {
	var k jwk
	var members string // of the thumbprint, in their order
	switch p := public.(type) {
	case *ecdsa.PublicKey:
		if p.Curve != elliptic.P256() {
			return jwk{}, errors.New("is not of curve P-256")
		}
		point, err := p.Bytes() // 4, x and y
		if err != nil {
			return jwk{}, errors.New("is no point of its curve")
		}
		k = jwk{Type: "EC", Curve: "P-256", Algorithm: "ES256"}
		k.X = base64.RawURLEncoding.EncodeToString(point[1:33])
		k.Y = base64.RawURLEncoding.EncodeToString(point[33:])
		members = `{"crv":"P-256","kty":"EC","x":"` + k.X + `","y":"` + k.Y + `"}`
	case ed25519.PublicKey:
		if len(p) != ed25519.PublicKeySize {
			return jwk{}, errors.New("is not of 32 bytes")
		}
		k = jwk{Type: "OKP", Curve: "Ed25519", Algorithm: "EdDSA"}
		k.X = base64.RawURLEncoding.EncodeToString(p)
		members = `{"crv":"Ed25519","kty":"OKP","x":"` + k.X + `"}`
	default:
		return jwk{}, fmt.Errorf("is neither ECDSA with P-256 nor Ed25519: %T", public)
	}
	sum := sha256.Sum256([]byte(members))
	k.ID, k.Use = base64.RawURLEncoding.EncodeToString(sum[:]), "sig"
	return k, nil
}

// sign returns a JWS in its compact form (RFC 7515, section 7.1).
func (k *keys) sign(payload string) (string, error) {
	input := k.header + "." + payload
	message, hash := []byte(input), crypto.Hash(0)
	if k.ecdsa {
		sum := sha256.Sum256(message)
		message, hash = sum[:], crypto.SHA256
	}
	signature, err := k.signer.Sign(rand.Reader, message, hash)
	if err != nil {
		return "", errors.New("the key doesn't sign") // its words may name a key store
	}
	if k.ecdsa {
		if signature, err = fixed(signature); err != nil {
			return "", err
		}
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// fixed turns an ECDSA signature from ASN.1 into the form of RFC 7518, section 3.4.
func fixed(signature []byte) ([]byte, error) {
	var v struct{ R, S *big.Int }
	rest, err := asn1.Unmarshal(signature, &v)
	if err != nil || len(rest) > 0 || v.R.Sign() <= 0 || v.S.Sign() <= 0 || v.R.BitLen() > 256 || v.S.BitLen() > 256 {
		return nil, errors.New("the key's signature is malformed")
	}
	b := make([]byte, 64)
	v.R.FillBytes(b[:32])
	v.S.FillBytes(b[32:])
	return b, nil
}
