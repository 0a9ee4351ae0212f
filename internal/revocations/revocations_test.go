package xenaauth_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// fastest returns how long f takes at best: what else the machine does can only make it slower.
func fastest(f func()) time.Duration {
	best := time.Duration(1 << 62)
	for range 20 {
		began := time.Now()
		f()
		best = min(best, time.Since(began))
	}
	return best
}

// Many revocations of one subject make neither the next one nor a request slow. The test compares costs, and allows
// fifty times as much with 50 000 revocations as with one; a list of all would be a thousand times as much and more.
func TestManyRevocationsOfOneSubject(t *testing.T) {
	const many, allowed = 50_000, 50
	issuer := newIssuer()
	token := issuer.JWT(xenaauthtest.Token{Subject: "U1", ClientID: "C1"})
	now := time.Now()
	// Each kind differs by n alone, and refuses no token of the test.
	for name, of := range map[string]func(n int) xenaauth.Revocation{
		"dates": func(n int) xenaauth.Revocation {
			// The later the date the earlier the end, so that no one covers another.
			return xenaauth.Revocation{Subject: "U1", IssuedBefore: now.Add(time.Duration(n-2*many) * time.Second),
				Until: now.Add(time.Hour - time.Duration(n)*time.Millisecond)}
		},
		"dates, descending": func(n int) xenaauth.Revocation {
			return xenaauth.Revocation{Subject: "U1", IssuedBefore: now.Add(-time.Duration(n+100) * time.Second),
				Until: now.Add(time.Hour + time.Duration(n)*time.Millisecond)}
		},
		"dates without a subject": func(n int) xenaauth.Revocation {
			return xenaauth.Revocation{IssuedBefore: now.Add(time.Duration(n-2*many) * time.Second),
				Until: now.Add(time.Hour - time.Duration(n)*time.Millisecond)}
		},
		"clients": func(n int) xenaauth.Revocation {
			return xenaauth.Revocation{Subject: "U1", ClientID: fmt.Sprint("other", n)}
		},
		"sessions": func(n int) xenaauth.Revocation {
			return xenaauth.Revocation{Subject: "U1", ClientID: "C1", SessionID: fmt.Sprint("other", n)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			v := rvNew(t, issuer.Config())
			n := 0
			add := func(count int) {
				for range count {
					if err := v.Revoke(t.Context(), of(n)); err != nil {
						t.Fatal(err)
					}
					n++
				}
			}
			look := func() {
				for range 10 {
					if reason := reasonOf(t, v, token); reason != "" {
						t.Fatal(reason)
					}
				}
			}
			add(1)
			look()
			fewAdd, fewLook := fastest(func() { add(10) }), fastest(look)
			add(many - n)
			manyAdd, manyLook := fastest(func() { add(10) }), fastest(look)
			t.Logf("10 additions: %v, %v with %d; 10 requests: %v, %v", fewAdd, manyAdd, many, fewLook, manyLook)
			require.Less(t, manyAdd, allowed*fewAdd, "adding")
			require.Less(t, manyLook, allowed*fewLook, "a request")
		})
	}
}

// The index finds what a list of all revocations would find, while they come and end.
func TestRevocationsAgainstAList(t *testing.T) {
	t.Parallel()
	issuer := newIssuer()
	pick := func(r *rand.Rand, from ...string) string { return from[r.IntN(len(from))] }
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 7))
			cfg := issuer.Config()
			cfg.AllowAnyLifetime = true
			v := rvNew(t, cfg)
			start := time.Now()
			type minted struct {
				token  string
				claims map[string]any
			}
			var tokens []minted
			for range 20 {
				made := start.Unix() - int64(random.IntN(10))
				c := map[string]any{"sub": pick(random, "U1", "U2"), "client_id": pick(random, "C1", "C2"),
					"sid": pick(random, "S1", "S2"), "jti": pick(random, "J1", "J2"), "nbf": made, "iat": made}
				if random.IntN(3) == 0 {
					c["sid"] = nil
				}
				tokens = append(tokens, minted{issuer.JWT(xenaauthtest.Token{Claims: c, Lifetime: time.Hour}), c})
			}
			var list []xenaauth.Revocation
			for range 300 {
				r := xenaauth.Revocation{
					Subject: pick(random, "", "U1", "U3"), ClientID: pick(random, "", "", "C1"),
					SessionID: pick(random, "", "", "S2", "S3"), TokenID: pick(random, "", "", "J1"),
					Until: time.Now().Add(time.Duration(random.IntN(5000)) * time.Millisecond),
				}
				if random.IntN(8) == 0 {
					r.TokenHash = xenaauth.HashToken(tokens[random.IntN(len(tokens))].token)
				}
				if random.IntN(2) == 0 {
					r.IssuedBefore = start.Add(-time.Duration(random.IntN(10_000)) * time.Millisecond)
				}
				if (r == xenaauth.Revocation{Until: r.Until}) {
					continue
				}
				rvRevoke(t, v, r)
				list = append(list, r)
				time.Sleep(time.Duration(random.IntN(200)) * time.Millisecond)
				now := time.Now()
				for _, m := range tokens {
					want := xenaauth.Reason("")
					for _, r := range list {
						fits := func(value string, claim string) bool { return value == "" || m.claims[claim] == value }
						if now.Before(r.Until) && (r.TokenHash == "" || r.TokenHash == xenaauth.HashToken(m.token)) &&
							fits(r.Subject, "sub") && fits(r.ClientID, "client_id") && fits(r.SessionID, "sid") &&
							fits(r.TokenID, "jti") && (r.IssuedBefore.IsZero() ||
							time.Unix(m.claims["nbf"].(int64), 0).Before(r.IssuedBefore)) {
							want = xenaauth.ReasonRevoked
						}
					}
					require.Equal(t, want, reasonOf(t, v, m.token), "seed %d, %v, %+v", seed, m.claims, list)
				}
				distinct := map[xenaauth.Revocation]bool{}
				for _, r := range list {
					if now.Before(r.Until) {
						r.Until, r.IssuedBefore = time.Time{}, r.IssuedBefore.UTC().Round(0)
						distinct[r] = true
					}
				}
				require.Equal(t, len(distinct), v.Status().Revocations, "seed %d", seed)
			}
		})
	}
}

// A revocation outlives the end of the first one, of its own kind and of others.
func TestRevocationsEndOneByOne(t *testing.T) {
	t.Parallel()
	rvBubble(t, func(t *testing.T) {
		issuer := newIssuer()
		v := rvNew(t, issuer.Config())
		now := time.Now()
		const n = 500
		var tokens []string
		for i := range n {
			tokens = append(tokens, issuer.JWT(xenaauthtest.Token{Subject: fmt.Sprint("U", i)}))
			rvRevoke(t, v, xenaauth.Revocation{Subject: fmt.Sprint("U", i), Until: now.Add(time.Duration(i+1) * time.Second)})
		}
		for i := range n {
			require.Equal(t, n-i, v.Status().Revocations)
			require.Equal(t, xenaauth.ReasonRevoked, reasonOf(t, v, tokens[i]))
			require.Equal(t, xenaauth.ReasonRevoked, reasonOf(t, v, tokens[n-1]))
			time.Sleep(time.Second)
			require.Empty(t, reasonOf(t, v, tokens[i]))
		}
		require.Zero(t, v.Status().Revocations)
	})
}

// However many revocations end at once, there is room for new ones at once, and those that remain hold.
func TestRevocationsEndTogether(t *testing.T) {
	t.Parallel()
	rvBubble(t, func(t *testing.T) {
		issuer := newIssuer()
		v := rvNew(t, issuer.Config())
		stays := issuer.JWT(xenaauthtest.Token{Subject: "stays"})
		rvRevoke(t, v, xenaauth.Revocation{Subject: "stays"})
		until := time.Now().Add(time.Minute)
		for n := range 99_999 {
			if err := v.Revoke(t.Context(), xenaauth.Revocation{TokenID: fmt.Sprint(n), Until: until}); err != nil {
				t.Fatal(n, err)
			}
		}
		require.ErrorIs(t, v.Revoke(t.Context(), xenaauth.Revocation{Subject: "more"}), xenaauth.ErrRevocationsFull)
		time.Sleep(time.Minute)
		require.Equal(t, 1, v.Status().Revocations)
		for n := range 99_999 {
			if err := v.Revoke(t.Context(), xenaauth.Revocation{SessionID: fmt.Sprint(n)}); err != nil {
				t.Fatal(n, err)
			}
		}
		require.Equal(t, 100_000, v.Status().Revocations)
		require.Equal(t, xenaauth.ReasonRevoked, reasonOf(t, v, stays))
	})
}
