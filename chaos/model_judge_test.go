package chaos

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xenaauth/xenaauth"
)

// world.judgeResponse decides whether the API's response to a request with the token t is right. It
// returns "" if the response is right, and otherwise what is wrong. knownKeys contains the keys
// that the validator had received before the request or during it. keyWasKnown is true if the
// validator had the key of the token before the request. keySetIsFresh is true if the validator's
// key set was still within its lifetime when the request began.
func (w *world) judgeResponse(t *token, response answer, start time.Time, keyWasKnown, keySetIsFresh bool, knownKeys map[string]bool) string {
	const skew = 30 * time.Second
	now := time.Now()
	opaque := t.kid == ""
	introspected := opaque || w.cfg.RequireActive || w.cfg.AlwaysIntrospect
	local := !opaque && !w.cfg.AlwaysIntrospect
	grace := max(w.cfg.Introspection.CacheTTL, 0)
	if w.cfg.Introspection.CacheTTL == 0 && !w.cfg.AlwaysIntrospect {
		grace = time.Minute
	}
	grace += w.cfg.Introspection.StaleIfError
	if response.status == http.StatusOK {
		switch {
		case t.defect != "" && !(t.defect == "signature" && !local):
			return "accepted with a wrong " + t.defect
		// The times in a token and the clock of the library are whole seconds. So the API may
		// accept a token for one more second.
		case !start.Before(t.exp.Add(skew + time.Second)):
			return "accepted after it expired"
		case t.revokedLocally:
			return "accepted though revoked here"
		case introspected && !t.revokedAtIssuer.IsZero() && !start.Before(t.revokedAtIssuer.Add(grace)) && grace > 0,
			introspected && !t.revokedAtIssuer.IsZero() && grace == 0:
			return "accepted though revoked at the issuer for longer than answers are kept"
		case introspected && now.Sub(t.lastActive) > grace && now.Sub(start) < grace:
			return "accepted on an answer that is too old"
		case local && !knownKeys[t.kid]:
			return "accepted though its key is in no set since"
		case local && !keySetIsFresh && !w.publishesKey(t.kid) && w.issuerUp && start.Sub(w.issuerUpChanged) > 15*time.Second:
			return "accepted though its key was withdrawn, and the set had outlived its lifetime"
		case local && start.Sub(w.sentKeysAt) >= 24*time.Hour:
			return "accepted by keys that are too old"
		case response.body != t.subject:
			return "accepted for another user"
		}
		return ""
	}
	good := t.defect == "" && !t.revokedLocally && start.Before(t.exp) && (!introspected || t.revokedAtIssuer.IsZero())
	if good && now.After(t.exp) {
		return "" // the token expired while the request was waiting
	}
	published := opaque || !local || w.publishesKey(t.kid)
	steady := w.issuerUp && start.Sub(w.issuerUpChanged) >= recoveryLimit
	switch {
	case !good && response.status == http.StatusServiceUnavailable && steady:
		return "503 for a bad token, with the issuer up"
	case !good:
		return ""
	case response.status == http.StatusUnauthorized && (introspected && !local || published || keyWasKnown && keySetIsFresh):
		return "401 for a good token"
	case local && !introspected && keyWasKnown && w.sentKeys[t.kid]:
		return "refused though its key is known"
	case introspected && !t.lastActive.IsZero() && start.Sub(t.lastActive) < grace && (!local || keyWasKnown) && w.cfg.CacheSize == 0:
		return "refused though its answer is at hand"
	case steady && published:
		return "503 for a good token, with the issuer up"
	}
	return ""
}

// world.publishesKey reports whether the issuer publishes the key with the given kid.
func (w *world) publishesKey(kid string) bool {
	return strings.Contains(string(w.issuer.JWKS()), `"kid":"`+kid+`"`)
}

// TestModel makes random events happen in random order, for example key rotations and failures of
// the issuer. No invalid token may be accepted. A valid token may be refused only for a reason that
// the test knows, for example an outage of the issuer.
func TestModel(t *testing.T) {
	const runs, steps = 150, 400
	for _, c := range []struct {
		name   string
		change func(*xenaauth.Config)
	}{
		{"hybrid", func(*xenaauth.Config) {}},
		{"hybrid, stale answers allowed", func(c *xenaauth.Config) {
			c.Introspection.CacheTTL, c.Introspection.StaleIfError = 10*time.Second, 2*time.Minute
		}},
		{"JWTs must be active", func(c *xenaauth.Config) { c.RequireActive = true }},
		{"everything is introspected", func(c *xenaauth.Config) { c.AlwaysIntrospect = true }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			seen := make(map[string]int)
			for seed := range uint64(runs) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, seed, c.change)
					for range steps {
						w.doRandomAction()
					}
					// The test waits for a minute of fake time after the last action. All running
					// fetches and introspection calls end within this minute, because each of them
					// has a shorter time limit.
					time.Sleep(time.Minute)
					for got, n := range w.seen {
						seen[got] += n
					}
				})
				if t.Failed() {
					t.Fatalf("seed %d", seed)
				}
			}
			t.Logf("%d runs of %d steps: %v", runs, steps, seen)
		})
	}
}
