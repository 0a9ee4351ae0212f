package xenaauthtest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" // RFC 7515 defines x5t as a SHA-1 hash
	"crypto/sha256"
	_ "crypto/sha512" // this import makes SHA-384 and SHA-512 available to crypto.Hash
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"math/big"
	"strings"
	"sync"
)

const rsaBits = 2048

// Rotate creates a new signing key and publishes it together with the old keys. From then on,
// tokens are signed with the new key.
func (i *Issuer) Rotate() { i.keys.rotate() }

// Retire removes every key except the current key from the published key set. If a test calls
// Rotate and then Retire, no token of an old key is valid any more.
func (i *Issuer) Retire() { i.keys.retire() }

// KeyID returns the kid of the key that signs new tokens.
func (i *Issuer) KeyID() string { return i.keys.current().kid }

// JWKS returns the key set that the issuer serves now.
func (i *Issuer) JWKS() []byte {
	i.mu.Lock()
	raw := bytes.Clone(i.keySet)
	i.mu.Unlock()
	if raw != nil {
		return raw
	}
	return i.keys.document()
}

// SetJWKS makes the issuer serve exactly the bytes raw as its key set. If raw is nil, the issuer
// serves its real key set again. To sign with a key that is not published yet, call
// SetJWKS(issuer.JWKS()) and then [Issuer.Rotate].
func (i *Issuer) SetJWKS(raw []byte) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keySet = bytes.Clone(raw)
}

// keyRing contains the signing keys of a test issuer. The last key signs new tokens. The first key
// is made only when it is needed: to make an RSA key takes long, and an issuer of opaque tokens
// needs no key.
type keyRing struct {
	version   Version
	algorithm string

	mu   sync.Mutex
	keys []*signingKey
}

func newKeyRing(version Version, algorithm string) keyRing {
	switch algorithm {
	case "":
		algorithm = "RS256"
	case "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519":
	default:
		panic("xenaauthtest: unknown algorithm " + algorithm)
	}
	return keyRing{version: version, algorithm: algorithm}
}

func (r *keyRing) current() *signingKey {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.currentLocked()
}

func (r *keyRing) currentLocked() *signingKey {
	if len(r.keys) == 0 {
		r.keys = append(r.keys, newSigningKey(r.version, r.algorithm))
	}
	return r.keys[len(r.keys)-1]
}

func (r *keyRing) rotate() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.currentLocked()
	r.keys = append(r.keys, newSigningKey(r.version, r.algorithm))
}

func (r *keyRing) retire() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys = []*signingKey{r.currentLocked()}
}

func (r *keyRing) document() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.currentLocked()
	set := struct {
		Keys []publicKey `json:"keys"`
	}{}
	for _, k := range r.keys {
		set.Keys = append(set.Keys, k.public)
	}
	return mustMarshal(set)
}

// publicKey is a public key in the issuer's key set. The fields are in the order in which
// IdentityServer writes them.
type publicKey struct {
	KeyType             string `json:"kty"`
	Use                 string `json:"use"`
	KeyID               string `json:"kid"`
	Thumbprint          string `json:"x5t,omitempty"`
	Exponent            string `json:"e,omitempty"`
	Modulus             string `json:"n,omitempty"`
	Curve               string `json:"crv,omitempty"`
	X                   string `json:"x,omitempty"`
	Y                   string `json:"y,omitempty"`
	AuthorizedAlgorithm string `json:"alg,omitempty"`
}

type signingKey struct {
	algorithm string
	private   crypto.Signer
	kid       string
	x5t       string // x5t is the digest of the key's certificate; "" without one
	public    publicKey
}

func newSigningKey(version Version, algorithm string) *signingKey {
	k := &signingKey{algorithm: algorithm, private: generate(algorithm)}
	der, err := x509.MarshalPKIXPublicKey(k.private.Public())
	if err != nil {
		panic("xenaauthtest: " + err.Error())
	}
	// At IdentityServer, the kid of a key is the digest of its certificate. The keys of the test
	// issuer have no certificates, so the kid is the digest of the key. Clients depend only on the
	// form of the kid.
	thumbprint := sha1.Sum(der)
	k.x5t = base64.RawURLEncoding.EncodeToString(thumbprint[:])
	hexThumbprint := upperHex(thumbprint[:])
	switch version {
	case IdentityServer3:
		k.kid = k.x5t
	case IdentityServer4v1, IdentityServer4v3:
		k.kid = hexThumbprint
	case Duende:
		// Duende IdentityServer creates keys without certificates, and gives each key a random kid.
		digest := sha256.Sum256(der)
		k.kid, k.x5t = upperHex(digest[:16]), ""
	default:
		k.kid = hexThumbprint + algorithm
	}
	k.public = k.describe()
	k.public.Use, k.public.KeyID, k.public.Thumbprint = "sig", k.kid, k.x5t
	if version != IdentityServer3 && version != IdentityServer4v1 {
		k.public.AuthorizedAlgorithm = algorithm
	}
	return k
}

func generate(algorithm string) crypto.Signer {
	var key crypto.Signer
	var err error
	switch algorithm {
	case "ES256":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ES384":
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "ES512":
		key, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "EdDSA", "Ed25519":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		key, err = rsa.GenerateKey(rand.Reader, rsaBits)
	}
	if err != nil {
		panic("xenaauthtest: " + err.Error())
	}
	return key
}

// signingKey.describe returns the public key for the issuer's key set, with only those members that
// depend on the type of the key (RSA, EC or OKP).
func (k *signingKey) describe() publicKey {
	encode := base64.RawURLEncoding.EncodeToString
	switch public := k.private.Public().(type) {
	case *rsa.PublicKey:
		return publicKey{
			KeyType:  "RSA",
			Exponent: encode(big.NewInt(int64(public.E)).Bytes()),
			Modulus:  encode(public.N.Bytes()),
		}
	case *ecdsa.PublicKey:
		// Bytes returns the byte 4, then the coordinate x of the key, then its coordinate y. Both
		// coordinates have the same length: a shorter number gets leading zeros.
		point, err := public.Bytes()
		if err != nil {
			panic("xenaauthtest: " + err.Error())
		}
		size := len(point) / 2
		return publicKey{
			KeyType: "EC",
			Curve:   public.Params().Name,
			X:       encode(point[1 : 1+size]),
			Y:       encode(point[1+size:]),
		}
	default:
		return publicKey{
			KeyType: "OKP",
			Curve:   "Ed25519",
			X:       encode(public.(ed25519.PublicKey)),
		}
	}
}

// signingKey.hash returns the hash function for the algorithm of the key. A signature with EdDSA
// needs no separate hash function. For EdDSA, the result is used only for the claim at_hash of ID
// tokens.
func (k *signingKey) hash() crypto.Hash {
	switch {
	case strings.HasSuffix(k.algorithm, "256"):
		return crypto.SHA256
	case strings.HasSuffix(k.algorithm, "384"):
		return crypto.SHA384
	default:
		return crypto.SHA512
	}
}

// signingKey.signToken signs a header and claims. It returns the token in compact form: header,
// claims and signature with dots between them.
func (k *signingKey) signToken(header, payload []byte) string {
	encode := base64.RawURLEncoding.EncodeToString
	input := encode(header) + "." + encode(payload)
	return input + "." + encode(k.sign([]byte(input)))
}

func (k *signingKey) sign(input []byte) []byte {
	h := k.hash().New()
	h.Write(input)
	digest := h.Sum(nil)
	var signature []byte
	var err error
	switch private := k.private.(type) {
	case *rsa.PrivateKey:
		if strings.HasPrefix(k.algorithm, "PS") {
			salt := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
			signature, err = rsa.SignPSS(rand.Reader, private, k.hash(), digest, salt)
		} else {
			signature, err = rsa.SignPKCS1v15(rand.Reader, private, k.hash(), digest)
		}
	case *ecdsa.PrivateKey:
		// The signature of a JWS consists of two numbers, r and s, one after the other. Both
		// numbers have the same length: a shorter number gets leading zeros. The signature is not
		// in ASN.1.
		size := (private.Params().BitSize + 7) / 8
		signature = make([]byte, 2*size)
		r, s, signErr := ecdsa.Sign(rand.Reader, private, digest)
		if err = signErr; err == nil {
			r.FillBytes(signature[:size])
			s.FillBytes(signature[size:])
		}
	case ed25519.PrivateKey:
		signature = ed25519.Sign(private, input)
	}
	if err != nil {
		panic("xenaauthtest: " + err.Error())
	}
	return signature
}

func upperHex(b []byte) string { return strings.ToUpper(hex.EncodeToString(b)) }

func mustMarshal(v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil {
		panic("xenaauthtest: " + err.Error())
	}
	return raw
}
