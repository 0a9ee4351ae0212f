package bearer_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

func TestB1_SchemeCaseInsensitive(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	a := harness.Serve(t, issuer.Config())
	token := issuer.JWT(xenaauthtest.Token{})
	for _, before := range []string{"Bearer ", "bearer ", "BEARER ", "bEaReR ", "Bearer  ", "Bearer        "} {
		r := a.Request(t, http.MethodGet)
		r.Header.Set("Authorization", before+token)
		got := a.Do(t, r)
		require.Equal(t, 200, got.Status, "%q: %s", before, got.Body)
		require.Equal(t, "hello, 104711", got.Body)
	}
}

func TestB1_EveryCharacterOfTheGrammar(t *testing.T) {
	t.Parallel()
	const all = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/=="
	seen := ""
	a := harness.Guard(harness.ValidatorFunc(func(_ context.Context, token string) (*xenaauth.User, error) {
		seen = token
		return xenaauth.NewUser(map[string]any{"sub": "u", "client_id": "c", "scope": "testapi"})
	}))
	require.Equal(t, 200, a.Get(t, all).Status)
	require.Equal(t, all, seen)
}

func TestB2_NoCredentials(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	for _, c := range []struct {
		name, scope string
		rs          []xenaauth.Requirement
	}{
		{"a user", "", []xenaauth.Requirement{xenaauth.AnyUser()}},
		{"a scope", "testapi", []xenaauth.Requirement{xenaauth.AllScopes("testapi")}},
		{"two scopes", "testapi profile", []xenaauth.Requirement{xenaauth.AllScopes("testapi", "profile")}},
		{"one of two", "testapi", []xenaauth.Requirement{xenaauth.AnyScope("testapi", "profile")}},
		{"a group's and a route's", "testapi email", []xenaauth.Requirement{xenaauth.AllScopes("testapi"), xenaauth.AllScopes("email")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a := harness.Serve(t, issuer.Config(), c.rs...)
			got := a.Do(t, a.Request(t, http.MethodGet))
			got.IsRefusalWithScope(t, xenaauth.ReasonMissingToken, c.scope)
			require.NotContains(t, got.Header.Get("WWW-Authenticate"), "error")
		})
	}
	t.Run("optional", func(t *testing.T) {
		t.Parallel()
		v, err := xenaauth.NewValidator(issuer.Config())
		require.NoError(t, err)
		a := &harness.API{Validator: v, Handler: xenaauth.NewMiddleware(v, nil).Optional(http.HandlerFunc(harness.Hello))}
		a.Server = httptest.NewServer(a.Handler)
		defer a.Server.Close()
		got := a.Do(t, a.Request(t, http.MethodGet))
		require.Equal(t, "hello, stranger", got.Body)
		require.Contains(t, got.Header.Values("Vary"), "Authorization")
		require.Equal(t, "hello, 104711", a.Get(t, issuer.JWT(xenaauthtest.Token{})).Body)
		a.Get(t, issuer.JWT(xenaauthtest.Token{Lifetime: -60e9})).IsRefusalWithScope(t, xenaauth.ReasonExpired, "")
		a.Get(t, "").IsRefusalWithScope(t, xenaauth.ReasonMalformedRequest, "")
	})
}

func TestB3_MalformedCredentials(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	a := harness.Serve(t, issuer.Config())
	token := issuer.JWT(xenaauthtest.Token{})
	for _, field := range []string{
		"", "Bearer", "Bearer ", "Bearer =", "Bearer ==", "Bearer\t" + token, "Bearer \t" + token,
		"Bearer " + token + " " + token, "Bearer " + token + "," + token, "Bearer " + token + ", Bearer " + token,
		"Bearer " + token + ", Basic dTpw", "Bearer " + token + ";", `Bearer "` + token + `"`, "Bearer token=" + token,
		"Bearer " + token + "=x", "Bearer " + token + "\u00e9", "Bearer " + token + "\xff", "Bearer " + token + "%20",
		"Bearer:" + token, "Bearer," + token, "(" + token + ")", "Be arer " + token, "Bearer ," + token,
		"Bearer " + strings.Repeat("a", xenaauth.DefaultMaxTokenLength+1),
	} {
		got := field
		t.Run("", func(t *testing.T) {
			r := a.Request(t, http.MethodGet)
			r.Header["Authorization"] = []string{got}
			answer := a.Do(t, r)
			if strings.HasPrefix(got, "Be ") {
				// In the grammar of RFC 9110 "Be" is a complete scheme name. So the field contains
				// credentials of the scheme Be and no Bearer token.
				answer.IsRefusal(t, xenaauth.ReasonMissingToken)
				return
			}
			answer.IsRefusal(t, xenaauth.ReasonMalformedRequest)
		})
	}
	t.Run("several fields", func(t *testing.T) {
		for _, fields := range [][]string{
			{"Bearer " + token, "Bearer " + token},
			{"Bearer " + token, "Basic dTpw"},
			{"Basic dTpw", "Bearer " + token},
			{"Bearer " + token, ""},
		} {
			r := a.Request(t, http.MethodGet)
			r.Header["Authorization"] = fields
			a.Do(t, r).IsRefusal(t, xenaauth.ReasonMalformedRequest)
		}
	})
	// The server of net/http removes white space around the value of a field, but another server
	// may keep the white space.
	t.Run("white space in memory", func(t *testing.T) {
		for _, field := range []string{"Bearer " + token + " ", "Bearer " + token + "\t", " Bearer " + token, "Bearer " + token + "\r\n"} {
			r := a.Request(t, http.MethodGet)
			r.Header["Authorization"] = []string{field}
			w := httptest.NewRecorder()
			a.Handler.ServeHTTP(w, r)
			require.Equal(t, 400, w.Code, "%q", field)
		}
	})
}

func TestB4_QueryAndFormAreNotRead(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	a := harness.Serve(t, issuer.Config())
	token := issuer.JWT(xenaauthtest.Token{})
	send := func(query, form string, header bool) *harness.Response {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, a.Server.URL+"/?"+query, strings.NewReader(form))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Cookie", "access_token="+token)
		if header {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		return a.Do(t, r)
	}
	q := url.Values{"access_token": {token}}.Encode()
	send(q, "", false).IsRefusal(t, xenaauth.ReasonMissingToken)
	send("", q, false).IsRefusal(t, xenaauth.ReasonMissingToken)
	send(q, q, false).IsRefusal(t, xenaauth.ReasonMissingToken)
}

// If a request has an Authorization field, a query parameter access_token is ignored (OAuth 2.1,
// section 5.1), because an API may use a parameter of that name for another purpose.
func TestB4_QueryBesideTheField(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	a := harness.Serve(t, issuer.Config())
	token := issuer.JWT(xenaauthtest.Token{})
	r := a.Request(t, http.MethodGet)
	r.URL.RawQuery = url.Values{"access_token": {token}}.Encode()
	r.Header.Set("Authorization", "Bearer "+token)
	require.Equal(t, 200, a.Do(t, r).Status)
	r = a.Request(t, http.MethodGet)
	r.URL.RawQuery = url.Values{"access_token": {token}}.Encode()
	r.Header.Set("Authorization", "Bearer nonsense")
	a.Do(t, r).IsRefusal(t, xenaauth.ReasonMalformedToken)
}

func TestB5_OtherSchemes(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	a := harness.Serve(t, issuer.Config())
	token := issuer.JWT(xenaauthtest.Token{})
	for _, field := range []string{
		"Basic dTpw", "Negotiate YWJj", `Digest username="u", realm="r"`, "Basic", "DPoP " + token, "Bearers " + token,
		"Bearer2 " + token, "Bear " + token, "Token " + token, token,
	} {
		r := a.Request(t, http.MethodGet)
		r.Header.Set("Authorization", field)
		a.Do(t, r).IsRefusal(t, xenaauth.ReasonMissingToken)
	}
	t.Run("the retired key field", func(t *testing.T) {
		r := a.Request(t, http.MethodGet)
		r.Header.Set("XenaApiKey", token)
		r.Header.Set("Proxy-Authorization", "Bearer "+token)
		a.Do(t, r).IsRefusal(t, xenaauth.ReasonMissingToken)
	})
}

func TestB6_BadTokens(t *testing.T) {
	t.Parallel()
	issuer, other := harness.NewIssuer(), xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256", URL: "https://login.example"})
	a := harness.Serve(t, issuer.HybridConfig())
	token := issuer.JWT(xenaauthtest.Token{})
	opaque := issuer.Opaque(xenaauthtest.Token{})
	issuer.Revoke(opaque)
	for name, c := range map[string]struct {
		token  string
		reason xenaauth.Reason
	}{
		"expired":        {issuer.JWT(xenaauthtest.Token{Lifetime: -60e9}), xenaauth.ReasonExpired},
		"revoked":        {opaque, xenaauth.ReasonInactive},
		"malformed":      {"eyJ.e30.", xenaauth.ReasonMalformedToken},
		"other issuer":   {other.JWT(xenaauthtest.Token{}), xenaauth.ReasonIssuer},
		"other audience": {issuer.JWT(xenaauthtest.Token{Claims: map[string]any{"aud": "otherapi"}}), xenaauth.ReasonAudience},
		"bad signature":  {token[:len(token)-8] + "AAAAAAAA", xenaauth.ReasonSignature},
	} {
		t.Run(name, func(t *testing.T) {
			a.Refuses(t, c.token, c.reason)
			// The middleware makes the first refusal. It reads the second refusal from its cache of
			// refusals.
			a.Refuses(t, c.token, c.reason)
		})
	}
}

func TestB7_ScopeMissing(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	for _, c := range []struct {
		name, scope string
		has         []string
		rs          []xenaauth.Requirement
	}{
		{"none", "testapi", []string{}, []xenaauth.Requirement{xenaauth.AllScopes("testapi")}},
		{"another", "testapi", []string{"email"}, []xenaauth.Requirement{xenaauth.AllScopes("testapi")}},
		{"case", "testapi", []string{"TestAPI"}, []xenaauth.Requirement{xenaauth.AllScopes("testapi")}},
		{"prefix", "testapi", []string{"testap", "testapi2", "testapi.read"}, []xenaauth.Requirement{xenaauth.AllScopes("testapi")}},
		{"inside an array element", "testapi", []string{"email testapi"}, []xenaauth.Requirement{xenaauth.AllScopes("testapi")}},
		{"one of two", "testapi email", []string{"testapi"}, []xenaauth.Requirement{xenaauth.AllScopes("testapi", "email")}},
		{"the other of two", "testapi email", []string{"email"}, []xenaauth.Requirement{xenaauth.AllScopes("testapi", "email")}},
		{"none of two", "testapi", []string{"profile"}, []xenaauth.Requirement{xenaauth.AnyScope("testapi", "email")}},
		{"the route's own", "testapi email", []string{"testapi"}, []xenaauth.Requirement{xenaauth.AllScopes("testapi"), xenaauth.AllScopes("email")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cfg := issuer.Config()
			cfg.Audiences = append(cfg.Audiences, issuer.URL()+"/resources")
			a := harness.Serve(t, cfg, c.rs...)
			a.Get(t, issuer.JWT(xenaauthtest.Token{Scopes: c.has})).IsRefusalWithScope(t, xenaauth.ReasonInsufficientScope, c.scope)
		})
	}
	t.Run("tab, newline and the like part nothing", func(t *testing.T) {
		t.Parallel()
		a := harness.Serve(t, issuer.Config())
		for _, scope := range []string{"email\ttestapi", "email\ntestapi", "email\u00a0testapi", "email,testapi", "email+testapi"} {
			a.Refuses(t, issuer.JWT(xenaauthtest.Token{Claims: map[string]any{"scope": scope}}), xenaauth.ReasonInsufficientScope)
		}
		a.Passes(t, issuer.JWT(xenaauthtest.Token{Claims: map[string]any{"scope": "email testapi"}}))
	})
}

func TestB8_ChallengeCharacters(t *testing.T) {
	t.Parallel()
	refusal := &xenaauth.Error{Reason: xenaauth.ReasonInsufficientScope, Scopes: []string{"a\"b", "c\r\nX-Evil: 1", "d\\e", "f\u00e9\x00\x7f"}}
	v := harness.ValidatorFunc(func(context.Context, string) (*xenaauth.User, error) { return nil, refusal })
	a := harness.Guard(v)
	a.Server = httptest.NewServer(a.Handler)
	defer a.Server.Close()
	got := a.Get(t, "abc")
	require.Equal(t, 403, got.Status)
	require.Empty(t, got.Header.Get("X-Evil"))
	require.Len(t, got.Header.Values("WWW-Authenticate"), 1)
	attributes := requireChallenge(t, got.Header.Get("WWW-Authenticate"))
	require.Equal(t, "insufficient_scope", attributes["error"])

	// Each challenge has the scopes in the field Error.Scopes of the refusal. It also has the realm
	// and the metadata URL that are set in the Options.
	for reason := range harness.Refusals {
		m := xenaauth.NewMiddleware(v, &xenaauth.Options{Realm: "the api", ResourceMetadata: "https://api.example/.well-known/oauth-protected-resource"})
		h := make(http.Header)
		status := m.Challenge(h, nil, &xenaauth.Error{Reason: reason, Scopes: []string{"testapi", "email"}})
		require.Equal(t, harness.Refusals[reason].Status, status)
		if status == 503 {
			continue
		}
		attributes := requireChallenge(t, h.Get("WWW-Authenticate"))
		require.Equal(t, "the api", attributes["realm"])
		require.Equal(t, "testapi email", attributes["scope"])
		require.Equal(t, "https://api.example/.well-known/oauth-protected-resource", attributes["resource_metadata"])
	}
	for _, realm := range []string{`a"b`, `a\b`, "a\r\nb", "caf\u00e9"} {
		require.Panics(t, func() { xenaauth.NewMiddleware(v, &xenaauth.Options{Realm: realm}) }, "%q", realm)
	}
}

// requireChallenge parses a Bearer challenge strictly by its grammar and returns its parameters.
func requireChallenge(t *testing.T, field string) map[string]string {
	t.Helper()
	rest, ok := strings.CutPrefix(field, "Bearer ")
	require.True(t, ok, field)
	attributes := make(map[string]string)
	for rest != "" {
		name, after, ok := strings.Cut(rest, `="`)
		require.True(t, ok, field)
		value, after, ok := strings.Cut(after, `"`)
		require.True(t, ok, field)
		require.NotContains(t, attributes, name)
		attributes[name] = value
		for _, c := range []byte(value) {
			require.True(t, c >= 0x20 && c <= 0x7e && c != '"' && c != '\\', "%q", field)
		}
		if rest = after; rest != "" {
			rest, ok = strings.CutPrefix(rest, ", ")
			require.True(t, ok, field)
		}
	}
	return attributes
}

func TestB9_OneChallengeEach(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	a := harness.Mount(t, issuer.Config())
	inner := a.Handler
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// the service itself adds a challenge for the scheme Basic to the response
		w.Header().Add("WWW-Authenticate", `Basic realm="console"`)
		inner.ServeHTTP(w, r)
	}))
	defer a.Server.Close()
	got := a.Do(t, a.Request(t, http.MethodGet))
	require.Equal(t, []string{`Basic realm="console"`, `Bearer realm="xena", scope="testapi"`}, got.Header.Values("WWW-Authenticate"))
}

// If a TokenValidator of the service returns an error that is not an *Error, the response is 503,
// because this error does not say whether the token is valid. The response is also 503 if the
// TokenValidator returns an *Error with an unknown reason, a nil *Error, or neither a user nor an
// error.
func TestB6_ForeignErrorsAreOutages(t *testing.T) {
	t.Parallel()
	for _, err := range []error{errors.New("database is down"), context.Canceled, &xenaauth.Error{Reason: "made up"}, (*xenaauth.Error)(nil), nil} {
		a := harness.Guard(harness.ValidatorFunc(func(context.Context, string) (*xenaauth.User, error) { return nil, err }))
		got := a.Get(t, "abc")
		require.Equal(t, 503, got.Status, "%v", err)
		require.Empty(t, got.Header.Values("WWW-Authenticate"))
		require.NotContains(t, got.Body, "database")
	}
}

// The event of a request reports whether its query contains the parameter access_token, in any
// percent-encoding of the name. The value of the parameter may have an invalid percent-encoding.
func TestEventTellsOfTokenInQuery(t *testing.T) {
	var events []xenaauth.Event
	m := xenaauth.NewMiddleware(new(harness.ScopeValidator), &xenaauth.Options{
		Event: func(_ context.Context, e xenaauth.Event) { events = append(events, e) },
	})
	h := m.Require(xenaauth.AnyUser())(harness.Teapot)
	for query, found := range map[string]bool{
		"": false, "access_token": true, "access_token=": true, "access_token=a": true, "a=b&access_token=c": true,
		"access%5Ftoken=a": true, "%61%63%63%65%73%73%5f%74%6F%6b%65%6e=a": true, "&&access_token": true, "access_token=%zz": true,
		"xaccess_token=a": false, "access_tokens=a": false, "access_toke": false, "a=access_token": false, "ACCESS_TOKEN=a": false,
		"access%5Ftoke%": false, "access%5Ftoken%": false, "access+token=a": false, "a=b?access_token=c": false,
		strings.Repeat("a&", 400_000) + "access_token=b": true,
	} {
		events = nil
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.URL.RawQuery = query
		r.Header.Set("Authorization", "Bearer a")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		require.Equal(t, 418, w.Code, "%.60q", query)
		require.Len(t, events, 1)
		require.Equal(t, found, events[0].TokenInQuery, "%.60q", query)
	}
}
