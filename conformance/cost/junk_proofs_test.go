//go:build !race

package cost_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha512"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/dpop"
	"github.com/xenaauth/xenaauth/replay"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

const proofURL = "https://api.example/"

// countingStore is a store of used DPoP proofs. It counts the calls of Use.
type countingStore struct {
	replay.Store
	uses atomic.Int64
}

func (s *countingStore) Use(
	ctx context.Context, owner, id string, until time.Time,
) (bool, error) {
	s.uses.Add(1)
	return s.Store.Use(ctx, owner, id, until)
}

// newProofAPI returns an API that requires DPoP proofs, and the store in which the API remembers
// used proofs.
func newProofAPI(t testing.TB, issuer *xenaauthtest.Issuer) (http.Handler, *countingStore) {
	t.Helper()
	store := &countingStore{Store: replay.NewLocal(replay.Options{})}
	proof, err := dpop.New(dpop.Config{PublicOrigins: []string{"https://api.example"}, Replay: store})
	require.NoError(t, err)
	auth := xenaauth.NewMiddleware(harness.NewValidator(t, issuer.Config()), &xenaauth.Options{
		Proofs: []xenaauth.Proof{proof}, RequireProof: true, Logger: slog.New(slog.DiscardHandler),
	})
	return auth.Require(xenaauth.AnyUser())(harness.Teapot), store
}

// sendProof sends a request with a token and a DPoP proof, and returns the status of the response.
func sendProof(api http.Handler, token, proof string) int {
	r := httptest.NewRequest(http.MethodGet, proofURL, nil)
	r.Header.Set("Authorization", "DPoP "+token)
	r.Header.Set("DPoP", proof)
	w := httptest.NewRecorder()
	api.ServeHTTP(w, r)
	return w.Code
}

// A thief has a token but not the key of the token. The thief sends DPoP proofs that are signed
// with other keys. The signatures of these proofs are valid and slow to verify. 100 000 of these
// proofs cause no signature check, no entry in the store of used proofs and no lasting memory. In
// the meantime, requests of the owner of the token are served.
func TestJunkProofs(t *testing.T) {
	issuer := harness.NewIssuer()
	api, store := newProofAPI(t, issuer)
	owner := xenaauthtest.NewDPoPClient(nil)
	owner.Token = issuer.JWT(xenaauthtest.Token{BoundTo: owner})
	var junk []string
	for range 20 {
		key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
		require.NoError(t, err)
		thief := xenaauthtest.NewDPoPClient(key)
		// a DPoP proof contains the hash of the token; the thief has the stolen token, so the hash
		// is correct
		thief.Token = owner.Token
		junk = append(junk, thief.Proof(http.MethodGet, proofURL))
	}
	require.Equal(t, http.StatusUnauthorized, sendProof(api, owner.Token, junk[0]))

	stop := make(chan struct{})
	var served atomic.Int64
	var group sync.WaitGroup
	group.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if got := sendProof(api, owner.Token, owner.Proof(http.MethodGet, proofURL)); got != http.StatusTeapot {
				t.Errorf("the owner of the token gets %d", got)
			}
			served.Add(1)
			time.Sleep(time.Millisecond)
		}
	})
	before := heapBytes()
	var start, end runtime.MemStats
	runtime.ReadMemStats(&start)
	const requests, batch = 100_000, 1000
	// The test sends the bad proofs in batches, and measures the average time of a request in each
	// batch. shortestTime is the shortest of these averages.
	shortestTime := time.Hour
	for range requests / batch {
		began := time.Now()
		for i := range batch {
			if got := sendProof(api, owner.Token, junk[i%len(junk)]); got != http.StatusUnauthorized {
				t.Fatalf("a thief gets %d", got)
			}
		}
		shortestTime = min(shortestTime, time.Since(began)/batch)
	}
	runtime.ReadMemStats(&end)
	close(stop)
	group.Wait()
	grown := heapBytes() - before
	signature := timeOfSignature(t)
	t.Logf("a junk request takes %v, a signature check %v; heap %+d bytes; %d bytes allocated for each request; %d good requests",
		shortestTime, signature, grown, (end.TotalAlloc-start.TotalAlloc)/requests, served.Load())
	require.Less(t, shortestTime, signature/2, "a junk proof must not cost a signature check")
	require.Equal(t, served.Load(), store.uses.Load(), "only proofs of the owner reach the store")
	require.Less(t, grown, 1<<20+200*int(served.Load()))
	runtime.KeepAlive(api)
}

// timeOfSignature returns how long the check of one ES384 signature takes.
func timeOfSignature(t testing.TB) time.Duration {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	sum := sha512.Sum384([]byte("a proof"))
	signature, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
	require.NoError(t, err)
	shortestTime := time.Hour
	for range 50 {
		began := time.Now()
		require.True(t, ecdsa.VerifyASN1(&key.PublicKey, sum[:], signature))
		shortestTime = min(shortestTime, time.Since(began))
	}
	return shortestTime
}

// If a request has a DPoP proof but no valid token, the proof does not reach the store of used
// proofs. This test does not show whether the library checks the signature of the proof.
func TestJunkProofsWithoutAValidToken(t *testing.T) {
	issuer := harness.NewIssuer()
	api, store := newProofAPI(t, issuer)
	thief := xenaauthtest.NewDPoPClient(nil)
	thief.Token = harness.NewSigner(t, issuer.KeyID()).JWT(t, map[string]any{"alg": "ES256", "kid": issuer.KeyID(), "typ": "at+jwt"},
		issuer.Claims(xenaauthtest.Token{BoundTo: thief}))
	for range 1000 {
		require.Equal(t, http.StatusUnauthorized, sendProof(api, thief.Token, thief.Proof(http.MethodGet, proofURL)))
	}
	require.Zero(t, store.uses.Load())
}

// A thief has found a token and DPoP proofs, for example in a log. The owner of the token has
// already used these proofs. If the thief sends them again, they are refused, and the store of used
// proofs takes no further memory.
func TestReplayedProofs(t *testing.T) {
	issuer := harness.NewIssuer()
	store := replay.NewLocal(replay.Options{})
	proof, err := dpop.New(dpop.Config{PublicOrigins: []string{"https://api.example"}, Replay: store})
	require.NoError(t, err)
	auth := xenaauth.NewMiddleware(harness.NewValidator(t, issuer.Config()), &xenaauth.Options{
		Proofs: []xenaauth.Proof{proof}, Logger: slog.New(slog.DiscardHandler),
	})
	api := auth.Require(xenaauth.AnyUser())(harness.Teapot)
	owner := xenaauthtest.NewDPoPClient(nil)
	owner.Token = issuer.JWT(xenaauthtest.Token{BoundTo: owner})
	used := owner.Proof(http.MethodGet, proofURL)
	require.Equal(t, http.StatusTeapot, sendProof(api, owner.Token, used))
	for range 5000 {
		require.Equal(t, http.StatusUnauthorized, sendProof(api, owner.Token, used))
	}
	require.Equal(t, 1, store.Len())
}
