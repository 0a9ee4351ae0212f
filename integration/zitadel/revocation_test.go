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
	s := start(t, provider)
	cfg := s.introspecting()
	cfg.Introspection.CacheTTL = cacheOff
	api := startAPI(t, cfg)
	token, other := login(t, s, opaqueClient, "openid", scope).AccessToken, login(t, s, opaqueClient, "openid", scope).AccessToken
	check(t, "before", get(t, api, full, token), accepted(opaqueClient))
	revoke(t, s, opaqueClient, token)
	check(t, "after", get(t, api, full, token), inactive)
	check(t, "another token of that user", get(t, api, full, other), accepted(opaqueClient))
}

// With a cache, a revoked token is refused when its cached introspection response is as old as
// CacheTTL, and not earlier.
func TestRevocationWithinCacheTTL(t *testing.T) {
	t.Parallel()
	s := start(t, provider)
	// the configuration long has the default CacheTTL, which is a minute
	short, long := s.introspecting(), s.introspecting()
	short.Introspection.CacheTTL = 200 * time.Millisecond
	soon, late := startAPI(t, short), startAPI(t, long)
	token := login(t, s, opaqueClient, "openid", scope).AccessToken
	check(t, "before", get(t, late, full, token), accepted(opaqueClient))
	check(t, "before", get(t, soon, full, token), accepted(opaqueClient))
	revoke(t, s, opaqueClient, token)
	check(t, "within CacheTTL", get(t, late, full, token), accepted(opaqueClient))
	// The API in the variable soon refuses the token as soon as its cached introspection response is
	// older than CacheTTL.
	got := get(t, soon, full, token)
	for limit := time.Now().Add(time.Minute); got == accepted(opaqueClient) && time.Now().Before(limit); {
		got = get(t, soon, full, token)
	}
	check(t, "after CacheTTL", got, inactive)
	check(t, "an API that hasn't seen it before", get(t, startAPI(t, long), full, token), inactive)
}

// A revoked JWT is accepted until it expires. If RequireActive is set, the JWT is introspected and
// refused immediately.
func TestRevocationOfJWT(t *testing.T) {
	t.Parallel()
	s := start(t, provider)
	active := s.introspecting()
	active.RequireActive = true
	active.Introspection.CacheTTL = cacheOff
	strict, local := startAPI(t, active), startAPI(t, s.config())
	token := login(t, s, jwtClient, "openid", scope).AccessToken
	check(t, "before", get(t, strict, full, token), accepted(jwtClient))
	check(t, "before, unasked", get(t, local, full, token), accepted(jwtClient))
	revoke(t, s, jwtClient, token)
	check(t, "after", get(t, strict, full, token), inactive)
	check(t, "after, unasked", get(t, local, full, token), accepted(jwtClient))
}
