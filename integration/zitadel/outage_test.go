package zitadel_test

import (
	"testing"
	"time"
)

// While the server is down, what can be told without it is told as ever, and the rest is 503: nobody is sent to log in
// again for an outage.
//
// The test isn't parallel, and listens nowhere once the server is closed: nobody else may get its port.
func TestOutage(t *testing.T) {
	s := start(t, provider)
	api, late := startAPI(t, s.introspecting()), startAPI(t, s.introspecting())
	lenient := s.introspecting() // always asks, and holds on to the last answer when it can't
	lenient.Introspection.CacheTTL, lenient.Introspection.StaleIfError = time.Nanosecond, time.Minute
	stale := startAPI(t, lenient)
	jwt, opaque := login(t, s, jwtClient, "openid", scope), login(t, s, opaqueClient, "openid", scope)
	newJWT, newOpaque := login(t, s, jwtClient, "openid", scope), login(t, s, opaqueClient, "openid", scope)
	check(t, "JWT before", get(t, api, full, jwt.AccessToken), accepted(jwtClient))
	check(t, "opaque token before", get(t, api, full, opaque.AccessToken), accepted(opaqueClient))
	check(t, "opaque token before, lenient", get(t, stale, full, opaque.AccessToken), accepted(opaqueClient))
	s.store.rotate(true)
	newKey := login(t, s, jwtClient, "openid", scope)

	s.Close()
	check(t, "JWT", get(t, api, full, jwt.AccessToken), accepted(jwtClient))
	check(t, "JWT that it hasn't seen", get(t, api, full, newJWT.AccessToken), accepted(jwtClient))
	check(t, "JWT that lacks the scope", get(t, api, admin, jwt.AccessToken), lacking("testapi.admin"))
	check(t, "ID token", get(t, api, full, jwt.IDToken), notAccess)
	check(t, "JWT of a key that it hasn't seen", get(t, api, full, newKey.AccessToken), unavailable)
	check(t, "opaque token within CacheTTL", get(t, api, full, opaque.AccessToken), accepted(opaqueClient))
	check(t, "opaque token that it hasn't seen", get(t, api, full, newOpaque.AccessToken), unavailable)

	check(t, "opaque token within StaleIfError", get(t, stale, full, opaque.AccessToken), accepted(opaqueClient))
	check(t, "JWT, nothing fetched before the outage", get(t, late, full, jwt.AccessToken), unavailable)
	check(t, "opaque token, nothing fetched before the outage", get(t, late, full, opaque.AccessToken), unavailable)
}
