package jose_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth/internal/jose"
)

// crowdOf returns n private elliptic-curve keys, and the key set of their public keys. In this key
// set, all keys have the same kid and the same x5t (thumbprint).
func crowdOf(t *testing.T, n int) ([]*ecdsa.PrivateKey, *jose.KeySet) {
	t.Helper()
	var private []*ecdsa.PrivateKey
	var keys []string
	for range n {
		private = append(private, must(ecdsa.GenerateKey(p256().Curve, rand.Reader)))
		keys = append(keys, jwk(private[len(private)-1], members{"kid": "k", "x5t": "t"}))
	}
	return private, parse(t, keys...)
}

// selectors contains JOSE headers. Each header fits all keys that crowdOf returns.
var selectors = map[string]members{
	"no name":    {"alg": "ES256"},
	"kid":        {"alg": "ES256", "kid": "k"},
	"thumbprint": {"alg": "ES256", "x5t": "t"},
}

// tryToken verifies a token with Tries.Verify and returns its error. If a key has verified the
// token, tryToken calls KeySet.Prefer for this key.
func tryToken(t *testing.T, tries *jose.Tries, s *jose.KeySet, token string, now time.Time) error {
	t.Helper()
	cut := split(t, token)
	h, err := jose.ParseHeader(cut.Header())
	require.NoError(t, err)
	keys, known := s.Find(h)
	require.True(t, known)
	key, err := tries.Verify(cut.Hash(), h, keys, now)
	if err == nil {
		s.Prefer(h, key)
	}
	return err
}

// Many keys of a key set have the same kid. Each key verifies its tokens. The number of signature
// checks for bad tokens is limited, but valid tokens do not count for this limit.
func TestEveryKeyIsTried(t *testing.T) {
	private, s := crowdOf(t, 25)
	now := time.Unix(1000, 0)
	for name, header := range selectors {
		var tries jose.Tries
		for range 2 {
			for i, p := range private {
				require.NoError(t, tryToken(t, &tries, s, issueToken(p, header), now), "%s, key %d", name, i)
			}
		}
		wrong, bad := 0, issueToken(p256(), header)
		for tryToken(t, &tries, s, bad, now) == jose.ErrSignature {
			wrong++
		}
		require.Equal(t, jose.MoreTries/(len(private)-jose.FreeTries), wrong, "%s: what is left after that", name)
	}
}

// Many keys fit a bad token. The signature of each bad token may be verified with the first four
// keys. Further verifications are limited: at most MoreTries in one second, for all bad tokens
// together.
func TestTriesAreBounded(t *testing.T) {
	private, s := crowdOf(t, 20)
	stranger := must(ecdsa.GenerateKey(p256().Curve, rand.Reader))
	for name, header := range selectors {
		var tries jose.Tries
		bad := issueToken(stranger, header)
		for second := range int64(3) {
			now := time.Unix(1000+second, 0)
			wrong := 0
			for tryToken(t, &tries, s, bad, now) == jose.ErrSignature {
				wrong++
			}
			require.Equal(t, jose.MoreTries/(len(private)-jose.FreeTries), wrong, name)
			for range 10 {
				require.ErrorIs(t, tryToken(t, &tries, s, bad, now), jose.ErrTries, "it is not known whether the token is bad")
			}
		}
	}
	var tries jose.Tries
	bad, now, wrong := issueToken(stranger, selectors["kid"]), time.Unix(1000, 0), 0
	// Every second call of Tries.Verify gets a time that is six seconds in the past. This can
	// happen: a request reads the clock, and then waits until keys are fetched.
	for callIndex := range 100 {
		if tryToken(t, &tries, s, bad, now.Add(-time.Duration(callIndex%2)*6*time.Second)) == jose.ErrSignature {
			wrong++
		}
	}
	require.Equal(t, jose.MoreTries/(len(private)-jose.FreeTries), wrong)
	few, _ := crowdOf(t, jose.FreeTries)
	var keys []string
	for _, p := range few {
		keys = append(keys, jwk(p))
	}
	s = parse(t, append(keys, jwk(rsaKey()), jwk(p384()))...)
	tries = jose.Tries{}
	for range 1000 {
		require.ErrorIs(t, tryToken(t, &tries, s, issueToken(stranger, selectors["no name"]), time.Unix(1000, 0)), jose.ErrSignature)
	}
}

// A key that has verified a token is tried first. So the tokens of this key are accepted even while
// bad tokens use up the limited number of signature checks.
func TestKeysInUseAreTriedFirst(t *testing.T) {
	private, s := crowdOf(t, 20)
	stranger := must(ecdsa.GenerateKey(p256().Curve, rand.Reader))
	now := time.Unix(1000, 0)
	for name, header := range selectors {
		var tries jose.Tries
		for _, p := range private[len(private)-jose.FreeTries:] {
			require.NoError(t, tryToken(t, &tries, s, issueToken(p, header), now), name)
		}
		for tryToken(t, &tries, s, issueToken(stranger, header), now) != jose.ErrTries {
		}
		for range 3 {
			for _, p := range private[len(private)-jose.FreeTries:] {
				require.NoError(t, tryToken(t, &tries, s, issueToken(p, header), now), name)
			}
			require.ErrorIs(t, tryToken(t, &tries, s, issueToken(private[0], header), now), jose.ErrTries, name)
		}
		require.NoError(t, tryToken(t, &tries, s, issueToken(private[0], header), now.Add(time.Second)), "%s: a second later", name)
	}
	require.Equal(t, 20, s.Len())
}

// Some keys have the kid of the token, but are for another algorithm. They are not tried.
func TestKeysOfOtherAlgorithmsAreNotTried(t *testing.T) {
	var keys []string
	for _, private := range []any{rsaKey(), rsaKey2(), p384(), p521(), ed()} {
		keys = append(keys, jwk(private, members{"kid": "k"}))
	}
	s := parse(t, append(keys, jwk(p256(), members{"kid": "k"}))...)
	found, _ := s.Find(&jose.Header{Algorithm: "ES256", KeyID: "k"})
	require.Len(t, found, 1)
}

// KeySet.Prefer may be called while other goroutines verify tokens.
func TestPreferIsConcurrent(t *testing.T) {
	private, s := crowdOf(t, 8)
	var tries jose.Tries
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for n := range 40 {
				if err := tryToken(t, &tries, s, issueToken(private[(g+n)%len(private)], selectors["kid"]), time.Unix(1000, 0)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	require.Equal(t, len(private), s.Len())
	for i, p := range private {
		require.NoError(t, tryToken(t, &tries, s, issueToken(p, selectors["kid"]), time.Unix(1001, 0)), "key %d", i)
	}
}
