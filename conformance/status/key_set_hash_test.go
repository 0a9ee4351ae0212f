package status_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// Status.KeySetHash is a hash of the keys of the issuer. Instances of the service with the same
// keys show the same hash. After the issuer has rotated its keys, the hash is different.
func TestKeySetHash(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		hash := func() string {
			t.Helper()
			v := harness.NewValidator(t, issuer.Config())
			require.Empty(t, v.Status().KeySetHash)
			require.NoError(t, v.Warm(t.Context()))
			return v.Status().KeySetHash
		}
		first := hash()
		require.Regexp(t, "^[0-9a-f]{12}$", first)
		require.Equal(t, first, hash())
		issuer.Rotate()
		second := hash()
		require.NotEqual(t, first, second)
		issuer.Retire()
		require.NotContains(t, []string{first, second}, hash())
	})
}

// Status.KeySetHash does not depend on the order of the keys in the JWKS. It does not depend on
// keys that the library cannot use.
func TestKeySetHashIgnoresTheOrder(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		one, other := harness.NewIssuer(), xenaauthtest.NewIssuer(nil)
		a, b := keysOf(t, one.JWKS()), keysOf(t, other.JWKS())
		hashes := make(map[string]bool)
		for _, set := range []string{a + "," + b, b + "," + a, b + `,{"kty":"oct","k":"AA"},` + a} {
			one.SetJWKS([]byte(`{"keys":[` + set + `]}`))
			v := harness.NewValidator(t, one.Config())
			require.NoError(t, v.Warm(t.Context()))
			require.Equal(t, 2, v.Status().Keys)
			hashes[v.Status().KeySetHash] = true
		}
		require.Len(t, hashes, 1)
	})
}

// keysOf returns the only JWK in the member "keys" of a JWKS.
func keysOf(t *testing.T, set []byte) string {
	t.Helper()
	var parsed struct {
		Keys []json.RawMessage `json:"keys"`
	}
	require.NoError(t, json.Unmarshal(set, &parsed))
	require.Len(t, parsed.Keys, 1)
	return string(parsed.Keys[0])
}
