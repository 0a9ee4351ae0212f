package dpop_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/dpop"
)

func secret(c string) []byte { return []byte(strings.Repeat(c, 32)) }

func withNonces(secrets ...[]byte) func(*dpop.Config) {
	return func(c *dpop.Config) { c.NonceSecrets, c.NonceLifetime = secrets, 2*time.Minute }
}

// nonceOf calls Respond of the Proof p, and returns the nonce that the response then contains, or
// "" if it contains none. err is the refusal of the proof in r, or nil if the proof was accepted.
func nonceOf(t *testing.T, p *dpop.Proof, r *http.Request, err error) string {
	t.Helper()
	h := http.Header{"Dpop-Nonce": {"of an outer guard"}, "Cache-Control": {"private"}}
	p.Respond(h, r, err)
	require.Len(t, h.Values("DPoP-Nonce"), 1, "RFC 9449, section 8: never more than one")
	nonce := h.Get("DPoP-Nonce")
	if nonce == "of an outer guard" {
		require.Equal(t, "private", h.Get("Cache-Control"))
		return ""
	}
	if err == nil {
		require.Equal(t, "no-store", h.Get("Cache-Control"))
	}
	// RFC 9449, section 8.1, says which characters a nonce may contain.
	require.Regexp(t, `^[A-Za-z0-9_-]{32}$`, nonce)
	return nonce
}

// forgeNonce returns a forged nonce. It takes a good nonce, which contains the number of a period,
// and replaces this number by the number of the next period.
func forgeNonce(nonce string) string {
	b, err := base64.RawURLEncoding.DecodeString(nonce)
	if err != nil {
		panic(err)
	}
	// The first eight bytes of a nonce are the number of the period in which it was made.
	b[7]++
	return base64.RawURLEncoding.EncodeToString(b)
}

// If nonces are on, a proof without a nonce is refused. The response contains a nonce for the next
// proof of this client. Each instance accepts this nonce many times, but only in proofs with the
// same key.
func TestNonce(t *testing.T) {
	p, other := newProof(t, withNonces(secret("a"))), newProof(t, withNonces(secret("a")))
	k, k2 := newKey(t, "ES256"), newKey(t, "ES256")
	r := requestWith(k.proof(nil, nil))
	err := p.Confirm(r, accessToken, k.thumbprint())
	wantRefusal(t, err, xenaauth.ReasonProofNonce, "the proof has no nonce")
	nonce := nonceOf(t, p, r, err)
	require.NotEmpty(t, nonce)
	for range 3 {
		for _, one := range []*dpop.Proof{p, other} {
			r := requestWith(k.proof(nil, object{"nonce": nonce}))
			require.NoError(t, one.Confirm(r, accessToken, k.thumbprint()))
			require.Empty(t, nonceOf(t, one, r, nil), "the nonce is still new")
		}
	}
	for name, bad := range map[string]string{
		"of another key": nonce, "unknown": strings.Repeat("A", 32), "longer": nonce + "A", "shorter": nonce[1:],
		"not base64url": strings.Repeat("+", 32), "with a line break": nonce[:16] + "\n" + nonce[17:], "changed": nonce[:31] + string(nonce[31]^1),
		"with a later time": forgeNonce(nonce),
	} {
		key := k
		if name == "of another key" {
			key = k2
		}
		r := requestWith(key.proof(nil, object{"nonce": bad}))
		err := p.Confirm(r, accessToken, key.thumbprint())
		wantRefusal(t, err, xenaauth.ReasonProofNonce, "the nonce of the proof")
		require.NotContains(t, err.Error(), bad, name)
		require.NotEqual(t, bad, nonceOf(t, p, r, err), name)
	}
	// A service refuses a nonce that was made with the secret of another service. A service whose
	// nonces are off ignores the nonce of a proof.
	foreign := newProof(t, withNonces(secret("b")))
	r = requestWith(k.proof(nil, object{"nonce": nonce}))
	wantRefusal(t, foreign.Confirm(r, accessToken, k.thumbprint()), xenaauth.ReasonProofNonce, "not from this service")
	off := newProof(t, nil)
	require.NoError(t, off.Confirm(r, accessToken, k.thumbprint()))
	require.Empty(t, nonceOf(t, off, r, nil))
}

// A nonce is accepted for at least half of NonceLifetime, and at most for NonceLifetime. In the
// last part of this time, the response to each allowed request contains a new nonce, so the client
// always has a nonce that is accepted.
func TestLifetimeOfNonces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProof(t, withNonces(secret("a")))
		k := newKey(t, "EdDSA")
		for range 20 {
			time.Sleep(11 * time.Second)
			r := requestWith(k.proof(nil, nil))
			nonce := nonceOf(t, p, r, p.Confirm(r, accessToken, k.thumbprint()))
			start, renewed := time.Now(), time.Duration(0)
			for {
				time.Sleep(time.Second)
				age := time.Since(start)
				require.Less(t, age, time.Hour)
				r := requestWith(k.proof(nil, object{"nonce": nonce}))
				err := p.Confirm(r, accessToken, k.thumbprint())
				if err != nil {
					wantRefusal(t, err, xenaauth.ReasonProofNonce, "too old")
					require.Greater(t, age, time.Minute)
					require.LessOrEqual(t, age, 2*time.Minute)
					require.Greater(t, age-renewed, 50*time.Second, "the new nonce was not sent in time")
					break
				}
				if next := nonceOf(t, p, r, nil); next != "" {
					if renewed == 0 {
						renewed = age
					}
					require.NotEqual(t, nonce, next)
					again := requestWith(k.proof(nil, object{"nonce": next}))
					require.NoError(t, p.Confirm(again, accessToken, k.thumbprint()))
				} else {
					require.Zero(t, renewed, "later responses have a new nonce too")
				}
			}
			require.NotZero(t, renewed)
		}
	})
}

// A secret is replaced in three steps: the new secret is added to the list, it is moved to the
// front, and the old secret is removed. In none of the steps is a nonce refused.
func TestRotationOfSecrets(t *testing.T) {
	k := newKey(t, "EdDSA")
	a, b := secret("a"), secret("b")
	steps := []*dpop.Proof{
		newProof(t, withNonces(a)), newProof(t, withNonces(a, b)), newProof(t, withNonces(b, a)), newProof(t, withNonces(b)),
	}
	for i := range steps[1:] {
		// While an operator changes the list of secrets, some instances have the old list and
		// others have the new list. They must accept the nonces of each other.
		for _, pair := range [][2]*dpop.Proof{{steps[i], steps[i+1]}, {steps[i+1], steps[i]}} {
			r := requestWith(k.proof(nil, nil))
			nonce := nonceOf(t, pair[0], r, pair[0].Confirm(r, accessToken, k.thumbprint()))
			r = requestWith(k.proof(nil, object{"nonce": nonce}))
			require.NoError(t, pair[1].Confirm(r, accessToken, k.thumbprint()), "step %d", i)
		}
	}
}

// The response contains a nonce if a request has no proof, or an old proof with the key of the
// token. So the client does not need a further request to get a nonce. A client with another key
// gets no nonce.
func TestNonceInOtherRefusals(t *testing.T) {
	p := newProof(t, withNonces(secret("a")))
	k := newKey(t, "ES256")
	for name, r := range map[string]*http.Request{
		"no proof": requestWith(), "an old proof": requestWith(k.proof(nil, object{"iat": 1})),
	} {
		err := p.Confirm(r, accessToken, k.thumbprint())
		wantRefusal(t, err, xenaauth.ReasonProof, "")
		nonce := nonceOf(t, p, r, err)
		require.NoError(t, p.Confirm(requestWith(k.proof(nil, object{"nonce": nonce})), accessToken, k.thumbprint()), name)
	}
	r := requestWith(newKey(t, "ES256").proof(nil, nil))
	err := p.Confirm(r, accessToken, k.thumbprint())
	wantRefusal(t, err, xenaauth.ReasonConfirmation, "")
	require.Empty(t, nonceOf(t, p, r, err))
	// The method Respond of a Proof adds a nonce only to refusals of the same Proof. It adds none
	// to a refusal of another Proof, or to a refusal that has nothing to do with proofs.
	other := newProof(t, withNonces(secret("b")))
	err = other.Confirm(requestWith(), accessToken, k.thumbprint())
	require.Empty(t, nonceOf(t, p, requestWith(), err))
	require.Empty(t, nonceOf(t, p, requestWith(), &xenaauth.Error{Reason: xenaauth.ReasonExpired}))
	require.Empty(t, nonceOf(t, p, requestWith(), errors.New("outage")))
}

// failingStore is a replay store that always returns an error.
type failingStore struct{ err error }

func (f failingStore) Use(context.Context, string, string, time.Time) (bool, error) {
	return false, f.err
}
