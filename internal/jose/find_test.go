package jose_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth/internal/jose"
)

func TestFind(t *testing.T) {
	s := parse(t,
		jwk(rsaKey(), members{"kid": "rsa", "x5t": "thumb", "alg": "RS256"}),
		jwk(rsaKey2(), members{"kid": "any", "x5t": "twin"}),
		jwk(p256(), members{"kid": "ec", "x5t": "twin"}),
		jwk(p256b()),
	)
	require.Equal(t, 4, s.Len())
	private := map[string]any{"rsa": rsaKey(), "any": rsaKey2(), "ec": p256(), "": p256b()}
	for name, tt := range map[string]struct {
		header jose.Header
		want   []string
		known  bool
	}{
		"kid":                               {jose.Header{Algorithm: "RS256", KeyID: "rsa"}, []string{"rsa"}, true},
		"kid of any algorithm":              {jose.Header{Algorithm: "PS384", KeyID: "any"}, []string{"any"}, true},
		"kid of another algorithm":          {jose.Header{Algorithm: "PS256", KeyID: "rsa"}, nil, true},
		"kid of another type":               {jose.Header{Algorithm: "ES256", KeyID: "rsa"}, nil, true},
		"kid of another curve":              {jose.Header{Algorithm: "ES384", KeyID: "ec"}, nil, true},
		"unknown kid":                       {jose.Header{Algorithm: "RS256", KeyID: "new"}, nil, false},
		"kid in other letters":              {jose.Header{Algorithm: "RS256", KeyID: "RSA"}, nil, false},
		"kid that is a thumbprint":          {jose.Header{Algorithm: "RS256", KeyID: "thumb"}, nil, false},
		"thumbprint":                        {jose.Header{Algorithm: "RS256", Thumbprint: "thumb"}, []string{"rsa"}, true},
		"thumbprint of two, by algorithm":   {jose.Header{Algorithm: "ES256", Thumbprint: "twin"}, []string{"ec"}, true},
		"unknown thumbprint":                {jose.Header{Algorithm: "RS256", Thumbprint: "new"}, nil, false},
		"kid before the thumbprint":         {jose.Header{Algorithm: "RS256", KeyID: "any", Thumbprint: "thumb"}, []string{"any"}, true},
		"kid that doesn't fit, thumbprint":  {jose.Header{Algorithm: "RS256", KeyID: "ec", Thumbprint: "thumb"}, nil, true},
		"unknown kid and a thumbprint":      {jose.Header{Algorithm: "RS256", KeyID: "new", Thumbprint: "thumb"}, []string{"rsa"}, true},
		"unknown kid, unknown thumbprint":   {jose.Header{Algorithm: "RS256", KeyID: "new", Thumbprint: "new"}, nil, false},
		"neither":                           {jose.Header{Algorithm: "RS256"}, []string{"rsa", "any"}, true},
		"neither, and one has another alg":  {jose.Header{Algorithm: "RS512"}, []string{"any"}, true},
		"neither, EC":                       {jose.Header{Algorithm: "ES256"}, []string{"ec", ""}, true},
		"neither, and no key of that curve": {jose.Header{Algorithm: "ES512"}, nil, true},
		"neither, and no key of that type":  {jose.Header{Algorithm: "EdDSA"}, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			keys, known := s.Find(&tt.header)
			require.Equal(t, tt.known, known)
			var found []string
			// A key verifies only tokens that were signed with its private key. So if the
			// verification of a token succeeds, Find has found the right key.
			for _, k := range keys {
				for name, private := range private {
					token, ok := tryIssue(private, tt.header.Algorithm)
					if !ok {
						continue
					}
					if by, err := split(t, token).Hash().Verify(tt.header.Algorithm, []*jose.Key{k}); err == nil {
						require.Same(t, k, by)
						found = append(found, name)
					}
				}
			}
			require.Equal(t, tt.want, found)
			require.Len(t, keys, len(found))
		})
	}
}

func TestSameKidForKeysOfDifferentTypes(t *testing.T) {
	s := parse(t, jwk(rsaKey(), members{"kid": "k"}), jwk(p256(), members{"kid": "k"}), jwk(p384(), members{"kid": "k"}),
		jwk(ed(), members{"kid": "k"}), jwk(p256b(), members{"kid": "k"}))
	require.Equal(t, 5, s.Len())
	for algorithm, private := range signingKeys() {
		if algorithm == "ES512" {
			continue
		}
		_, err := verifyToken(t, s, issueToken(private, members{"alg": algorithm, "kid": "k"}))
		require.NoError(t, err, algorithm)
	}
	_, err := verifyToken(t, s, issueToken(p256b(), members{"alg": "ES256", "kid": "k"}))
	require.NoError(t, err, "the second key of that type")
	keys, known := s.Find(&jose.Header{Algorithm: "ES512", KeyID: "k"})
	require.True(t, known)
	require.Empty(t, keys)
}

func TestContains(t *testing.T) {
	only := func(keys ...string) (*jose.KeySet, *jose.Key) {
		s := parse(t, keys...)
		found, _ := s.Find(&jose.Header{Algorithm: "ES256"})
		require.Len(t, found, 1)
		return s, found[0]
	}
	base := members{"kid": "k", "x5t": "t", "alg": "ES256"}
	s, k := only(jwk(p256(), base))
	require.True(t, s.Contains(k))
	other, same := only(jwk(p256(), base, members{"use": "sig", "x5c": []string{"AA"}, "a": 1}), jwk(rsaKey()))
	require.True(t, other.Contains(k), "the same key in another set")
	require.True(t, s.Contains(same))
	for name, change := range map[string]members{
		"kid": {"kid": "other"}, "no kid": {"kid": nil}, "x5t": {"x5t": "other"}, "alg": {"alg": nil},
	} {
		other, _ := only(jwk(p256(), base, change))
		require.False(t, other.Contains(k), "a key with another %s", name)
	}
	other, _ = only(jwk(p256b(), base))
	require.False(t, other.Contains(k), "another key under the same name")
	twice, _ := only(jwk(p256(), base), jwk(p256(), base))
	require.Equal(t, 1, twice.Len(), "the same key twice is one")
	require.Empty(t, twice.Skipped)
}

func TestAbsent(t *testing.T) {
	s := parse(t, jwk(p256()))
	a, b := &jose.Header{KeyID: "a"}, &jose.Header{KeyID: "b"}
	require.False(t, s.Absent(a), "before a key was marked")
	s.MarkAbsent(a)
	require.True(t, s.Absent(a))
	require.True(t, s.Absent(&jose.Header{KeyID: "a", Algorithm: "RS256", Type: "jwt"}), "other members of the header do not matter")
	require.False(t, s.Absent(b))
	require.False(t, s.Absent(&jose.Header{KeyID: "a", Thumbprint: "t"}))
	require.False(t, s.Absent(&jose.Header{Thumbprint: "a"}), "a thumbprint is not a kid")
	require.False(t, parse(t, jwk(p256())).Absent(a), "a newer set may contain the key")
}

func TestAbsentIsBounded(t *testing.T) {
	s := parse(t, jwk(p256()))
	count := func(n int) (marked int) {
		for i := range n {
			if s.Absent(&jose.Header{KeyID: fmt.Sprint(i)}) {
				marked++
			}
		}
		return marked
	}
	for i := range 5000 {
		h := &jose.Header{KeyID: fmt.Sprint(i)}
		s.MarkAbsent(h)
		require.True(t, s.Absent(h), "the latest is remembered")
		if i == 1023 {
			require.Equal(t, 1024, count(5000))
		}
	}
	require.LessOrEqual(t, count(5000), 1024)
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 500 {
				s.MarkAbsent(&jose.Header{KeyID: fmt.Sprint(g, "-", i)})
				s.Absent(&jose.Header{KeyID: fmt.Sprint(i)})
			}
		})
	}
	all.Wait()
}
