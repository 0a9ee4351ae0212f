package zitadel_test

import (
	"errors"
	"testing"

	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/xenaauth/xenaauth"
)

// TestDiscovery uses a server whose endpoints have unusual paths. Only the metadata of the server
// contain these paths, and a request to a usual path gets 404. So xenaauth must read the paths from
// the metadata.
func TestDiscovery(t *testing.T) {
	t.Parallel()
	for name, frontEnd := range frontEnds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startServer(t, frontEnd,
				op.WithCustomKeysEndpoint(op.NewEndpoint("elsewhere/jwks")),
				op.WithCustomIntrospectionEndpoint(op.NewEndpoint("elsewhere/ask")))
			api := startAPI(t, s.introspectionConfig())
			jwt, opaque := login(t, s, jwtClient, "openid", scope), login(t, s, opaqueClient, "openid", scope)
			before := s.countCalls(metadataPath)
			// the function login has already fetched the keys, because it verifies the ID token
			keys := s.countCalls("/elsewhere/jwks")
			for range 2 {
				check(t, "JWT", get(t, api, full, jwt.AccessToken), acceptedAnswer(jwtClient))
				check(t, "opaque token", get(t, api, full, opaque.AccessToken), acceptedAnswer(opaqueClient))
			}
			for path, want := range map[string]int{
				metadataPath: before + 1, "/elsewhere/jwks": keys + 1, "/elsewhere/ask": 1,
				keysPath: 0, introspectionPath: 0,
			} {
				if got := s.countCalls(path); got != want {
					t.Errorf("%s: %d requests, want %d", path, got, want)
				}
			}
		})
	}
}

// TestWarm requires that the method Warm of the Validator fetches the metadata and the keys of the
// issuer before the first request.
func TestWarm(t *testing.T) {
	t.Parallel()
	s := startServer(t, provider)
	v, err := xenaauth.NewValidator(s.introspectionConfig())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := v.Warm(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if m, k := s.countCalls(metadataPath), s.countCalls(keysPath); m != 1 || k != 1 {
		t.Errorf("metadata were fetched %d times and keys %d times, want once", m, k)
	}
}

// In TestOtherIssuer, the issuer name in the metadata or in a token differs from the configured
// name, in one case only by a slash (RFC 8414, section 3.3). If the metadata contain another issuer
// name, the configuration is wrong, so the response is 503. If a token contains another issuer
// name, the token is refused with 401.
func TestOtherIssuer(t *testing.T) {
	t.Parallel()
	s, other := startServer(t, provider), startServer(t, provider)
	jwt, opaque := login(t, s, jwtClient, "openid", scope), login(t, s, opaqueClient, "openid", scope)
	issuer := invalidToken(xenaauth.ReasonIssuer, "The access token is from another issuer.")

	slash := s.introspectionConfig()
	slash.Issuer += "/" // this is the same server under another issuer name
	metadata := s.introspectionConfig()
	metadata.MetadataURL = other.URL + metadataPath
	for name, c := range map[string]struct {
		cfg         xenaauth.Config
		jwt, opaque answer
	}{
		"slash":                      {slash, issuer, unavailable},
		"metadata of another issuer": {metadata, unavailable, unavailable},
	} {
		api := startAPI(t, c.cfg)
		check(t, name+": JWT", get(t, api, full, jwt.AccessToken), c.jwt)
		check(t, name+": opaque token", get(t, api, full, opaque.AccessToken), c.opaque)
		v, err := xenaauth.NewValidator(c.cfg)
		if err != nil {
			t.Fatal(err)
		}
		refusal, ok := errors.AsType[*xenaauth.Error](v.Warm(t.Context()))
		if !ok || refusal.Reason != xenaauth.ReasonUnavailable {
			t.Errorf("%s: Warm: %v", name, refusal)
		}
	}
	if n := other.countCalls(keysPath) + other.countCalls(introspectionPath); n != 0 {
		t.Errorf("another issuer got %d requests for keys or introspection", n)
	}

	api := startAPI(t, other.introspectionConfig())
	check(t, "JWT of another server", get(t, api, full, jwt.AccessToken), issuer)
	check(t, "opaque token of another server", get(t, api, full, opaque.AccessToken), inactive)
}
