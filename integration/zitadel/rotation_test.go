package zitadel_test

import (
	"testing"
)

// The first token of a new key passes without a restart, also if the key was not published before.
// Its kid is unknown, so the keys are fetched again. The old key is accepted as long as it is
// published.
func TestRotation(t *testing.T) {
	t.Parallel()
	s := start(t, provider)
	api := startAPI(t, s.config())
	old := login(t, s, jwtClient, "openid", scope).AccessToken
	check(t, "old key", get(t, api, full, old), accepted(jwtClient))

	s.store.rotate(true)
	fresh := login(t, s, jwtClient, "openid", scope).AccessToken
	unseen := login(t, s, jwtClient, "openid", scope).AccessToken
	keys := s.called(keysPath)
	check(t, "new key", get(t, api, full, fresh), accepted(jwtClient)) // it may wait: the keys are fetched at most once a second
	check(t, "new key again", get(t, api, full, unseen), accepted(jwtClient))
	check(t, "old key, still published", get(t, api, full, old), accepted(jwtClient))
	if n := s.called(keysPath) - keys; n != 1 {
		t.Errorf("keys were fetched %d times for a new key, want once", n)
	}
}

// A token of a removed key is refused after a fetch has shown that the key is gone, although the
// token was accepted before.
func TestWithdrawal(t *testing.T) {
	t.Parallel()
	s := start(t, provider)
	api := startAPI(t, s.config())
	old, unseen := login(t, s, jwtClient, "openid", scope).AccessToken, login(t, s, jwtClient, "openid", scope).AccessToken
	check(t, "old key", get(t, api, full, old), accepted(jwtClient))

	s.store.rotate(false)
	check(t, "removed, before a fetch shows it", get(t, api, full, old), accepted(jwtClient))
	fresh := login(t, s, jwtClient, "openid", scope).AccessToken
	check(t, "new key", get(t, api, full, fresh), accepted(jwtClient))
	check(t, "withdrawn", get(t, api, full, old), unknownKey)
	check(t, "withdrawn, and never seen before", get(t, api, full, unseen), unknownKey)
	check(t, "new key still", get(t, api, full, fresh), accepted(jwtClient))
}
