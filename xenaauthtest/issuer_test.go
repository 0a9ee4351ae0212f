package xenaauthtest_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

var versions = []xenaauthtest.Version{
	xenaauthtest.IdentityServer4,
	xenaauthtest.IdentityServer3,
	xenaauthtest.IdentityServer4v1,
	xenaauthtest.IdentityServer4v3,
	xenaauthtest.Duende,
}

const resources = "https://login.xena.biz/resources"

type object = map[string]any

// fastIssuer returns an issuer with ES256 keys, which are made in less time than RSA keys.
func fastIssuer(version xenaauthtest.Version) *xenaauthtest.Issuer {
	return xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{Version: version, Algorithm: "ES256"})
}

func decode(t *testing.T, token string) (header, claims object) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%q has %d parts, want 3", token, len(parts))
	}
	for n, into := range []*object{&header, &claims} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[n])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(raw, into); err != nil {
			t.Fatal(err)
		}
	}
	return header, claims
}

func get(t *testing.T, client *http.Client, url string) (*http.Response, []byte) {
	t.Helper()
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, body
}

func metadata(t *testing.T, i *xenaauthtest.Issuer) object {
	t.Helper()
	resp, body := get(t, i.Client(), strings.TrimSuffix(i.URL(), "/")+"/.well-known/openid-configuration")
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("metadata: status %d", resp.StatusCode)
	}
	var doc object
	if err := json.Unmarshal(body, &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

func keySet(t *testing.T, i *xenaauthtest.Issuer) []map[string]string {
	t.Helper()
	_, body := get(t, i.Client(), metadata(t, i)["jwks_uri"].(string))
	var set struct{ Keys []map[string]string }
	if err := json.Unmarshal(body, &set); err != nil {
		t.Fatal(err)
	}
	return set.Keys
}

// introspectToken asks the introspection endpoint of the test issuer about a token. The name and
// the secret of the API are in the form.
func introspectToken(t *testing.T, i *xenaauthtest.Issuer, token string) (*http.Response, string) {
	t.Helper()
	return post(t, i, nil, url.Values{
		"token": {token}, "client_id": {i.API()}, "client_secret": {i.APISecret()},
	})
}

func post(t *testing.T, i *xenaauthtest.Issuer, header http.Header, form url.Values) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, i.URL()+"/connect/introspect", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for name, values := range header {
		req.Header[name] = values
	}
	resp, err := i.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func active(t *testing.T, i *xenaauthtest.Issuer, token string) object {
	t.Helper()
	resp, body := introspectToken(t, i, token)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("introspection: status %d", resp.StatusCode)
	}
	var answer object
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatal(err)
	}
	if answer["active"] != true {
		t.Fatalf("introspection: %s, want an active token", body)
	}
	return answer
}

func wantInactive(t *testing.T, i *xenaauthtest.Issuer, what, token string) {
	t.Helper()
	resp, body := introspectToken(t, i, token)
	if resp.StatusCode != http.StatusOK || body != `{"active":false}` {
		t.Errorf("introspection of %s: %d %s", what, resp.StatusCode, body)
	}
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: %#v, want %#v", what, got, want)
	}
}

// The comment of NewIssuer says that each issuer has keys of its own, and that all issuers have the
// same URL. So a validator of one issuer refuses the tokens of another.
func TestTokenOfAnotherIssuer(t *testing.T) {
	first, second := xenaauthtest.NewIssuer(nil), xenaauthtest.NewIssuer(nil)
	equal(t, "URL", second.URL(), first.URL())
	v, err := xenaauth.NewValidator(first.Config())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Validate(t.Context(), first.JWT(xenaauthtest.Token{})); err != nil {
		t.Errorf("a token of the same issuer: %v", err)
	}
	_, err = v.Validate(t.Context(), second.JWT(xenaauthtest.Token{}))
	if e, _ := errors.AsType[*xenaauth.Error](err); e == nil || e.Reason != xenaauth.ReasonUnknownKey {
		t.Errorf("a token of another issuer: %v", err)
	}
}

func TestStartIssuer(t *testing.T) {
	i := xenaauthtest.StartIssuer(&xenaauthtest.IssuerOptions{URL: "https://login.example/id", Algorithm: "ES256"})
	defer i.Close()
	_, body := get(t, http.DefaultClient, i.Addr()+"/id/.well-known/openid-configuration")
	var doc object
	if err := json.Unmarshal(body, &doc); err != nil {
		t.Fatal(err)
	}
	equal(t, "issuer", doc["issuer"], "https://login.example/id")
	equal(t, "jwks_uri", doc["jwks_uri"], i.Addr()+"/id/.well-known/openid-configuration/jwks")
	get(t, i.Client(), doc["jwks_uri"].(string))
	if i.Config().HTTPClient == nil {
		t.Error("a client is needed to reach a listener under another URL")
	}

	own := xenaauthtest.StartIssuer(nil)
	defer own.Close()
	cfg := own.HybridConfig()
	if own.URL() != own.Addr() || cfg.HTTPClient != nil || cfg.Issuer != own.URL() {
		t.Errorf("URL %q, address %q, configuration %+v", own.URL(), own.Addr(), cfg)
	}
	equal(t, "audiences", cfg.Audiences, []string{"testapi"})
	equal(t, "audiences of IdentityServer3", fastIssuer(xenaauthtest.IdentityServer3).Config().Audiences, []string{"testapi", resources})
	equal(t, "client id", cfg.Introspection.ClientID, "testapi")
	equal(t, "client secret", cfg.Introspection.ClientSecret, own.APISecret())
}

func TestConcurrentUse(t *testing.T) {
	i := fastIssuer(0)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 5 {
				token := i.JWT(xenaauthtest.Token{})
				active(t, i, token)
				i.Rotate()
				keySet(t, i)
				i.Retire()
				i.Slow(time.Microsecond)
				i.Heal()
				i.Revoke(token)
				i.LastIntrospection()
				i.ResetCalls()
			}
		})
	}
	group.Wait()
}

func TestProgrammerErrors(t *testing.T) {
	for name, opts := range map[string]xenaauthtest.IssuerOptions{
		"algorithm": {Algorithm: "HS256"},
		"version":   {Version: 9},
		"URL":       {URL: "login.xena.biz"},
	} {
		func() {
			defer func() {
				if message, _ := recover().(string); !strings.HasPrefix(message, "xenaauthtest: ") {
					t.Errorf("%s: panic %q", name, message)
				}
			}()
			xenaauthtest.NewIssuer(&opts)
		}()
	}
}
