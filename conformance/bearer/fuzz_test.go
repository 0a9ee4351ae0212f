package bearer_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/gateway/routes"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// A fuzz input on disk cannot contain a valid token, because each run of the test makes new keys.
// So the input contains placeholder words, such as GOOD-JWT and GOOD-OPAQUE. The test replaces each
// placeholder by a new token.
const (
	wordJWT    = "GOOD-JWT"
	wordOpaque = "GOOD-OPAQUE"
)

// FuzzMiddleware sends arbitrary requests to guards of every kind. The handler behind a guard may
// get a request with a user only if the request has one of two valid tokens with the scope testapi.
// Behind the guards that do not always require a scope, the request may also have a valid token
// with another scope. The handler may get a request without a user only if the guard allows
// requests without a user. Every other response must be a refusal with the header fields and body
// of its status, and must not contain the credentials.
func FuzzMiddleware(f *testing.F) {
	issuer := harness.NewIssuer()
	cfg := issuer.HybridConfig()
	cfg.Logger = harness.NoLog
	v, err := xenaauth.NewValidator(cfg)
	require.NoError(f, err)
	words := strings.NewReplacer(
		wordJWT, issuer.JWT(xenaauthtest.Token{}), wordOpaque, issuer.Opaque(xenaauthtest.Token{}),
		"OTHER-SCOPE", issuer.JWT(xenaauthtest.Token{Scopes: []string{"profile"}}),
		"OTHER-API", issuer.JWT(xenaauthtest.Token{Claims: map[string]any{"aud": "other"}}),
	)
	m := xenaauth.NewMiddleware(v, nil)
	var user *xenaauth.User
	reached := false
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reached = true
		user, _ = xenaauth.UserFromContext(r.Context())
	})
	table, err := routes.New([]routes.Rule{
		{Pattern: "/", Access: routes.Require(xenaauth.AllScopes(xenaauth.ScopeTestAPI))}, {Pattern: "/public/", Access: routes.Public()},
		{Pattern: "/maybe/", Access: routes.Optional()}, {Pattern: "/never/", Access: routes.Deny()},
	}, nil)
	require.NoError(f, err)
	guards := []struct {
		handler   http.Handler
		anonymous bool // anonymous says whether the guard lets requests without a user pass
		scoped    bool // scoped says whether the guard requires the scope testapi
	}{
		{m.Require(xenaauth.AllScopes(xenaauth.ScopeTestAPI))(handler), false, true},
		{m.Require(xenaauth.AnyOf(xenaauth.AllScopes("a", "b"), xenaauth.AnyScope(xenaauth.ScopeTestAPI, "c")))(handler), false, true},
		{m.Require(xenaauth.AnyUser())(handler), false, false},
		{m.Optional(handler), true, false},
		// this guard has a rule for each path: see below
		{handler: routes.NewGuard(m, table.Find).Handler(handler)},
	}

	f.Add("GET", "/", "Bearer "+wordJWT, "", "Accept", "text/html")
	f.Add("GET", "/a", "Bearer "+wordOpaque, "", "X-Http-Method-Override", "DELETE")
	f.Add("HEAD", "/a?access_token=x", "bearer "+wordJWT, "", "Cookie", "access_token="+wordJWT)
	f.Add("POST", "/maybe/x", "Basic "+wordJWT, "", "Proxy-Authorization", "Bearer "+wordJWT)
	f.Add("OPTIONS", "*", "", "", "Origin", "https://a.example")
	f.Add("get", "/public/../never/%2e", "Bearer "+wordJWT, "Bearer "+wordJWT, "X-Forwarded-Uri", "/public/")
	f.Add("CONNECT", "a:1", "Bearer OTHER-SCOPE", "", "Authorization ", "Bearer "+wordJWT)
	f.Add("GET", "/a", "Bearer OTHER-SCOPE", "", "", "")
	f.Add("GET", "/maybe/a", "Bearer OTHER-SCOPE", "", "", "")
	f.Add("GET", "/a", "", "", "", "")
	f.Add("GET", "/public/a", "", "", "", "")
	f.Add("PUT", "http://b/maybe/", "Bearer OTHER-API", "", "authorization", "Bearer "+wordJWT)
	f.Add("GET", "/never/", "Bearer e30.e30.e30", "", "", "")
	f.Add("GET", "/", "Bearer "+harness.Base64(`{"alg":"ES256"}`)+".e30.AA==", "", "", "")
	f.Fuzz(func(t *testing.T, method, target, first, second, name, value string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			u = &url.URL{Path: target}
		}
		first, second = words.Replace(first), words.Replace(second)
		header := http.Header{name: {words.Replace(value)}, "Authorization": {first}}
		if second != "" {
			header.Add("Authorization", second)
		}
		if first == "" && second == "" {
			delete(header, "Authorization")
		}
		_, credentials, _ := strings.Cut(first, " ")
		credentials = strings.TrimLeft(credentials, " ")
		good := len(header["Authorization"]) == 1 && len(first) > 7 && strings.EqualFold(first[:7], "Bearer ") &&
			(credentials == words.Replace(wordJWT) || credentials == words.Replace(wordOpaque))
		for i, g := range guards {
			user, reached = nil, false
			w := httptest.NewRecorder()
			r := (&http.Request{
				Method: method, URL: u, RequestURI: target, Host: "api.example", Header: header.Clone(), Body: http.NoBody,
				Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			}).WithContext(t.Context())
			g.handler.ServeHTTP(w, r)
			if !reached {
				if w.Code == 405 {
					continue
				}
				require.False(t, good && i < 4, "guard %d refuses a good token with %d", i, w.Code)
				if len(w.Result().Header["Www-Authenticate"]) == 0 && w.Code == 403 {
					require.Equal(t, 4, i, "only a guard with a table refuses without a challenge")
					w.Result().Header.Set("WWW-Authenticate", `Bearer realm="xena"`)
				}
				if method == http.MethodHead {
					require.Empty(t, w.Body.String())
				}
				requireRefusal(t, w.Code, w.Result().Header, w.Body.String(), first, second, credentials, value)
				continue
			}
			require.Equal(t, 200, w.Code)
			if i == 4 {
				optional := strings.HasPrefix(u.Path, "/maybe/")
				g.anonymous, g.scoped = optional || strings.HasPrefix(u.Path, "/public/"), !optional
			}
			if user == nil {
				require.True(t, g.anonymous, "guard %d lets a stranger pass", i)
				continue
			}
			known := good || !g.scoped && credentials == words.Replace("OTHER-SCOPE") && len(header["Authorization"]) == 1
			require.True(t, known, "guard %d lets %q pass", i, first)
		}
	})
}

// requireRefusal requires that a response is a refusal: it has the header fields and the body that
// belong to its status, and it contains none of the given secrets. Secrets of less than 16 bytes
// are ignored.
func requireRefusal(t testing.TB, status int, header http.Header, body string, secrets ...string) {
	t.Helper()
	require.Contains(t, []int{400, 401, 403, 503}, status)
	require.Equal(t, []string{"no-store"}, header["Cache-Control"])
	if status == 503 {
		require.Empty(t, header["Www-Authenticate"])
		wait, err := strconv.Atoi(header.Get("Retry-After"))
		require.NoError(t, err)
		require.True(t, wait >= 1 && wait <= 60, "Retry-After %d", wait)
	} else {
		require.Empty(t, header["Retry-After"])
		require.Len(t, header["Www-Authenticate"], 1)
		require.Regexp(t, `^Bearer realm="xena"(, [a-z_]+="[ -!#-\[\]-~]*")*$`, header.Get("WWW-Authenticate"))
	}
	if body != "" {
		var told struct {
			Status int
			Reason xenaauth.Reason
		}
		require.NoError(t, json.Unmarshal([]byte(body), &told))
		require.Equal(t, status, told.Status)
		require.NotEmpty(t, told.Reason)
	}
	var all bytes.Buffer
	require.NoError(t, header.Write(&all))
	for _, secret := range secrets {
		if len(secret) >= 16 {
			require.NotContains(t, body+all.String(), secret)
		}
	}
}
