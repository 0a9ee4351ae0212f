package availability_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// startStrangers starts 1100 clients that run at the same time. Each client sends tokens with
// unknown kids, one token after the other. Each response to a client must be 401, or 503 with
// Retry-After. The result stopClients is a function that stops all clients.
func startStrangers(t *testing.T, issuer *xenaauthtest.Issuer, a *harness.API, subject string) (stopClients func()) {
	t.Helper()
	parts := strings.Split(issuer.JWT(xenaauthtest.Token{Subject: subject}), ".")
	var all sync.WaitGroup
	stop := make(chan struct{})
	for client := range 1100 {
		all.Go(func() {
			for n := 0; ; n++ {
				header := fmt.Sprintf(`{"alg":"ES256","kid":"junk %d %d %p"}`, client, n, stop)
				got := a.Get(t, harness.Base64(header)+"."+parts[1]+"."+parts[2])
				if got.Status != http.StatusUnauthorized && (got.Status != http.StatusServiceUnavailable || got.Header.Get("Retry-After") == "") {
					t.Errorf("status %d, want 401, or 503 with Retry-After", got.Status)
				}
				select {
				case <-stop:
					return
				case <-time.After(100 * time.Millisecond):
				}
			}
		})
	}
	synctest.Wait()
	return func() {
		close(stop)
		all.Wait()
	}
}

// A request whose token has an unknown kid waits until the library has fetched the key set. The
// library limits the number of waiting requests. In this test more requests arrive than may wait,
// so the library refuses the others. A token with a new key passes if an earlier token of the same
// user was accepted. Any other token with a new key is refused with 503 and Retry-After. When the
// time in Retry-After is over, this token passes too.
func TestA4_TooManyWaiting(t *testing.T) {
	t.Parallel()
	harness.WithIssuer(t, func(t *testing.T, issuer *xenaauthtest.Issuer, a *harness.API) {
		a.Passes(t, issuer.JWT(xenaauthtest.Token{Subject: "known"}))
		for round := range 5 {
			issuer.Rotate()
			leave := startStrangers(t, issuer, a, "stranger")
			newcomer := issuer.JWT(xenaauthtest.Token{Subject: fmt.Sprint("newcomer", round)})
			got := a.Get(t, newcomer)
			got.IsRefusal(t, xenaauth.ReasonUnavailable)
			a.Passes(t, issuer.JWT(xenaauthtest.Token{Subject: "known"}))
			after, err := strconv.Atoi(got.Header.Get("Retry-After"))
			require.NoError(t, err)
			time.Sleep(time.Duration(after) * time.Second)
			a.Passes(t, newcomer)
			leave()
		}
	})
}

// If a token has an unknown kid, its request waits for a fetch of the key set. In this test a fetch
// takes 4 s, and the library already has as many waiting requests as it allows. Then the issuer
// makes a new key, and a client sends a token that is signed with it. The running fetch began
// earlier, so its result may lack the new key. The library lets no request wait long enough for a
// second fetch. So it refuses the token with 503, before the longest allowed wait is over. When the
// client sends the token again, it passes.
func TestA4_TooManyWaitingForASlowIssuer(t *testing.T) {
	t.Parallel()
	harness.WithIssuer(t, func(t *testing.T, issuer *xenaauthtest.Issuer, a *harness.API) {
		a.Passes(t, issuer.JWT(xenaauthtest.Token{Subject: "known"}))
		issuer.Fail(xenaauthtest.JWKS, xenaauthtest.Fault{Delay: 4 * time.Second})
		time.Sleep(time.Minute)
		for round := range 3 {
			leave := startStrangers(t, issuer, a, "stranger")
			time.Sleep(2500 * time.Millisecond)
			issuer.Rotate()
			began := time.Now()
			newcomer := issuer.JWT(xenaauthtest.Token{Subject: fmt.Sprint("newcomer", round)})
			a.Get(t, newcomer).IsRefusal(t, xenaauth.ReasonUnavailable)
			a.Passes(t, issuer.JWT(xenaauthtest.Token{Subject: "known"}))
			require.LessOrEqual(t, time.Since(began), 6*time.Second)
			a.Passes(t, newcomer)
			leave()
			time.Sleep(time.Minute)
		}
	})
}

// If the key of a token is unknown, the request waits for a fetch of the keys. The library limits
// the number of waiting requests. A user is known if an earlier token of the user was accepted.
// Many bad tokens that name one known user (alice) must not keep out the requests of another known
// user (bob). So a token of bob with a new key is accepted.
func TestA4_StrangersThatKnowAUser(t *testing.T) {
	t.Parallel()
	harness.WithIssuer(t, func(t *testing.T, issuer *xenaauthtest.Issuer, a *harness.API) {
		a.Passes(t, issuer.JWT(xenaauthtest.Token{Subject: "alice"}))
		a.Passes(t, issuer.JWT(xenaauthtest.Token{Subject: "bob"}))
		issuer.Rotate()
		leave := startStrangers(t, issuer, a, "alice")
		a.Get(t, issuer.JWT(xenaauthtest.Token{Subject: "alice"})).IsRefusal(t, xenaauth.ReasonUnavailable)
		a.Passes(t, issuer.JWT(xenaauthtest.Token{Subject: "bob"}))
		time.Sleep(time.Second)
		a.Passes(t, issuer.JWT(xenaauthtest.Token{Subject: "alice"}))
		leave()
	})
}

// A user is known if an earlier token of the user was accepted. A refused token does not make its
// user known.
func TestA4_OnlyVerifiedTokensMakeAUserKnown(t *testing.T) {
	t.Parallel()
	harness.WithIssuer(t, func(t *testing.T, issuer *xenaauthtest.Issuer, a *harness.API) {
		a.Passes(t, issuer.JWT(xenaauthtest.Token{Subject: "known"}))
		other := harness.NewIssuer()
		forged := other.JWT(xenaauthtest.Token{Subject: "mallory", Header: map[string]any{"kid": issuer.KeyID(), "x5t": nil}})
		a.Refuses(t, forged, xenaauth.ReasonSignature)
		issuer.Rotate()
		leave := startStrangers(t, issuer, a, "stranger")
		a.Get(t, issuer.JWT(xenaauthtest.Token{Subject: "mallory"})).IsRefusal(t, xenaauth.ReasonUnavailable)
		leave()
	})
}

// The issuer moves the key set to another address. The library limits how many requests may wait
// for a key, and the test sends enough requests to reach this limit. Then a client sends a token
// that is signed with a new key. Until the library has read the new metadata, it does not know
// whether this key exists. So it refuses the token with 503 and not with 401.
func TestA4_TooManyWaitingForAMovedKeySet(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		defer time.Sleep(time.Minute)
		issuer := &harness.MovedIssuer{Issuer: harness.NewIssuer()}
		cfg := issuer.Config()
		cfg.HTTPClient = issuer.HTTPClient()
		a := harness.Mount(t, cfg)
		a.Passes(t, issuer.JWT(xenaauthtest.Token{Subject: "known"}))
		time.Sleep(5 * time.Minute)
		issuer.Move(t, false)
		issuer.Rotate()
		leave := startStrangers(t, issuer.Issuer, a, "stranger")
		newcomer := issuer.JWT(xenaauthtest.Token{Subject: "newcomer"})
		a.Get(t, newcomer).IsRefusal(t, xenaauth.ReasonUnavailable)
		a.Passes(t, issuer.JWT(xenaauthtest.Token{Subject: "known"}))
		a.Passes(t, newcomer)
		leave()
	})
}

// If the metadata of the issuer are unavailable, a token with an unknown kid is refused with 503
// and not with 401: the metadata may name a key set that contains the key of the token.
func TestA3_MovedKeySetWithoutMetadata(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		defer time.Sleep(time.Minute)
		issuer := &harness.MovedIssuer{Issuer: harness.NewIssuer()}
		cfg := issuer.Config()
		cfg.HTTPClient = issuer.HTTPClient()
		a := harness.Mount(t, cfg)
		a.Passes(t, issuer.JWT(xenaauthtest.Token{}))
		time.Sleep(5 * time.Minute)
		issuer.Move(t, false)
		issuer.Rotate()
		issuer.Fail(xenaauthtest.Metadata, xenaauthtest.Fault{Status: 500})
		a.Refuses(t, issuer.JWT(xenaauthtest.Token{}), xenaauth.ReasonUnavailable)
		issuer.Heal()
		time.Sleep(time.Second)
		a.Passes(t, issuer.JWT(xenaauthtest.Token{}))
	})
}
