package identity_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/gateway/identity"
)

func p256(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func ed(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

const gateway, service = "https://gateway.internal", "orders"

func asserting(t testing.TB, change func(*identity.AssertionConfig), keys ...crypto.Signer) *identity.Identity {
	t.Helper()
	cfg := identity.AssertionConfig{Issuer: gateway, Audience: service, Keys: keys}
	if change != nil {
		change(&cfg)
	}
	return newIdentity(t, identity.Config{Assertion: &cfg})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// newVerifier returns the Validator of a service that verifies assertions. The Validator gets the
// key set of the gateway from the handler id.JWKSHandler.
func newVerifier(t testing.TB, id *identity.Identity, change func(*xenaauth.Config)) *xenaauth.Validator {
	t.Helper()
	cfg := xenaauth.Config{
		Issuer:    gateway,
		JWKSURL:   gateway + "/keys",
		Audiences: []string{service},
		HTTPClient: &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.URL.String() != gateway+"/keys" {
				return nil, errors.New("nothing there")
			}
			w := httptest.NewRecorder()
			id.JWKSHandler().ServeHTTP(w, r)
			return w.Result(), nil
		})},
	}
	if change != nil {
		change(&cfg)
	}
	v, err := xenaauth.NewValidator(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// assertionOf returns the assertion that the Identity id sends for the user u.
func assertionOf(t testing.TB, id *identity.Identity, u *xenaauth.User) string {
	t.Helper()
	h := http.Header{}
	if err := id.Set(h, u); err != nil {
		t.Fatal(err)
	}
	return h.Get("X-Auth-Assertion")
}

func fullUser(t testing.TB) *xenaauth.User {
	t.Helper()
	return newUser(t, map[string]any{
		"iss": "https://login.xena.biz", "aud": "testapi", "sub": "Åse <104711>", "client_id": "app",
		"scope": []string{"testapi", "a b", "openid"}, "jti": "its own", "exp": time.Now().Add(time.Hour).Unix(),
		"sid": "0F3C", "acr": "high", "amr": []string{"pwd", "otp"}, "auth_time": 1712345678, "idp": "local",
		"company": map[string]any{"id": 22000}, "secret": "not copied",
	})
}

// A service that uses this library can verify an assertion with a Validator, as if the assertion
// were an access token. This works with each Config.Profile.
func TestAssertionVerifies(t *testing.T) {
	for _, key := range []crypto.Signer{p256(t), ed(t)} {
		for _, profile := range []xenaauth.Profile{xenaauth.ProfileIdentityServer, xenaauth.ProfileRFC9068} {
			t.Run(fmt.Sprintf("%T in profile %v", key, profile), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					id := asserting(t, func(c *identity.AssertionConfig) { c.Claims = []string{"company", "absent"} }, key)
					v := newVerifier(t, id, func(c *xenaauth.Config) { c.Profile = profile })
					now := time.Now()
					token := assertionOf(t, id, fullUser(t))
					u, err := v.Validate(t.Context(), token)
					if err != nil {
						t.Fatal(err)
					}
					var claims map[string]any
					if err := u.Claims(&claims); err != nil {
						t.Fatal(err)
					}
					if jti, ok := claims["jti"].(string); !ok || len(jti) < 20 || jti == "its own" {
						t.Errorf("jti %v", claims["jti"])
					}
					delete(claims, "jti")
					want := map[string]any{
						"iss": gateway, "aud": service, "sub": "Åse <104711>", "client_id": "app", "scope": "testapi openid",
						"iat": float64(now.Unix()), "exp": float64(now.Unix() + 60),
						"token_iss": "https://login.xena.biz", "sid": "0F3C", "acr": "high", "amr": []any{"pwd", "otp"}, "auth_time": 1712345678.0,
						"company": map[string]any{"id": 22000.0},
					}
					if got, want := toJSON(t, claims), toJSON(t, want); got != want {
						t.Errorf("claims\n%s, want\n%s", got, want)
					}

					// The assertion is valid for 60 seconds. The service accepts it for 30 seconds
					// more, which is the default of ClockSkew.
					time.Sleep(89 * time.Second)
					if _, err := v.Validate(t.Context(), token); err != nil {
						t.Error(err)
					}
					time.Sleep(2 * time.Second)
					_, err = v.Validate(t.Context(), token)
					wantReason(t, err, xenaauth.ReasonExpired)
				})
			})
		}
	}
}

func toJSON(t testing.TB, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A service refuses assertions with another issuer, audience or key.
func TestAssertionIsForOneService(t *testing.T) {
	id := asserting(t, nil, p256(t))
	token := assertionOf(t, id, fullUser(t))
	for want, change := range map[xenaauth.Reason]func(*xenaauth.Config){
		xenaauth.ReasonAudience: func(c *xenaauth.Config) { c.Audiences = []string{"invoices"} },
		xenaauth.ReasonIssuer:   func(c *xenaauth.Config) { c.Issuer = "https://login.xena.biz" },
	} {
		_, err := newVerifier(t, id, change).Validate(t.Context(), token)
		wantReason(t, err, want)
	}
	// A service that knows only the keys of another gateway refuses the assertion.
	_, err := newVerifier(t, asserting(t, nil, p256(t)), nil).Validate(t.Context(), token)
	wantReason(t, err, xenaauth.ReasonUnknownKey)
}

func TestAssertionIsNewEachTime(t *testing.T) {
	id := asserting(t, nil, ed(t))
	u := fullUser(t)
	first := assertionOf(t, id, u)
	if first == assertionOf(t, id, u) {
		t.Error("two requests have the same assertion")
	}
}

// An assertion expires no later than its access token. There is no assertion for an access token
// that has expired.
func TestAssertionEndsWithToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		id := asserting(t, func(c *identity.AssertionConfig) { c.Lifetime = 5 * time.Minute }, p256(t))
		v := newVerifier(t, id, nil)
		for left, want := range map[time.Duration]time.Duration{
			time.Hour: 5 * time.Minute, 90 * time.Second: 90 * time.Second, time.Second: time.Second,
		} {
			u := newUser(t, map[string]any{"sub": "1", "client_id": "app", "scope": "x", "exp": time.Now().Add(left).Unix()})
			got, err := v.Validate(t.Context(), assertionOf(t, id, u))
			if err != nil {
				t.Fatal(err)
			}
			if d := time.Until(got.ExpiresAt()); d != want {
				t.Errorf("with %v left it is valid for %v, want %v", left, d, want)
			}
		}
		for _, left := range []time.Duration{0, -20 * time.Second} {
			u := newUser(t, map[string]any{"sub": "1", "client_id": "app", "exp": time.Now().Add(left).Unix()})
			h := http.Header{}
			wantReason(t, id.Set(h, u), xenaauth.ReasonExpired)
			if h.Get("X-Auth-Assertion") != "" {
				t.Error("an assertion is made for an expired token")
			}
		}
		// An access token that is introspected may have no exp.
		u := newUser(t, map[string]any{"sub": "1", "client_id": "app", "scope": "x"})
		if _, err := v.Validate(t.Context(), assertionOf(t, id, u)); err != nil {
			t.Error(err)
		}
	})
}

// If a client acts for itself, the assertion contains no sub, because there is no user.
func TestAssertionOfClient(t *testing.T) {
	id := asserting(t, nil, p256(t))
	token := assertionOf(t, id, newUser(t, map[string]any{"client_id": "app", "scope": "testapi"}))
	_, err := newVerifier(t, id, nil).Validate(t.Context(), token)
	wantReason(t, err, xenaauth.ReasonSubject)
	u, err := newVerifier(t, id, func(c *xenaauth.Config) { c.AllowClientTokens = true }).Validate(t.Context(), token)
	if err != nil || u.Subject() != "" || u.ClientID() != "app" {
		t.Errorf("%v, %v", u, err)
	}
}

// If the access token names no client, the assertion contains no client_id. By default, a service
// refuses such an assertion. It accepts the assertion if the setting Config.ClientClaims contains
// token_iss: then the claim token_iss names the client.
func TestAssertionWithoutClient(t *testing.T) {
	id := asserting(t, nil, p256(t))
	token := assertionOf(t, id, newUser(t, map[string]any{
		"iss": "https://login.xena.biz", "sub": "104711", "scope": "testapi",
	}))
	_, err := newVerifier(t, id, nil).Validate(t.Context(), token)
	wantReason(t, err, xenaauth.ReasonClaims)
	v := newVerifier(t, id, func(c *xenaauth.Config) { c.ClientClaims = []string{"client_id", "token_iss"} })
	u, err := v.Validate(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	if u.Subject() != "104711" || u.ClientID() != "https://login.xena.biz" {
		t.Errorf("user %q of client %q", u.Subject(), u.ClientID())
	}
	var client any
	if err := u.Claim("client_id", &client); !errors.Is(err, xenaauth.ErrNoClaim) {
		t.Errorf("client_id %v, error %v", client, err)
	}
	u, err = v.Validate(t.Context(), assertionOf(t, id, fullUser(t)))
	if err != nil || u.ClientID() != "app" {
		t.Errorf("%v, %v", u, err)
	}
}

func TestAssertionReplacesHeaders(t *testing.T) {
	u := newUser(t, map[string]any{"sub": "104711", "client_id": "app", "scope": "testapi"})
	for _, both := range []bool{false, true} {
		id := newIdentity(t, identity.Config{
			ClaimHeaders: map[string]string{"X-Auth-Session": "sid"},
			Assertion: &identity.AssertionConfig{Header: "x-gateway", Issuer: gateway, Audience: service,
				Keys: []crypto.Signer{p256(t)}, WithHeaders: both},
		})
		h := http.Header{"X-Auth-User": {"root"}, "X_gateway": {"forged"}}
		if err := id.Set(h, u); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{"X-Auth-User": "", "X-Auth-Client": "", "X-Auth-Scopes": "", "X-Auth-Issuer": "",
			"X-Auth-Session": "",
			"X-Gateway":      h.Get("X-Gateway")}
		if both {
			want["X-Auth-User"], want["X-Auth-Client"], want["X-Auth-Scopes"] = "104711", "app", "testapi"
		}
		wantFields(t, h, want)
		if _, err := newVerifier(t, id, nil).Validate(t.Context(), h.Get("X-Gateway")); err != nil {
			t.Error(err)
		}
		if err := id.Set(h, nil); err != nil || h.Get("X-Gateway") != "" {
			t.Errorf("%q for nobody, %v", h.Get("X-Gateway"), err)
		}
	}
}

func TestAssertionTellsMistakes(t *testing.T) {
	for part, change := range map[string]func(*identity.AssertionConfig){
		"Issuer":    func(c *identity.AssertionConfig) { c.Issuer = "" },
		"Audience":  func(c *identity.AssertionConfig) { c.Audience = "" },
		"Lifetime":  func(c *identity.AssertionConfig) { c.Lifetime = 5*time.Minute + 1 },
		"lifetime":  func(c *identity.AssertionConfig) { c.Lifetime = -time.Minute },
		"Claims":    func(c *identity.AssertionConfig) { c.Claims = []string{"a", "A"} },
		`token_iss`: func(c *identity.AssertionConfig) { c.Claims = []string{"token_iss"} },
		`"iss"`:     func(c *identity.AssertionConfig) { c.Claims = []string{"iss"} },
		`"Sub"`:     func(c *identity.AssertionConfig) { c.Claims = []string{"Sub"} },
		`"nonce"`:   func(c *identity.AssertionConfig) { c.Claims = []string{"nonce"} },
		`""`:        func(c *identity.AssertionConfig) { c.Claims = []string{""} },
		"Header":    func(c *identity.AssertionConfig) { c.Header = "Authorization" },
		"another":   func(c *identity.AssertionConfig) { c.Header = "x-auth-user" },
	} {
		cfg := identity.AssertionConfig{Issuer: gateway, Audience: service, Keys: []crypto.Signer{p256(t)}}
		change(&cfg)
		_, err := identity.New(identity.Config{Assertion: &cfg})
		if err == nil || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(part)) {
			t.Errorf("%s: error %v", part, err)
		}
	}
}

func TestConfigShowsNoKey(t *testing.T) {
	key := p256(t)
	cfg := identity.AssertionConfig{Issuer: gateway, Audience: service, Keys: []crypto.Signer{key}}
	whole := identity.Config{Assertion: &cfg}
	secret, err := key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	// The format %v prints a private key as a decimal number. privateNumber is this number as text.
	privateNumber := new(big.Int).SetBytes(secret).String()
	for _, text := range []string{
		fmt.Sprint(cfg), fmt.Sprintf("%+v", cfg), fmt.Sprintf("%#v", cfg), toJSON(t, cfg), toJSON(t, whole),
		fmt.Sprintf("%+v %#v", whole, whole), fmt.Sprint(cfg.LogValue()),
	} {
		if strings.Contains(text, privateNumber) || strings.Contains(text, fmt.Sprintf("%x", secret)) {
			t.Error(text)
		}
	}
}
