package zitadel_test

import (
	"testing"
	"time"
)

// TestOutage stops the server. A request that needs no call to the server gets the response that it
// got before. Every other request gets 503, and never 401, because a 401 would send users to the
// login.
//
// The test is not parallel and starts no other server after it has stopped this one, because
// another server could get its port.
func TestOutage(t *testing.T) {
	s := startServer(t, provider)
	api, late := startAPI(t, s.introspectionConfig()), startAPI(t, s.introspectionConfig())
	// An API with lenientConfig introspects a token at each request. While the server is stopped,
	// this API uses the last introspection response.
	lenientConfig := s.introspectionConfig()
	lenientConfig.Introspection.CacheTTL, lenientConfig.Introspection.StaleIfError = time.Nanosecond, time.Minute
	stale := startAPI(t, lenientConfig)
	jwt, opaque := login(t, s, jwtClient, "openid", scope), login(t, s, opaqueClient, "openid", scope)
	newJWT, newOpaque := login(t, s, jwtClient, "openid", scope), login(t, s, opaqueClient, "openid", scope)
	check(t, "JWT before", get(t, api, full, jwt.AccessToken), acceptedAnswer(jwtClient))
	check(t, "opaque token before", get(t, api, full, opaque.AccessToken), acceptedAnswer(opaqueClient))
	check(t, "opaque token before, lenient", get(t, stale, full, opaque.AccessToken), acceptedAnswer(opaqueClient))
	s.store.rotate(true)
	newKey := login(t, s, jwtClient, "openid", scope)

	s.Close()
	check(t, "JWT", get(t, api, full, jwt.AccessToken), acceptedAnswer(jwtClient))
	check(t, "JWT that it hasn't seen", get(t, api, full, newJWT.AccessToken), acceptedAnswer(jwtClient))
	check(t, "JWT that lacks the scope", get(t, api, admin, jwt.AccessToken), missingScope("testapi.admin"))
	check(t, "ID token", get(t, api, full, jwt.IDToken), notAccess)
	check(t, "JWT of a key that it hasn't seen", get(t, api, full, newKey.AccessToken), unavailable)
	check(t, "opaque token within CacheTTL", get(t, api, full, opaque.AccessToken), acceptedAnswer(opaqueClient))
	check(t, "opaque token that it hasn't seen", get(t, api, full, newOpaque.AccessToken), unavailable)

	check(t, "opaque token within StaleIfError", get(t, stale, full, opaque.AccessToken), acceptedAnswer(opaqueClient))
	check(t, "JWT, nothing fetched before the outage", get(t, late, full, jwt.AccessToken), unavailable)
	check(t, "opaque token, nothing fetched before the outage", get(t, late, full, opaque.AccessToken), unavailable)
}
