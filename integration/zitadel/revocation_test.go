package zitadel_test

import (
	"testing"
	"time"
)

// cacheOff is a value of Introspection.CacheTTL. It turns the cache of introspection responses off.
const cacheOff = -1

// Without a cache of introspection responses, a revoked token is refused from the next request on.
func TestRevocationAtOnce(t *testing.T) {
	t.Parallel()
	s := startServer(t, provider)
	cfg := s.introspectionConfig()
	cfg.Introspection.CacheTTL = cacheOff
	api := startAPI(t, cfg)
	token, other := login(t, s, opaqueClient, "openid", scope).AccessToken, login(t, s, opaqueClient, "openid", scope).AccessToken
	check(t, "before", get(t, api, full, token), acceptedAnswer(opaqueClient))
	revoke(t, s, opaqueClient, token)
	check(t, "after", get(t, api, full, token), inactive)
	check(t, "another token of that user", get(t, api, full, other), acceptedAnswer(opaqueClient))
}

// With a cache, the API refuses a revoked token when the cached introspection response is as old as
// CacheTTL, and not earlier.
func TestRevocationWithinCacheTTL(t *testing.T) {
	t.Parallel()
	s := startServer(t, provider)
	// longConfig has the default CacheTTL, which is a minute; shortConfig has a very short CacheTTL
	shortConfig, longConfig := s.introspectionConfig(), s.introspectionConfig()
	shortConfig.Introspection.CacheTTL = 200 * time.Millisecond
	shortAPI, longAPI := startAPI(t, shortConfig), startAPI(t, longConfig)
	token := login(t, s, opaqueClient, "openid", scope).AccessToken
	check(t, "before", get(t, longAPI, full, token), acceptedAnswer(opaqueClient))
	check(t, "before", get(t, shortAPI, full, token), acceptedAnswer(opaqueClient))
	revoke(t, s, opaqueClient, token)
	check(t, "within CacheTTL", get(t, longAPI, full, token), acceptedAnswer(opaqueClient))
	// shortAPI may still use the cached introspection response until CacheTTL has passed. Then it
	// must refuse the token.
	got := get(t, shortAPI, full, token)
	for limit := time.Now().Add(time.Minute); got == acceptedAnswer(opaqueClient) && time.Now().Before(limit); {
		got = get(t, shortAPI, full, token)
	}
	check(t, "after CacheTTL", got, inactive)
	check(t, "an API that hasn't seen it before", get(t, startAPI(t, longConfig), full, token), inactive)
}

// A revoked JWT is accepted until it expires. If RequireActive is set, the JWT is introspected and
// refused immediately.
func TestRevocationOfJWT(t *testing.T) {
	t.Parallel()
	s := startServer(t, provider)
	active := s.introspectionConfig()
	active.RequireActive = true
	active.Introspection.CacheTTL = cacheOff
	strict, local := startAPI(t, active), startAPI(t, s.config())
	token := login(t, s, jwtClient, "openid", scope).AccessToken
	check(t, "before", get(t, strict, full, token), acceptedAnswer(jwtClient))
	check(t, "before, unasked", get(t, local, full, token), acceptedAnswer(jwtClient))
	revoke(t, s, jwtClient, token)
	check(t, "after", get(t, strict, full, token), inactive)
	check(t, "after, unasked", get(t, local, full, token), acceptedAnswer(jwtClient))
}
