package zitadel_test

import (
	"errors"
	"testing"

	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/xenaauth/xenaauth"
)

// The server's endpoints are where its metadata say, and there only: a guess at the usual places would be a 404 here.
func TestDiscovery(t *testing.T) {
	t.Parallel()
	for name, frontEnd := range frontEnds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, frontEnd,
				op.WithCustomKeysEndpoint(op.NewEndpoint("elsewhere/jwks")),
				op.WithCustomIntrospectionEndpoint(op.NewEndpoint("elsewhere/ask")))
			api := startAPI(t, s.introspecting())
			jwt, opaque := login(t, s, jwtClient, "openid", scope), login(t, s, opaqueClient, "openid", scope)
			before := s.called(metadataPath)
			keys := s.called("/elsewhere/jwks") // the relying parties verify ID tokens
			for range 2 {
				check(t, "JWT", get(t, api, full, jwt.AccessToken), accepted(jwtClient))
				check(t, "opaque token", get(t, api, full, opaque.AccessToken), accepted(opaqueClient))
			}
			for path, want := range map[string]int{
				metadataPath: before + 1, "/elsewhere/jwks": keys + 1, "/elsewhere/ask": 1,
				keysPath: 0, introspectionPath: 0,
			} {
				if got := s.called(path); got != want {
					t.Errorf("%s was asked for %d times, want %d", path, got, want)
				}
			}
		})
	}
}

// One who starts up or is probed can have the metadata and keys fetched ahead.
func TestWarm(t *testing.T) {
	t.Parallel()
	s := start(t, provider)
	v, err := xenaauth.NewValidator(s.introspecting())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := v.Warm(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if m, k := s.called(metadataPath), s.called(keysPath); m != 1 || k != 1 {
		t.Errorf("metadata were fetched %d times and keys %d times, want once", m, k)
	}
}

// An issuer that is not exactly the configured one is another one (RFC 8414, section 3.3), if by a slash only. That is
// a mistake in a configuration and not in a token, which is refused for its own iss alone.
func TestOtherIssuer(t *testing.T) {
	t.Parallel()
	s, other := start(t, provider), start(t, provider)
	jwt, opaque := login(t, s, jwtClient, "openid", scope), login(t, s, opaqueClient, "openid", scope)
	issuer := invalid(xenaauth.ReasonIssuer, "The access token is from another issuer.")

	slash := s.introspecting()
	slash.Issuer += "/" // the same place, under another name
	metadata := s.introspecting()
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
	if n := other.called(keysPath) + other.called(introspectionPath); n != 0 {
		t.Errorf("an issuer that wasn't meant was asked for keys or about tokens %d times", n)
	}

	api := startAPI(t, other.introspecting())
	check(t, "JWT of another server", get(t, api, full, jwt.AccessToken), issuer)
	check(t, "opaque token of another server", get(t, api, full, opaque.AccessToken), inactive)
}
