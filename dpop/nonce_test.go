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

// nonceOf returns the nonce in the response to r, whose proof was refused with err or confirmed. It
// is "" if the response has none.
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
	require.Regexp(t, `^[A-Za-z0-9_-]{32}$`, nonce) // RFC 9449, section 8.1
	return nonce
}

// later returns nonce with the number of the next period.
func later(nonce string) string {
	b, err := base64.RawURLEncoding.DecodeString(nonce)
	if err != nil {
		panic(err)
	}
	b[7]++ // the number of the period is in the first eight bytes
	return base64.RawURLEncoding.EncodeToString(b)
}

// With nonces on, a proof without a nonce is refused, and the response has the nonce for the next
// proof. The nonce is accepted many times, also by other instances, but only for its key.
func TestNonce(t *testing.T) {
	p, other := newProof(t, withNonces(secret("a"))), newProof(t, withNonces(secret("a")))
	k, k2 := newKey(t, "ES256"), newKey(t, "ES256")
	r := request(k.proof(nil, nil))
	err := p.Confirm(r, accessToken, k.thumbprint())
	wantRefusal(t, err, xenaauth.ReasonProofNonce, "the proof has no nonce")
	nonce := nonceOf(t, p, r, err)
	require.NotEmpty(t, nonce)
	for range 3 {
		for _, one := range []*dpop.Proof{p, other} {
			r := request(k.proof(nil, object{"nonce": nonce}))
			require.NoError(t, one.Confirm(r, accessToken, k.thumbprint()))
			require.Empty(t, nonceOf(t, one, r, nil), "the nonce is still new")
		}
	}
	for name, bad := range map[string]string{
		"of another key": nonce, "unknown": strings.Repeat("A", 32), "longer": nonce + "A", "shorter": nonce[1:],
		"not base64url": strings.Repeat("+", 32), "with a line break": nonce[:16] + "\n" + nonce[17:], "changed": nonce[:31] + string(nonce[31]^1),
		"with a later time": later(nonce),
	} {
		key := k
		if name == "of another key" {
			key = k2
		}
		r := request(key.proof(nil, object{"nonce": bad}))
		err := p.Confirm(r, accessToken, key.thumbprint())
		wantRefusal(t, err, xenaauth.ReasonProofNonce, "the nonce of the proof")
		require.NotContains(t, err.Error(), bad, name)
		require.NotEqual(t, bad, nonceOf(t, p, r, err), name)
	}
	// A nonce of other secrets is refused, and without secrets a nonce is ignored.
	foreign := newProof(t, withNonces(secret("b")))
	r = request(k.proof(nil, object{"nonce": nonce}))
	wantRefusal(t, foreign.Confirm(r, accessToken, k.thumbprint()), xenaauth.ReasonProofNonce, "not from this service")
	off := newProof(t, nil)
	require.NoError(t, off.Confirm(r, accessToken, k.thumbprint()))
	require.Empty(t, nonceOf(t, off, r, nil))
}

// A nonce is accepted for at least half of NonceLifetime, and at most for NonceLifetime. In its
// second half, each allowed response has a new nonce.
func TestLifetimeOfNonces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProof(t, withNonces(secret("a")))
		k := newKey(t, "EdDSA")
		for range 20 {
			time.Sleep(11 * time.Second)
			r := request(k.proof(nil, nil))
			nonce := nonceOf(t, p, r, p.Confirm(r, accessToken, k.thumbprint()))
			start, renewed := time.Now(), time.Duration(0)
			for {
				time.Sleep(time.Second)
				age := time.Since(start)
				require.Less(t, age, time.Hour)
				r := request(k.proof(nil, object{"nonce": nonce}))
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
					again := request(k.proof(nil, object{"nonce": next}))
					require.NoError(t, p.Confirm(again, accessToken, k.thumbprint()))
				} else {
					require.Zero(t, renewed, "later responses have a new nonce too")
				}
			}
			require.NotZero(t, renewed)
		}
	})
}

// A secret is replaced in three steps, and no client notices a step.
func TestRotationOfSecrets(t *testing.T) {
	k := newKey(t, "EdDSA")
	a, b := secret("a"), secret("b")
	steps := []*dpop.Proof{
		newProof(t, withNonces(a)), newProof(t, withNonces(a, b)), newProof(t, withNonces(b, a)), newProof(t, withNonces(b)),
	}
	for i := range steps[1:] {
		// During a step, instances have the settings before or after the step.
		for _, pair := range [][2]*dpop.Proof{{steps[i], steps[i+1]}, {steps[i+1], steps[i]}} {
			if i == 2 && pair[0] == steps[2] {
				continue // the last step is made after NonceLifetime
			}
			r := request(k.proof(nil, nil))
			nonce := nonceOf(t, pair[0], r, pair[0].Confirm(r, accessToken, k.thumbprint()))
			r = request(k.proof(nil, object{"nonce": nonce}))
			require.NoError(t, pair[1].Confirm(r, accessToken, k.thumbprint()), "step %d", i)
		}
	}
}

// A refusal for another reason than the nonce has a nonce too, if the key is that of the token: the
// client then needs no further attempt. A client with another key gets none.
func TestNonceInOtherRefusals(t *testing.T) {
	p := newProof(t, withNonces(secret("a")))
	k := newKey(t, "ES256")
	for name, r := range map[string]*http.Request{
		"no proof": request(), "an old proof": request(k.proof(nil, object{"iat": 1})),
	} {
		err := p.Confirm(r, accessToken, k.thumbprint())
		wantRefusal(t, err, xenaauth.ReasonProof, "")
		nonce := nonceOf(t, p, r, err)
		require.NoError(t, p.Confirm(request(k.proof(nil, object{"nonce": nonce})), accessToken, k.thumbprint()), name)
	}
	r := request(newKey(t, "ES256").proof(nil, nil))
	err := p.Confirm(r, accessToken, k.thumbprint())
	wantRefusal(t, err, xenaauth.ReasonConfirmation, "")
	require.Empty(t, nonceOf(t, p, r, err))
	// The refusals of other guards and of other checks get no nonce.
	other := newProof(t, withNonces(secret("b")))
	err = other.Confirm(request(), accessToken, k.thumbprint())
	require.Empty(t, nonceOf(t, p, request(), err))
	require.Empty(t, nonceOf(t, p, request(), &xenaauth.Error{Reason: xenaauth.ReasonExpired}))
	require.Empty(t, nonceOf(t, p, request(), errors.New("outage")))
}

// failing is a replay store that can't tell.
type failing struct{ err error }

func (f failing) Use(context.Context, string, string, time.Time) (bool, error) { return false, f.err }
