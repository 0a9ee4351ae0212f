package chaos

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// A ledger records the responses of the API to clients, for the tables of docs/reliability.md.
type ledger struct{ rows [][]string }

// ledger.add records a response of the API as a row of the table. The test fails if the response
// differs from wantResponse, the expected response. wantResponse is written as in the tables of
// docs/reliability.md.
func (l *ledger) add(t *testing.T, event, token string, got answer, wantResponse string) {
	t.Helper()
	if got.String() != wantResponse {
		t.Errorf("%s: %s: got %v, want %s", event, token, got, wantResponse)
	}
	l.rows = append(l.rows, []string{event, token, got.String()})
}

// The issuer rotates and withdraws keys, and the clocks of the issuer and the API differ. This is
// normal operation. The table says which tokens pass. A valid token may be refused for some time,
// for example if its key is not published yet.
func TestKeys(t *testing.T) {
	var l ledger
	for _, section := range []struct {
		name string
		run  func(*testing.T, *ledger)
	}{
		{"overlap", testRotationWithOverlap},
		{"no overlap", testRotationWithoutOverlap},
		{"replaced", testReplacementOfAllKeys},
		{"early", testKeyInUseTooEarly},
		{"clock", testIssuerClock},
		{"idle", inFakeTime(testWithdrawalWhileIdle)},
		{"same name", inFakeTime(testNewKeyWithSameName)},
		{"jump", inFakeTime(testHostClock)},
	} {
		if !t.Run(section.name, func(t *testing.T) { section.run(t, &l) }) {
			t.Fail()
		}
	}
	checkTable(t, "keys", []string{"what happens", "token", "answer"}, l.rows)
}

// inFakeTime wraps one of the test functions that TestKeys calls, so that it runs with the fake
// time of package synctest. In such a test function, the API calls the issuer in memory, without a
// network.
func inFakeTime(section func(*testing.T, *ledger)) func(*testing.T, *ledger) {
	return func(t *testing.T, out *ledger) { synctest.Test(t, func(t *testing.T) { section(t, out) }) }
}

func testRotationWithOverlap(t *testing.T, out *ledger) {
	const event = "rotation, the old key stays published"
	l := newLab(t)
	known, fresh := l.api(), l.api()
	old := l.jwt("old")
	known.expect(old, "200")
	young := rotateKey(l)
	out.add(t, event, "JWT of the old key", known.get(t.Context(), old), "200")
	out.add(t, event, "JWT of the new key", known.get(t.Context(), young), "200")
	out.add(t, event, "JWT of the old key, once the new one is known", known.get(t.Context(), old), "200")
	out.add(t, event, "JWT of either key, no keys known", fresh.get(t.Context(), old), "200")
	fresh.expect(young, "200")
}

func testRotationWithoutOverlap(t *testing.T, out *ledger) {
	const event = "rotation, the old key is withdrawn at once"
	l := newLab(t)
	known, fresh := l.api(), l.api()
	old := l.jwt("old")
	known.expect(old, "200")
	l.issuer.Rotate()
	l.issuer.Retire()
	young := l.jwt("young")
	out.add(t, event, "JWT of the old key, until keys are fetched next", known.get(t.Context(), old), "200")
	out.add(t, event, "JWT of the new key", known.get(t.Context(), young), "200")
	out.add(t, event, "JWT of the old key, after that", known.get(t.Context(), old), "401 unknown_key")
	out.add(t, event, "JWT of the old key, no keys known", fresh.get(t.Context(), old), "401 unknown_key")
}

func testReplacementOfAllKeys(t *testing.T, out *ledger) {
	const event = "the issuer is installed anew, with other keys"
	l := newLab(t)
	known := l.api()
	old := l.jwt("old")
	known.expect(old, "200")
	anew := xenaauthtest.StartIssuer(&xenaauthtest.IssuerOptions{
		URL: l.url, Algorithm: "ES256", API: l.issuer.API(), APISecret: l.issuer.APISecret(),
	})
	t.Cleanup(anew.Close)
	anew.SetMetadata(l.metadata())
	l.faultProxy.forwardTo(anew.Addr())
	out.add(t, event, "JWT of the old keys, until keys are fetched next", known.get(t.Context(), old), "200")
	out.add(t, event, "JWT of the new keys", known.get(t.Context(), anew.JWT(xenaauthtest.Token{})), "200")
	out.add(t, event, "JWT of the old keys, after that", known.get(t.Context(), old), "401 unknown_key")
	out.add(t, event, "opaque token of the new installation", known.get(t.Context(), anew.Opaque(xenaauthtest.Token{})), "200")
}

func testKeyInUseTooEarly(t *testing.T, out *ledger) {
	const event = "a key signs before it is published"
	l := newLab(t)
	known := l.api()
	old := l.jwt("old")
	known.expect(old, "200")
	l.issuer.SetJWKS(l.issuer.JWKS())
	young := rotateKey(l)
	out.add(t, event, "JWT of the new key", known.get(t.Context(), young), "401 unknown_key")
	out.add(t, event, "JWT of the old key", known.get(t.Context(), old), "200")
	l.issuer.SetJWKS(nil)
	start, got := time.Now(), known.get(t.Context(), young)
	for got.status != 200 && time.Since(start) < 10*time.Second {
		// The API fetches the key set at most once a second. Its latest fetch was less than a
		// second ago and found no new key, so the API can't fetch the key set again yet.
		time.Sleep(20 * time.Millisecond)
		got = known.get(t.Context(), young)
	}
	if took := time.Since(start); took > recoveryLimit {
		t.Errorf("accepted %v after it was published", took)
	}
	out.add(t, event, "JWT of the new key, within 2 s of its publication", got, "200")
}

// testIssuerClock tests an issuer whose clock differs from the API's clock. The difference is less
// than ClockSkew (30 s) in some cases, and more in others.
func testIssuerClock(t *testing.T, out *ledger) {
	l := newLab(t)
	a := l.api()
	token := func(ahead, lifetime time.Duration) string {
		made := time.Now().Add(ahead).Unix()
		return l.issuer.JWT(xenaauthtest.Token{Claims: map[string]any{
			"iat": made, "nbf": made, "auth_time": made, "exp": made + int64(lifetime/time.Second),
		}})
	}
	for _, c := range []struct {
		event, token    string
		ahead, lifetime time.Duration
		want            string
	}{
		{"the issuer's clock is 20 s ahead", "JWT just made", 20 * time.Second, time.Hour, "200"},
		{"the issuer's clock is 5 min ahead", "JWT just made", 5 * time.Minute, time.Hour, "401 not_yet_valid"},
		{"the issuer's clock is 20 s behind", "JWT just made, for 10 s", -20 * time.Second, 10 * time.Second, "200"},
		{"the issuer's clock is 5 min behind", "JWT just made, for an hour", -5 * time.Minute, time.Hour, "200"},
		{"the issuer's clock is 5 min behind", "JWT just made, for 4 min", -5 * time.Minute, 4 * time.Minute, "401 expired"},
	} {
		out.add(t, c.event, c.token, a.get(t.Context(), token(c.ahead, c.lifetime)), c.want)
	}
}

// testWithdrawalWhileIdle tests an API that gets no requests while the issuer withdraws a key. The
// time without requests is longer than the lifetime of the API's key set.
func testWithdrawalWhileIdle(t *testing.T, out *ledger) {
	for _, up := range []bool{true, false} {
		event := "a key is withdrawn, no request for 100 s"
		young, old := "200", "401 unknown_key"
		if !up {
			event, young, old = event+", issuer unreachable", "503, Retry-After: 1", "200"
		}
		issuer := xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256"})
		issuer.SetCacheControl("max-age=60")
		a := newAPI(t, issuer.Config())
		ask := func(token string) answer { return a.serve(t.Context(), token) }
		known, fresh := issuer.JWT(xenaauthtest.Token{}), issuer.JWT(xenaauthtest.Token{})
		ask(known)
		issuer.Rotate()
		issuer.Retire()
		time.Sleep(100 * time.Second)
		if !up {
			issuer.Down()
		}
		out.add(t, event, "JWT of the old key, seen before", ask(known), old)
		out.add(t, event, "JWT of the old key, never seen", ask(fresh), old)
		out.add(t, event, "JWT of the new key", ask(issuer.JWT(xenaauthtest.Token{})), young)
		time.Sleep(time.Minute)
	}
}

// testNewKeyWithSameName tests an issuer that replaces a key with another key under the same kid.
func testNewKeyWithSameName(t *testing.T, out *ledger) {
	const event = "another key under the same kid"
	issuer := xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256"})
	a := newAPI(t, issuer.Config())
	ask := func(token string) answer { return a.serve(t.Context(), token) }
	old, kid := issuer.JWT(xenaauthtest.Token{}), issuer.KeyID()
	ask(old)
	time.Sleep(10 * time.Second)
	issuer.Rotate()
	issuer.Retire()
	issuer.SetJWKS(bytes.ReplaceAll(issuer.JWKS(), []byte(issuer.KeyID()), []byte(kid)))
	young := issuer.JWT(xenaauthtest.Token{Header: map[string]any{"kid": kid, "x5t": nil}})
	out.add(t, event, "JWT of the old key, until keys are fetched next", ask(old), "200")
	out.add(t, event, "JWT of the new key, the first", ask(young), "401 signature")
	synctest.Wait()
	out.add(t, event, "JWT of the new key, from then on", ask(young), "200")
	out.add(t, event, "JWT of the old key, after that", ask(old), "401 signature")
	time.Sleep(time.Minute)
}

// testHostClock tests an API whose clock jumps forward, for example because its host was suspended
// for a while.
func testHostClock(t *testing.T, out *ledger) {
	issuer := xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256"})
	a := newAPI(t, issuer.HybridConfig())
	if v, err := xenaauth.NewValidator(issuer.Config()); err != nil || v.Status().Ready {
		t.Fatal(err, "a validator that fetched nothing is ready")
	}
	ask := func(token string) answer { return a.serve(t.Context(), token) }
	old := issuer.JWT(xenaauthtest.Token{})
	out.add(t, "our clock is right", "JWT, for an hour", ask(old), "200")
	issuer.Down()
	time.Sleep(50 * time.Minute)
	const outage = "our clock jumps by 50 min, issuer unreachable"
	out.add(t, outage, "the same JWT", ask(old), "200")
	out.add(t, outage, "JWT just made", ask(issuer.JWT(xenaauthtest.Token{})), "200")
	time.Sleep(25*time.Hour - 50*time.Minute)
	const long = "our clock jumps by 25 h, issuer unreachable"
	young := issuer.JWT(xenaauthtest.Token{})
	out.add(t, long, "the same JWT", ask(old), "401 expired")
	out.add(t, long, "JWT just made (MaxKeyAge is 24 h)", ask(young), "503, Retry-After: 1")
	issuer.Heal()
	time.Sleep(time.Second)
	out.add(t, "the issuer is back", "the JWT that got 503", ask(young), "200")
	time.Sleep(25 * time.Hour)
	const up = "our clock jumps by 25 h, issuer up"
	out.add(t, up, "JWT just made", ask(issuer.JWT(xenaauthtest.Token{})), "200")
	out.add(t, up, "opaque token just made", ask(issuer.Opaque(xenaauthtest.Token{})), "200")
	synctest.Wait()
}
