package bench

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/dpop"
	"github.com/xenaauth/xenaauth/mtls"
	"github.com/xenaauth/xenaauth/replay"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

const ordersURL = "https://api.example/orders"

// acceptingStore is a replay store for DPoP proofs that accepts every proof as new, so that a
// benchmark can send one proof many times. Like a real store, it stores each proof.
type acceptingStore struct {
	local *replay.Local
	uses  atomic.Int64
}

func newAcceptingStore() *acceptingStore {
	return &acceptingStore{local: replay.NewLocal(replay.Options{MaxEntries: 50_000_000})}
}

func (s *acceptingStore) Use(ctx context.Context, owner, id string, until time.Time) (bool, error) {
	return s.local.Use(ctx, owner, id[:8]+strconv.FormatInt(s.uses.Add(1), 10), until)
}

// newPrivateKey returns a new private key for the given algorithm. A client signs its DPoP proofs
// with this key.
func newPrivateKey(algorithm string) crypto.Signer {
	switch algorithm {
	case "RS256":
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		must(err)
		return k
	case "ES256":
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		must(err)
		return k
	}
	_, k, err := ed25519.GenerateKey(rand.Reader)
	must(err)
	return k
}

// A dpopAPI contains an API that requires DPoP proofs, and requests to this API. The tokens of the
// requests are bound to the key of the client. The tokens are signed with RS256, and the proofs
// with the algorithm of the key.
type dpopAPI struct {
	*fixture
	v        *xenaauth.Validator
	api      http.Handler
	next     *requestCounter
	key      crypto.Signer
	requests []*http.Request
	tokens   [][]byte
	proofs   [][]byte
}

// newDPoPAPI returns an API that requires DPoP proofs of one algorithm, and n requests with
// different tokens. If nonces is true, the API also requires a nonce in each proof.
func newDPoPAPI(algorithm string, n int, nonces bool) *dpopAPI {
	b := &dpopAPI{fixture: issuerFor("RS256"), next: new(requestCounter), key: newPrivateKey(algorithm)}
	cfg := dpop.Config{PublicOrigins: []string{"https://api.example"}, Replay: newAcceptingStore(), Window: 10 * time.Minute}
	if nonces {
		cfg.NonceSecrets = [][]byte{[]byte(randomHex(16))}
	}
	proof, err := dpop.New(cfg)
	must(err)
	b.v = newValidator(b.fixture, func(c *xenaauth.Config) { c.CacheSize = coldCache })
	m := xenaauth.NewMiddleware(b.v, &xenaauth.Options{Proofs: []xenaauth.Proof{proof}, RequireProof: true})
	b.api = m.Require(xenaauth.AllScopes(scope))(b.next)
	client := xenaauthtest.NewDPoPClient(b.key)
	client.Handler = b.api
	for i := range n {
		client.Token = b.boundToken("jkt", client.Thumbprint())
		// the first response contains the DPoP nonce that the client must use in its proofs
		if i == 0 && nonces {
			_, err := client.RoundTrip(httptest.NewRequest(http.MethodGet, ordersURL, nil))
			must(err)
		}
		r := httptest.NewRequest(http.MethodGet, ordersURL, nil)
		text := client.Proof(http.MethodGet, ordersURL)
		r.Header.Set("Authorization", "DPoP "+client.Token)
		r.Header.Set("DPoP", text)
		b.requests = append(b.requests, r)
		b.tokens, b.proofs = append(b.tokens, []byte(client.Token)), append(b.proofs, []byte(text))
	}
	warmCaches(b.api, b.requests)
	return b
}

// fixture.boundToken returns a token that is bound to the key or the certificate of a client. The
// claim cnf of the token has one member. The parameter member is the name of this member, and
// thumbprint is its value.
func (f *fixture) boundToken(member, thumbprint string) string {
	claims := f.claims(usualScopes, time.Now().Add(-10*time.Second), lifetime)
	claims = fmt.Sprintf(`%s,"cnf":{%q:%q}}`, claims[:len(claims)-1], member, thumbprint)
	return f.SignBytes([]byte(f.header), []byte(claims))
}

// dpopAPI.send sends blockSize requests. It continues in the list of requests after the last
// request of the previous call.
func (b *dpopAPI) send(from *int) {
	w := newDiscardingWriter()
	for range blockSize {
		b.api.ServeHTTP(w, b.requests[*from%len(b.requests)])
		*from++
	}
}

// BenchmarkPossession measures a request with a DPoP proof. It divides the time of the request by
// the time of signature checks alone. If the name of a case contains base=both, these are two
// checks: one of the token, with RS256, and one of the proof. If the name contains base=proof, only
// the proof is checked: the token is in the cache, so the library does not check its signature
// again.
func BenchmarkPossession(b *testing.B) {
	for _, algorithm := range algorithms {
		for _, c := range []struct {
			name   string
			tokens int
			// BenchmarkPossession divides the time of a request by a base time. The base time
			// always includes the check of the proof's signature. If baseChecksToken is set, it
			// also includes the check of the token's signature.
			baseChecksToken bool
			nonces          bool
		}{
			{"token=new/base=both", coldTokens, true, false},
			{"token=in-use/base=both", fewTokens, true, false},
			{"token=in-use/base=proof", fewTokens, false, false},
			{"token=in-use/base=proof/nonces", fewTokens, false, true},
		} {
			b.Run("proof="+algorithm+"/"+c.name, func(b *testing.B) {
				api := newDPoPAPI(algorithm, c.tokens, c.nonces)
				ofToken, ofProof := newLimitVerifier(api.fixture), limitVerifierFor(api.key.Public())
				done, served := 0, 0
				api.next.n = 0
				comparePair(b, "x-limit", blockSize, func() {
					for range blockSize {
						i := done % len(api.tokens)
						if c.baseChecksToken && !ofToken.verifyToken(api.tokens[i]) || !ofProof.verifyToken(api.proofs[i]) {
							b.Fatal("bad signature")
						}
						done++
					}
				}, blockSize, func() { api.send(&served) })
				if api.next.n != served {
					b.Fatalf("%d of %d requests passed", api.next.n, served)
				}
				if c.tokens == coldTokens {
					requireOnlyMisses(b, api.v)
				}
			})
		}
	}
}

// BenchmarkPossessionAllocs measures the time and the allocations of a request with a DPoP proof.
func BenchmarkPossessionAllocs(b *testing.B) {
	for _, algorithm := range algorithms {
		for name, n := range map[string]int{"new": coldTokens, "in-use": fewTokens} {
			b.Run("proof="+algorithm+"/token="+name, func(b *testing.B) {
				api := newDPoPAPI(algorithm, n, false)
				measureRequests(b, api.api, api.requests, api.next)
			})
		}
	}
}

// BenchmarkPossessionCertificate measures a request whose token is in the cache and is bound to the
// client certificate of the connection. The result is a multiple of the time of a request with a
// token that is not bound.
func BenchmarkPossessionCertificate(b *testing.B) {
	const ops = 1000
	f := issuerFor("RS256")
	proof, err := mtls.New(mtls.Config{})
	must(err)
	v := newValidator(f, nil)
	m := xenaauth.NewMiddleware(v, &xenaauth.Options{Proofs: []xenaauth.Proof{proof}})
	// These bytes stand for a client certificate. They need not be a certificate, because the
	// library only compares their hash. A usual certificate is about as long.
	der := []byte(randomHex(450))
	sum := sha256.Sum256(der)
	thumbprint := base64.RawURLEncoding.EncodeToString(sum[:])
	free, with := requests(f.tokens(fewTokens)), requests(nil)
	for range fewTokens {
		r := request(f.boundToken("x5t#S256", thumbprint))
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{Raw: der}}}
		with = append(with, r)
	}
	h, bare := m.Require(xenaauth.AllScopes(scope))(idleHandler{}), guardHandler(v, idleHandler{})
	warmCaches(h, with)
	warmCaches(bare, free)
	w := newDiscardingWriter()
	all := func(h http.Handler, rs []*http.Request) func() {
		return func() {
			for i := range ops {
				h.ServeHTTP(w, rs[i%len(rs)])
			}
		}
	}
	comparePair(b, "x-unbound", ops, all(bare, free), ops, all(h, with))
}
