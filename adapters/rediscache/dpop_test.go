package rediscache_test

import (
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/rediscache"
	"github.com/xenaauth/xenaauth/dpop"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

const publicOrigin = "https://api.example"

// fleet.protectedAPI returns an API that requires DPoP proofs. It records in Redis, with the cache
// c, which proofs were used.
func (f *fleet) protectedAPI(c *rediscache.Cache) http.Handler {
	f.t.Helper()
	proof, err := dpop.New(dpop.Config{PublicOrigins: []string{publicOrigin}, Replay: c})
	if err != nil {
		f.t.Fatal(err)
	}
	cfg := f.issuer.Config()
	cfg.Logger, cfg.Replay = slog.New(slog.NewTextHandler(f.log, nil)), c
	v, err := xenaauth.NewValidator(cfg)
	if err != nil {
		f.t.Fatal(err)
	}
	auth := xenaauth.NewMiddleware(v, &xenaauth.Options{Proofs: []xenaauth.Proof{proof}, RequireProof: true})
	return auth.Require(xenaauth.AnyUser())(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	}))
}

// fleet.newBoundClient returns a client with its own key, and with a token that is bound to this
// key.
func (f *fleet) newBoundClient() *xenaauthtest.Client {
	client := xenaauthtest.NewDPoPClient(nil)
	client.Token = f.issuer.JWT(xenaauthtest.Token{BoundTo: client})
	return client
}

// sendWithProof sends a request with a DPoP proof to an API, and returns the response.
func sendWithProof(api http.Handler, client *xenaauthtest.Client, proof string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, publicOrigin+"/orders", nil)
	r.Header.Set("Authorization", "DPoP "+client.Token)
	r.Header.Set("DPoP", proof)
	w := httptest.NewRecorder()
	api.ServeHTTP(w, r)
	return w
}

// countOutcomes sends n requests with the same DPoP proof at the same moment. Each argument in apis
// is an instance of the API, and the requests go to the instances in turn. The result says how many
// requests had each outcome. An outcome is the status of the response, or "replayed" if the
// instance refused the proof because it was used before.
func countOutcomes(client *xenaauthtest.Client, proof string, n int, apis ...http.Handler) map[string]int {
	var mu sync.Mutex
	var group sync.WaitGroup
	got, start := make(map[string]int), make(chan struct{})
	for i := range n {
		group.Go(func() {
			<-start
			w := sendWithProof(apis[i%len(apis)], client, proof)
			kind := fmt.Sprint(w.Code)
			if w.Code == http.StatusUnauthorized && strings.Contains(w.Body.String(), `"reason":"proof_replayed"`) &&
				strings.Contains(w.Header().Get("WWW-Authenticate"), `error="invalid_dpop_proof"`) {
				kind = "replayed"
			}
			mu.Lock()
			got[kind]++
			mu.Unlock()
		})
	}
	close(start)
	group.Wait()
	return got
}

func TestAProofIsAcceptedOnceInTheFleet(t *testing.T) {
	t.Parallel()
	f := newFleet(t, startRedis(t))
	one, two := f.protectedAPI(f.cache(nil)), f.protectedAPI(f.cache(nil))
	client := f.newBoundClient()
	proof := client.Proof(http.MethodGet, publicOrigin+"/orders")
	want := map[string]int{"204": 1, "replayed": 999}
	if got := countOutcomes(client, proof, 1000, one, two); !maps.Equal(got, want) {
		t.Errorf("1000 requests with one proof at two instances: %v, want %v", got, want)
	}
	var many []http.Handler
	for range 20 {
		many = append(many, f.protectedAPI(f.cache(nil)))
	}
	// Each instance of the service remembers a proof in its own memory, so it asks Redis about the
	// proof only once, even if it gets the proof in many requests. So two instances make at most
	// two concurrent calls to Redis about one proof. With 20 instances, up to 20 calls are
	// concurrent.
	for range 20 {
		proof := client.Proof(http.MethodGet, publicOrigin+"/orders")
		want := map[string]int{"204": 1, "replayed": 19}
		if got := countOutcomes(client, proof, 20, many...); !maps.Equal(got, want) {
			t.Errorf("20 requests with one proof at 20 instances: %v, want %v", got, want)
		}
	}
	// A proof has an id, the claim jti. Proofs of two clients may have the same jti, and both are
	// accepted.
	jti := func(_, claims map[string]any) { claims["jti"] = "same" }
	for _, c := range []*xenaauthtest.Client{client, f.newBoundClient()} {
		c.Edit = jti
		if w := sendWithProof(one, c, c.Proof(http.MethodGet, publicOrigin+"/orders")); w.Code != http.StatusNoContent {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
}

// While Redis fails, an instance of the service can't find out whether a DPoP proof was used
// before. So it allows no request with a proof.
func TestProofsWhileRedisFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fail, heal func(s *server)
	}{
		"frozen": {(*server).freeze, (*server).thaw},
		"gone":   {(*server).kill, (*server).start},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startRedis(t)
			f := newFleet(t, s)
			f.timeout = 0
			api, client := f.protectedAPI(f.cache(nil)), f.newBoundClient()
			fresh := func() *httptest.ResponseRecorder {
				return sendWithProof(api, client, client.Proof(http.MethodGet, publicOrigin+"/orders"))
			}
			eventually(t, func() bool { return fresh().Code == http.StatusNoContent })
			used := client.Proof(http.MethodGet, publicOrigin+"/orders")
			if w := sendWithProof(api, client, used); w.Code != http.StatusNoContent {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			c.fail(s)
			for range 30 {
				requireReturn(t, func() {
					w := fresh()
					if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "1" ||
						w.Header().Get("WWW-Authenticate") != "" || strings.Contains(w.Body.String(), s.port) {
						t.Errorf("%d %v %s, want 503", w.Code, w.Header(), w.Body)
					}
				})
			}
			if w := sendWithProof(api, client, used); w.Code == http.StatusNoContent {
				t.Error("a proof was accepted a second time")
			}
			c.heal(s)
			eventually(t, func() bool { return fresh().Code == http.StatusNoContent })
			if w := sendWithProof(api, client, used); w.Code != http.StatusUnauthorized {
				t.Errorf("a proof that was used before: %d %s", w.Code, w.Body)
			}
			if log := f.log.String(); strings.Contains(log, "127.0.0.1") || !strings.Contains(log, "Redis is back") {
				t.Error(log)
			}
		})
	}
}

// All instances of a service together accept a logout token only once. But if the response was 503
// because Redis was down, the token does not count as used, and the issuer may send it again.
func TestLogoutTokensInAFleet(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	f := newFleet(t, s)
	f.timeout = 0
	var logouts []http.Handler
	for range 2 {
		c := f.cache(nil)
		cfg := f.issuer.Config()
		cfg.Logger, cfg.Replay = slog.New(slog.NewTextHandler(f.log, nil)), c
		v, err := xenaauth.NewValidator(cfg)
		if err != nil {
			t.Fatal(err)
		}
		logouts = append(logouts, v.LogoutHandler("web"))
		waitUntilUseWorks(t, c)
	}
	post := func(h http.Handler, token string) int {
		r := httptest.NewRequest(http.MethodPost, publicOrigin+"/logout", strings.NewReader("logout_token="+token))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	token := f.issuer.LogoutToken(xenaauthtest.Token{ClientID: "web"})
	for i, want := range []int{200, 400} {
		if got := post(logouts[i], token); got != want {
			t.Errorf("instance %d: %d, want %d", i, got, want)
		}
	}
	s.kill()
	token = f.issuer.LogoutToken(xenaauthtest.Token{ClientID: "web"})
	for range 10 {
		if got := post(logouts[0], token); got != 503 {
			t.Errorf("without Redis: %d, want 503", got)
		}
	}
	s.start()
	eventually(t, func() bool { return post(logouts[0], token) != 503 })
	// The first instance of the service has now accepted the logout token, with the status 200. A
	// logout token may be used only once. So both instances must refuse it now.
	for _, h := range logouts {
		if got := post(h, token); got != 400 {
			t.Errorf("used before: %d, want 400", got)
		}
	}
}
