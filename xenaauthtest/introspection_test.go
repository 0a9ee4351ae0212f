package xenaauthtest_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"regexp"
	"testing"
	"time"

	"github.com/xenaauth/xenaauth/xenaauthtest"
)

func TestIntrospectionAnswers(t *testing.T) {
	for _, version := range versions {
		t.Run(version.String(), func(t *testing.T) {
			i := fastIssuer(version)
			for kind, mint := range map[string]func(xenaauthtest.Token) string{"JWT": i.JWT, "opaque token": i.Opaque} {
				token := mint(xenaauthtest.Token{Claims: object{"role": []string{"a", "b"}, "one": []string{"a"}}})
				answer := active(t, i, token)
				equal(t, "sub", answer["sub"], "104711")
				equal(t, "role", answer["role"], []any{"a", "b"})
				equal(t, "one", answer["one"], "a")
				if _, ok := answer["amr"].(string); !ok {
					t.Errorf("amr of %s: %#v, want a string", kind, answer["amr"])
				}
				if version == xenaauthtest.IdentityServer3 {
					equal(t, "scope", answer["scope"], []any{"openid", "profile", "testapi", "offline_access"})
					for _, name := range []string{"exp", "nbf", "auth_time"} {
						if s, ok := answer[name].(string); !ok || !regexp.MustCompile(`^\d+$`).MatchString(s) {
							t.Errorf("%s of %s: %#v, want digits", name, kind, answer[name])
						}
					}
				} else {
					equal(t, "scope", answer["scope"], "testapi")
					if _, ok := answer["exp"].(float64); !ok {
						t.Errorf("exp of %s: %#v, want a number", kind, answer["exp"])
					}
				}
				machine := active(t, i, mint(xenaauthtest.Token{Machine: true, Scopes: []string{"read", "email"}}))
				if machine["sub"] != nil || machine["amr"] != nil {
					t.Errorf("machine %s: %v", kind, machine)
				}

				wantInactive(t, i, "expired "+kind, mint(xenaauthtest.Token{Lifetime: -time.Second}))
				wantInactive(t, i, kind+" for another API", mint(xenaauthtest.Token{
					Scopes: []string{"openid", "email"}, Claims: map[string]any{"aud": nil},
				}))
				i.Revoke(token)
				wantInactive(t, i, "revoked "+kind, token)
			}
			claims := i.Claims(xenaauthtest.Token{})
			signed := i.Sign(i.Header(), claims)
			equal(t, "iss", active(t, i, signed)["iss"], i.URL())
			wantInactive(t, i, "unknown token", "unknown")
			wantInactive(t, i, "foreign token", fastIssuer(version).JWT(xenaauthtest.Token{}))
		})
	}
}

func TestIntrospectionHeader(t *testing.T) {
	i := fastIssuer(xenaauthtest.IdentityServer4)
	resp, _ := introspectToken(t, i, "unknown")
	equal(t, "header", resp.Header, http.Header{
		"Content-Type":  {"application/json; charset=UTF-8"},
		"Cache-Control": {"no-store, no-cache, max-age=0"},
		"Pragma":        {"no-cache"},
	})
}

func TestIntrospectionRefusals(t *testing.T) {
	i := xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{API: "my api", APISecret: "a+b%2F:ü"})
	basic := func(id, secret string) http.Header {
		return http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))}}
	}
	encoded := basic(url.QueryEscape(i.API()), url.QueryEscape(i.APISecret()))
	good := url.Values{"token": {"x"}, "client_id": {i.API()}, "client_secret": {i.APISecret()}}
	for _, test := range []struct {
		name   string
		header http.Header
		form   url.Values
		status int
		body   string
	}{
		{"form", nil, good, 200, `{"active":false}`},
		{"Basic", encoded, url.Values{"token": {"x"}}, 200, `{"active":false}`},
		{"Basic, not encoded", basic(i.API(), i.APISecret()), url.Values{"token": {"x"}}, 401, ""},
		{"Basic, bad encoding", basic("my+api", "%zz"), url.Values{"token": {"x"}}, 401, ""},
		{"wrong Basic beside a good form", basic("my+api", "x"), good, 401, ""},
		{"other scheme", http.Header{"Authorization": {"Bearer x"}}, good, 401, ""},
		{"wrong secret", nil, url.Values{"token": {"x"}, "client_id": {i.API()}, "client_secret": {"x"}}, 401, ""},
		{"no credentials", nil, url.Values{"token": {"x"}}, 401, ""},
		{"no token", encoded, nil, 400, `{"error":"missing_token"}`},
		{"media type", http.Header{"Content-Type": {"application/json"}}, good, 415, ""},
	} {
		resp, body := post(t, i, test.header, test.form)
		if resp.StatusCode != test.status || body != test.body {
			t.Errorf("%s: %d %q, want %d %q", test.name, resp.StatusCode, body, test.status, test.body)
		}
		if resp.Header.Get("WWW-Authenticate") != "" {
			t.Errorf("%s: has a challenge", test.name)
		}
	}
	resp, _ := get(t, i.Client(), i.URL()+"/connect/introspect?token=x")
	equal(t, "status of GET", resp.StatusCode, http.StatusMethodNotAllowed)
}

func TestLastIntrospection(t *testing.T) {
	i := fastIssuer(xenaauthtest.IdentityServer4)
	if header, form := i.LastIntrospection(); header != nil || form != nil {
		t.Errorf("before the first request: %v, %v", header, form)
	}
	want := url.Values{"token": {"x"}, "token_type_hint": {"access_token"}}
	post(t, i, http.Header{"X-Test": {"1"}}, want)
	header, form := i.LastIntrospection()
	equal(t, "form", form, want)
	equal(t, "header", header.Get("X-Test"), "1")
}
