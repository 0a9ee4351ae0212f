package chaos

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// A world contains a test issuer, a validator, and what the test knows about them. The test knows
// the validator's keys only from the responses that the validator received from the issuer. The
// test does not look into the validator.
type world struct {
	mu     sync.Mutex // mu must be locked while the list of tokens is used
	t      *testing.T
	rnd    *rand.Rand
	issuer *xenaauthtest.Issuer
	api    *api
	cfg    xenaauth.Config

	kid string // kid names the issuer's key that signs new tokens
	// sentKeys contains the keys in the latest key set that the issuer has sent to the validator
	sentKeys   map[string]bool
	sentKeysAt time.Time
	// issuerUp reports whether the issuer works
	issuerUp bool
	// issuerUpChanged is when the value of issuerUp last changed
	issuerUpChanged time.Time
	tokens          []*token
	steps           []string
	seen            map[string]int
}

// The type token is a token that the test sends to the validator, with the facts that the test
// knows about it.
type token struct {
	text, subject, kid string // kid names the key of a JWT; it is "" for an opaque token
	made, exp          time.Time
	revokedLocally     bool
	revokedAtIssuer    time.Time // revokedAtIssuer is zero if the token is not revoked
	// defect says why the token was invalid when it was made; "" means that it was valid
	defect string
	// lastActive is when the issuer last said in an introspection response that the token is active
	lastActive time.Time
}

// RoundTrip calls the issuer for the validator, and records the responses.
func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	var form string
	if r.Body != nil {
		body, _ := io.ReadAll(r.Body)
		form = string(body)
		r.Body = io.NopCloser(strings.NewReader(form))
	}
	resp, err := w.issuer.Client().Transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(strings.NewReader(string(body)))
	var answer struct {
		Keys   []struct{ Kid string }
		Active bool
	}
	if resp.StatusCode == http.StatusOK && json.Unmarshal(body, &answer) == nil {
		if answer.Keys != nil {
			w.sentKeys, w.sentKeysAt = make(map[string]bool), time.Now()
			for _, k := range answer.Keys {
				w.sentKeys[k.Kid] = true
			}
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, t := range w.tokens {
			if answer.Active && strings.Contains(form, "token="+t.text+"&") {
				t.lastActive = time.Now()
			}
		}
	}
	return resp, nil
}

func newWorld(t *testing.T, seed uint64, change func(*xenaauth.Config)) *world {
	w := &world{t: t, rnd: rand.New(rand.NewPCG(seed, 1)), issuerUp: true, sentKeys: map[string]bool{}, seen: map[string]int{}}
	w.issuerUpChanged = time.Now().Add(-time.Hour)
	w.issuer = xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256"})
	w.kid = w.issuer.KeyID()
	w.cfg = w.issuer.HybridConfig()
	w.cfg.HTTPClient = &http.Client{Transport: w}
	w.cfg.Logger = slog.New(slog.DiscardHandler)
	if seed%2 == 1 {
		// The validator's caches of tokens are small, so that they have to remove tokens to make
		// room.
		w.cfg.CacheSize, w.cfg.Introspection.CacheSize = 64, 64
	}
	change(&w.cfg)
	w.api = newAPI(t, w.cfg)
	return w
}

func (w *world) step(format string, args ...any) {
	w.steps = append(w.steps, time.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
}

func (w *world) mint() {
	life := []time.Duration{20 * time.Second, 5 * time.Minute, time.Hour}[w.rnd.IntN(3)]
	now := time.Now()
	t := &token{subject: fmt.Sprint("user-", w.rnd.IntN(8)), made: now, exp: time.Unix(now.Add(life).Unix(), 0)}
	shape := xenaauthtest.Token{Subject: t.subject, Lifetime: life}
	if w.rnd.IntN(10) == 0 {
		t.defect = "audience"
		shape.Claims = map[string]any{"aud": "another"}
	}
	if w.rnd.IntN(3) == 0 {
		t.text = w.issuer.Opaque(shape)
	} else {
		t.kid = w.kid
		t.text = w.issuer.JWT(shape)
		if t.defect == "" && w.rnd.IntN(10) == 0 {
			t.defect = "signature"
			t.text = t.text[:len(t.text)-8] + "AAAAAAAA"
		}
	}
	w.mu.Lock() // a fetch in the background may read the list of tokens at the same time
	w.tokens = append(w.tokens, t)
	w.mu.Unlock()
	w.step("mint %d: %s kid %.6s for %v, wrong: %q", len(w.tokens)-1, t.subject, t.kid, life, t.defect)
}

// world.doRandomAction does one random action, for example a request, a key rotation or a
// revocation.
func (w *world) doRandomAction() {
	// RoundTrip reads the list of tokens; wait until no goroutine of the validator calls RoundTrip
	// any more
	synctest.Wait()
	n := w.rnd.IntN(100)
	switch {
	case n < 14 || len(w.tokens) == 0:
		w.mint()
	case n < 70:
		k := w.rnd.IntN(len(w.tokens))
		if w.rnd.IntN(3) > 0 { // prefer new tokens, because most old tokens have expired
			k = max(k, len(w.tokens)-1-w.rnd.IntN(8))
		}
		w.request(k)
	case n < 84:
		d := []time.Duration{time.Millisecond, 400 * time.Millisecond, time.Second, 7 * time.Second, 40 * time.Second,
			3 * time.Minute, 14 * time.Minute}[w.rnd.IntN(7)]
		if w.rnd.IntN(150) == 0 {
			d = 25 * time.Hour
		}
		time.Sleep(d)
		w.step("%v pass", d)
	case n < 87:
		w.issuer.Rotate()
		w.kid = w.issuer.KeyID()
		w.step("rotate to %.6s", w.kid)
	case n < 89:
		w.issuer.Retire()
		w.step("retire all but %.6s", w.kid)
	case n < 92:
		k := w.rnd.IntN(len(w.tokens))
		w.issuer.Revoke(w.tokens[k].text)
		if w.tokens[k].revokedAtIssuer.IsZero() {
			w.tokens[k].revokedAtIssuer = time.Now()
		}
		w.step("revoke %d at the issuer", k)
	case n < 94:
		k := w.rnd.IntN(len(w.tokens))
		r := xenaauth.Revocation{TokenHash: xenaauth.HashToken(w.tokens[k].text), Until: time.Now().Add(48 * time.Hour)}
		if err := w.api.validator.Revoke(w.t.Context(), r); err != nil {
			w.t.Error(err)
		}
		w.tokens[k].revokedLocally = true
		w.step("revoke %d here", k)
	case w.issuerUp && n < 97:
		w.issuer.Down()
		w.issuerUp, w.issuerUpChanged = false, time.Now()
		w.step("down")
	case !w.issuerUp:
		w.issuer.Heal()
		w.issuerUp, w.issuerUpChanged = true, time.Now()
		w.step("heal")
	}
}

func (w *world) request(k int) {
	t := w.tokens[k]
	// the validator stores a new key set in the background, so wait until it has stored it
	synctest.Wait()
	before, knownBefore, start := w.sentKeys, w.sentKeys[t.kid] && time.Since(w.sentKeysAt) < 24*time.Hour, time.Now()
	// The validator may use its latest key set for 15 minutes.
	fresh := start.Sub(w.sentKeysAt) < 15*time.Minute
	got := w.api.serve(w.t.Context(), t.text)
	synctest.Wait()
	w.step("request %d: %v, took %v", k, got, time.Since(start))
	w.seen[got.String()]++
	known := func() map[string]bool { all := maps.Clone(before); maps.Copy(all, w.sentKeys); return all }()
	if why := w.judgeResponse(t, got, start, knownBefore, fresh, known); why != "" {
		w.t.Fatalf("%s: token %d: got %v\n%s", why, k, got, strings.Join(w.steps[max(0, len(w.steps)-60):], "\n"))
	}
}
