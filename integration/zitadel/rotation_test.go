package zitadel_test

import (
	"testing"
)

// After the server has changed to a new signing key, the first token of the new key passes without
// a restart of the API, even if the key was not published before its first use. The kid of the
// token is unknown, so the API fetches the keys again. Tokens of the old key are accepted as long
// as the old key is published.
func TestRotation(t *testing.T) {
	t.Parallel()
	s := startServer(t, provider)
	api := startAPI(t, s.config())
	old := login(t, s, jwtClient, "openid", scope).AccessToken
	check(t, "old key", get(t, api, full, old), acceptedAnswer(jwtClient))

	s.store.rotate(true)
	fresh := login(t, s, jwtClient, "openid", scope).AccessToken
	unseen := login(t, s, jwtClient, "openid", scope).AccessToken
	keys := s.countCalls(keysPath)
	// this request may have to wait, because the API fetches the keys at most once a second
	check(t, "new key", get(t, api, full, fresh), acceptedAnswer(jwtClient))
	check(t, "new key again", get(t, api, full, unseen), acceptedAnswer(jwtClient))
	check(t, "old key, still published", get(t, api, full, old), acceptedAnswer(jwtClient))
	if n := s.countCalls(keysPath) - keys; n != 1 {
		t.Errorf("keys were fetched %d times for a new key, want once", n)
	}
}

// If the server removes a signing key, the API refuses the tokens of this key after its next fetch
// of the keys, even if it accepted them before.
func TestWithdrawal(t *testing.T) {
	t.Parallel()
	s := startServer(t, provider)
	api := startAPI(t, s.config())
	old, unseen := login(t, s, jwtClient, "openid", scope).AccessToken, login(t, s, jwtClient, "openid", scope).AccessToken
	check(t, "old key", get(t, api, full, old), acceptedAnswer(jwtClient))

	s.store.rotate(false)
	check(t, "removed, before a fetch shows it", get(t, api, full, old), acceptedAnswer(jwtClient))
	fresh := login(t, s, jwtClient, "openid", scope).AccessToken
	check(t, "new key", get(t, api, full, fresh), acceptedAnswer(jwtClient))
	check(t, "withdrawn", get(t, api, full, old), unknownKey)
	check(t, "withdrawn, and never seen before", get(t, api, full, unseen), unknownKey)
	check(t, "new key still", get(t, api, full, fresh), acceptedAnswer(jwtClient))
}
