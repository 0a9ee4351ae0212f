package dpop

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth/internal/jose"
)

// signer is the client in this test. It signs DPoP proofs with an EC key.
type signer struct {
	key   *ecdsa.PrivateKey
	x, y  string
	print string
}

func newSigner(t testing.TB) *signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	point, err := key.PublicKey.Bytes()
	require.NoError(t, err)
	encode := base64.RawURLEncoding.EncodeToString
	s := &signer{key: key, x: encode(point[1:33]), y: encode(point[33:])}
	sum := sha256.Sum256([]byte(`{"crv":"P-256","kty":"EC","x":"` + s.x + `","y":"` + s.y + `"}`))
	s.print = encode(sum[:])
	return s
}

func (s *signer) proof(id, token string) string {
	encode := base64.RawURLEncoding.EncodeToString
	hash := sha256.Sum256([]byte(token))
	input := encode([]byte(`{"typ":"dpop+jwt","alg":"ES256","jwk":{"kty":"EC","crv":"P-256","x":"`+s.x+`","y":"`+s.y+`"}}`)) + "." +
		encode(fmt.Appendf(nil, `{"jti":%q,"htm":"GET","htu":"https://api.example/","iat":%d,"ath":%q}`, id, time.Now().Unix(), encode(hash[:])))
	digest := sha256.Sum256([]byte(input))
	r, v, err := ecdsa.Sign(rand.Reader, s.key, digest[:])
	if err != nil {
		panic(err)
	}
	return input + "." + encode(append(r.FillBytes(make([]byte, 32)), v.FillBytes(make([]byte, 32))...))
}

func proofRequest(proof string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Host = "api.example"
	r.Header.Set("DPoP", proof)
	return r
}

// An attacker sends 100 000 proofs with keys that are not the key of the token. The Proof verifies
// no signature of these proofs and keeps no memory for them. It also verifies no signature of
// proofs with the right key and a wrong claim. Good proofs that arrive in the meantime are
// accepted.
func TestJunkProofsCostNoSignature(t *testing.T) {
	p, err := New(Config{PublicOrigins: []string{"https://api.example"}})
	require.NoError(t, err)
	var signatures atomic.Int64
	p.verifySignature = func(h *jose.Embedded, token jose.Token) error {
		signatures.Add(1)
		return h.Verify(token)
	}
	owner := newSigner(t)
	const token = "token"
	good := owner.proof("first", token)
	require.NoError(t, p.Confirm(proofRequest(good), token, owner.print))
	require.Equal(t, int64(1), signatures.Load())

	// Each of the attacker's proofs contains a different key, which is never the key of the token,
	// and a wrong signature. For half of the keys, the number x belongs to no point of the elliptic
	// curve. The Proof does not notice this mistake, because it first compares the key with the key
	// of the token. This comparison comes before everything that is expensive.
	parts := strings.Split(good, ".")
	header := bytes.Clone([]byte(`{"typ":"dpop+jwt","alg":"ES256","jwk":{"kty":"EC","crv":"P-256","x":"` + owner.x + `","y":"` + owner.y + `"}}`))
	at := bytes.Index(header, []byte(owner.x))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	const junk = 100_000
	r := proofRequest("")
	for i := range junk {
		copy(header[at:], fmt.Sprintf("%012d", i))
		r.Header["Dpop"][0] = base64.RawURLEncoding.EncodeToString(header) + "." + parts[1] + "." + parts[2]
		if err := p.Confirm(r, token, owner.print); err == nil || !strings.Contains(err.Error(), "cnf.jkt") {
			t.Fatal(err)
		}
		if i%10_000 == 0 {
			require.NoError(t, p.Confirm(proofRequest(owner.proof(fmt.Sprint("good ", i), token)), token, owner.print))
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	require.Equal(t, int64(1+junk/10_000), signatures.Load())
	require.Less(t, int64(after.HeapAlloc)-int64(before.HeapAlloc), int64(1<<20))

	// The thief of a token may know the public key of the token's owner. If the thief sends a proof
	// with this key and a wrong claim, the proof is refused before its signature is verified.
	signatures.Store(0)
	for range 1000 {
		require.Error(t, p.Confirm(proofRequest(owner.proof("x", "another token")), token, owner.print))
	}
	require.Zero(t, signatures.Load())
}

// A nonce contains the number of the period in which it was made. A nonce of the next period is
// accepted, because the clock of another instance may be ahead. A nonce of a later period is
// refused.
func TestNonceOfAnInstanceWhoseClockIsAhead(t *testing.T) {
	n := newNonceMaker([][]byte{bytes.Repeat([]byte("a"), 32)}, 2*time.Minute)
	now := time.Unix(1_800_000_000, 0)
	for periods, accepted := range map[time.Duration]bool{-2: false, -1: true, 0: true, 1: true, 2: false} {
		nonce := n.newNonce("key", now.Add(periods*time.Minute))
		require.Equal(t, accepted, n.check(nonce, "key", now), periods)
		require.False(t, n.check(nonce, "another key", now))
	}
}
