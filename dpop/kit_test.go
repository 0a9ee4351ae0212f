package dpop_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	_ "crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/dpop"
)

const (
	accessToken = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
	publicURL   = "https://api.example/orders/7"
)

type object = map[string]any

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func toJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// clientKey is the key of a client. It can sign any text, so that a test can also sign a wrong
// proof.
type clientKey struct {
	private crypto.Signer
	// jwk contains those members of the public key from which the thumbprint is computed.
	jwk       map[string]string
	algorithm string
}

func newKey(t testing.TB, algorithm string) *clientKey {
	t.Helper()
	k := &clientKey{algorithm: algorithm}
	var err error
	switch algorithm[:2] {
	case "ES":
		curve := map[string]elliptic.Curve{
			"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521(),
		}[algorithm]
		private, err := ecdsa.GenerateKey(curve, rand.Reader)
		require.NoError(t, err)
		point, err := private.PublicKey.Bytes()
		require.NoError(t, err)
		half := len(point) / 2
		k.private = private
		k.jwk = map[string]string{
			"kty": "EC", "crv": curve.Params().Name, "x": b64(point[1 : 1+half]), "y": b64(point[1+half:]),
		}
	case "Ed":
		public, private, err := ed25519.GenerateKey(rand.Reader)
		require.NoError(t, err)
		k.private, k.jwk = private, map[string]string{"kty": "OKP", "crv": "Ed25519", "x": b64(public)}
	default:
		k.private, err = rsa.GenerateKey(rand.Reader, 2048)
		require.NoError(t, err)
		k.jwk = rsaJWK(k.private.Public().(*rsa.PublicKey))
	}
	return k
}

func rsaJWK(public *rsa.PublicKey) map[string]string {
	return map[string]string{"kty": "RSA", "n": b64(public.N.Bytes()), "e": "AQAB"}
}

// clientKey.thumbprint returns the thumbprint of the public key (RFC 7638). The members of the key
// must be hashed in the order of their names, and json.Marshal writes them in this order.
func (k *clientKey) thumbprint() string {
	sum := sha256.Sum256([]byte(toJSON(k.jwk)))
	return b64(sum[:])
}

func (k *clientKey) sign(header, claims string) string {
	input := b64([]byte(header)) + "." + b64([]byte(claims))
	hash := map[string]crypto.Hash{
		"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512,
	}[strings.TrimLeft(k.algorithm, "RPES")]
	digest := []byte(input)
	if hash != 0 {
		h := hash.New()
		h.Write(digest)
		digest = h.Sum(nil)
	}
	var signature []byte
	var err error
	switch key := k.private.(type) {
	case *ecdsa.PrivateKey:
		r, s, signErr := ecdsa.Sign(rand.Reader, key, digest)
		size := (key.Params().BitSize + 7) / 8
		signature, err = append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...), signErr
	case *rsa.PrivateKey:
		var options crypto.SignerOpts = hash
		if k.algorithm[0] == 'P' {
			options = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash}
		}
		signature, err = key.Sign(rand.Reader, digest, options)
	default:
		signature, err = key.Sign(rand.Reader, digest, crypto.Hash(0))
	}
	if err != nil {
		panic(err)
	}
	return input + "." + b64(signature)
}

var lastID atomic.Int64

// clientKey.header returns the header of a good DPoP proof, with some changes: each value in
// changes replaces a member, and a nil value removes the member.
func (k *clientKey) header(changes object) object {
	return changed(object{"typ": "dpop+jwt", "alg": k.algorithm, "jwk": k.jwk}, changes)
}

// goodClaims returns the claims of a good DPoP proof for the request GET publicURL, with some
// changes: each value in changes replaces a claim, and a nil value removes the claim.
func goodClaims(changes object) object {
	hash := sha256.Sum256([]byte(accessToken))
	return changed(object{
		"jti": "id " + strconv.FormatInt(lastID.Add(1), 10), "htm": "GET", "htu": publicURL,
		"iat": time.Now().Unix(), "ath": b64(hash[:]),
	}, changes)
}

func changed(in, changes object) object {
	maps.Copy(in, changes)
	maps.DeleteFunc(in, func(_ string, v any) bool { return v == nil })
	return in
}

// clientKey.proof returns a DPoP proof that this client has signed. inHeader contains changes to
// the header of a good proof, and inClaims contains changes to its claims.
func (k *clientKey) proof(inHeader, inClaims object) string {
	return k.sign(toJSON(k.header(inHeader)), toJSON(goodClaims(inClaims)))
}

func newProof(t testing.TB, change func(*dpop.Config)) *dpop.Proof {
	t.Helper()
	c := dpop.Config{PublicOrigins: []string{"https://api.example"}}
	if change != nil {
		change(&c)
	}
	p, err := dpop.New(c)
	require.NoError(t, err)
	return p
}

// requestWith returns a request for publicURL with the given DPoP proofs. Each proof is in a header
// field DPoP of its own.
func requestWith(proofs ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/orders/7?x=1", nil)
	r.Host = "api.example"
	r.Header["Dpop"] = proofs
	return r
}

// asRefusal returns err as an *Error, or nil if err is nil. If err has another type, the test
// fails.
func asRefusal(t testing.TB, err error) *xenaauth.Error {
	t.Helper()
	if err == nil {
		return nil
	}
	e, ok := errors.AsType[*xenaauth.Error](err)
	require.True(t, ok, "not a refusal: %v", err)
	return e
}

// wantRefusal requires that err is a refusal with the given reason, and that its text contains
// wantText.
func wantRefusal(t testing.TB, err error, reason xenaauth.Reason, wantText string) {
	t.Helper()
	e := asRefusal(t, err)
	require.NotNil(t, e, "accepted, want %s: %s", reason, wantText)
	require.Equal(t, reason, e.Reason, "%v", err)
	require.ErrorContains(t, err, wantText)
}

// jsonNull is the JSON text null. In the changes to a proof it sets a member to null, while nil
// removes the member.
var jsonNull = json.RawMessage("null")
