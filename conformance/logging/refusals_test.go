package logging_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/gateway/routes"
	"github.com/xenaauth/xenaauth/mtls"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// The log line of a refusal says what the library expected and what the token contained.
func TestRefusalLogSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)))
		issuer := xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256"})
		claims := func(name string, value any) string {
			return issuer.JWT(xenaauthtest.Token{Claims: map[string]any{name: value}})
		}
		header := func(name string, value any) string {
			return issuer.JWT(xenaauthtest.Token{Header: map[string]any{name: value}})
		}
		now := time.Now().Unix()
		long := strings.Repeat("x", 500)
		for name, c := range map[string]struct {
			token string
			why   string
		}{
			"issuer": {claims("iss", "https://id.example"),
				`iss is "https://id.example", Config.Issuer is "https://login.xena.biz"`},
			"issuer, slash": {claims("iss", "https://login.xena.biz/"),
				`iss is "https://login.xena.biz/", Config.Issuer is "https://login.xena.biz": only the slash at the end differs`},
			"issuer, case": {claims("iss", "https://Login.Xena.biz"),
				`iss is "https://Login.Xena.biz", Config.Issuer is "https://login.xena.biz": only upper and lower case differ`},
			"issuer, both": {claims("iss", "https://Login.Xena.biz/"),
				`iss is "https://Login.Xena.biz/", Config.Issuer is "https://login.xena.biz": only upper and lower case and the slash at the end differ`},
			"no issuer": {claims("iss", nil), `iss is missing, Config.Issuer is "https://login.xena.biz"`},
			"audience":  {claims("aud", "other"), `aud is "other", Config.Audiences is "testapi"`},
			"audiences": {claims("aud", []string{"a", "b", "c", "d", "e", "f", "g"}),
				`aud is "a" "b" "c" "d" "e" and 2 more, Config.Audiences is "testapi"`},
			"no audience": {claims("aud", nil), `aud is missing or empty, Config.Audiences is "testapi"`},
			"long":        {claims("aud", long), `aud is "` + long[:80] + `"..., Config.Audiences is "testapi"`},
			"odd letters": {claims("aud", "test\nаpi\u202e"), `aud is "test\n\u0430pi\u202e", Config.Audiences is "testapi"`},
			"expired": {issuer.JWT(xenaauthtest.Token{Lifetime: -2 * time.Hour}),
				"exp is 2h0m0s before the time here: 2026-11-27T10:00:00Z, 2026-11-27T12:00:00Z here"},
			"not yet": {claims("nbf", now+90), "nbf is 1m30s after the time here: 2026-11-27T12:01:30Z, 2026-11-27T12:00:00Z here"},
			"iat":     {claims("iat", now+90), "iat is 1m30s after the time here: 2026-11-27T12:01:30Z, 2026-11-27T12:00:00Z here"},
			"far": {issuer.JWT(xenaauthtest.Token{Claims: map[string]any{"nbf": int64(1) << 36, "exp": int64(1)<<36 + 60}}),
				"nbf is more than a century after the time here: 4147-08-20T07:32:16Z, 2026-11-27T12:00:00Z here"},
			"lifetime": {issuer.JWT(xenaauthtest.Token{Lifetime: 24 * time.Hour}), "exp is 24h0m0s after nbf, Config.MaxTokenLifetime is 1h0m0s"},
			"lifetime, iat": {issuer.JWT(xenaauthtest.Token{Lifetime: 24 * time.Hour, Claims: map[string]any{"nbf": nil}}),
				"exp is 24h0m0s after iat, Config.MaxTokenLifetime is 1h0m0s"},
			"subject": {issuer.JWT(xenaauthtest.Token{Machine: true, ClientID: "batch"}),
				`sub is missing, and the token of client "batch" has no user: see Config.Subject and Config.AllowClientTokens`},
			"client":  {claims("client_id", nil), "client_id or azp is missing: see Config.ClientClaims"},
			"typ":     {header("typ", "dpop+jwt"), `typ is "dpop+jwt", not at+jwt, JWT or none`},
			"use":     {claims("token_use", "refresh_token"), `token_use is "refresh_token", which is not an access token`},
			"alg":     {header("alg", "HS256"), `alg is "HS256", which is not supported`},
			"alg off": {header("alg", "RS256"), `alg is "RS256", Config.Algorithms is "ES256"`},
			"scope": {issuer.JWT(xenaauthtest.Token{Scopes: []string{"openid", "b"}, Claims: map[string]any{"aud": "testapi"}}),
				`scope is "openid" "b", the route requires "a"`},
			"no JWT":    {"nonsense", "token is not a JWT, and Config.Introspection is not set"},
			"no Bearer": {"", "the Authorization field is missing"},
		} {
			log := new(harness.JSONLog)
			cfg := issuer.Config()
			cfg.Algorithms, cfg.Logger = []string{"ES256"}, log.Logger()
			v, err := xenaauth.NewValidator(cfg)
			require.NoError(t, err)
			require.NoError(t, v.Warm(t.Context()))
			mux := http.NewServeMux()
			mux.Handle("GET /orders/{id}", xenaauth.NewMiddleware(v, nil).Require(xenaauth.AllScopes("a"))(harness.Teapot))
			r := httptest.NewRequest("GET", "/orders/7?secret=x", nil)
			if c.token != "" {
				r.Header.Set("Authorization", "Bearer "+c.token)
			}
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, r)
			said := log.Take(t)
			require.Len(t, said, 1, name)
			require.Equal(t, c.why, said[0]["why"], name)
			require.Equal(t, "INFO", said[0]["level"])
			require.Equal(t, "xenaauth: request refused", said[0]["msg"])
			require.EqualValues(t, w.Code, said[0]["status"])
			require.Equal(t, "GET /orders/{id}", said[0]["route"])
			require.Contains(t, w.Body.String(), fmt.Sprintf(`"reason":%q`, said[0]["reason"]))
			require.NotContains(t, w.Body.String()+fmt.Sprint(w.Header()), c.why, "the response must not say why")
		}
	})
}

// The log line about a token with an unknown key contains the kid or the x5t of the token.
func TestRefusalLogOfUnknownKey(t *testing.T) {
	issuer := xenaauthtest.NewIssuer(nil)
	for want, header := range map[string]map[string]any{
		`kid "other" is not among the 1 usable keys of the issuer`: {"kid": "other", "x5t": nil},
		`x5t "other" is not among the 1 usable keys of the issuer`: {"kid": nil, "x5t": "other"},
	} {
		// a second after the last fetch, the library may fetch the keys again
		synctest.Test(t, func(t *testing.T) {
			log := new(harness.JSONLog)
			cfg := issuer.Config()
			cfg.Logger = log.Logger()
			v, err := xenaauth.NewValidator(cfg)
			require.NoError(t, err)
			token := issuer.JWT(xenaauthtest.Token{Header: header})
			harness.Send(xenaauth.NewMiddleware(v, nil).Require(xenaauth.AnyUser())(harness.Teapot), t.Context(), "GET", "Bearer "+token)
			said := log.Take(t)
			require.Len(t, said, 1)
			require.Equal(t, want, said[0]["why"])
		})
	}
}

// The log line about a malformed Authorization field says what is wrong with the field. It does not
// contain the value of the field.
func TestRefusalLogOfCredentials(t *testing.T) {
	for _, c := range []struct {
		fields []string
		target string
		why    string
	}{
		{[]string{"Basic YW5uOnNlY3JldA=="}, "/", "the scheme of the Authorization field is not Bearer"},
		{[]string{"DPoP YW5uOnNlY3JldA=="}, "/", "the scheme of the Authorization field is DPoP, and Options.Proofs is empty"},
		{[]string{"dpop YW5uOnNlY3JldA=="}, "/", "the scheme of the Authorization field is DPoP, and Options.Proofs is empty"},
		{[]string{"DPoPs YW5uOnNlY3JldA=="}, "/", "the scheme of the Authorization field is not Bearer"},
		{[]string{"eyJhbGciOiJFUzI1NiJ9.e30.c2VjcmV0LXNpZ25hdHVyZQ"}, "/", "the scheme of the Authorization field is not Bearer"},
		{[]string{"Bearer a", "Bearer b"}, "/", "the Authorization field is repeated"},
		{[]string{"Bearer Bearer abcdef"}, "/", "the Authorization field is not Bearer, a space and a token"},
		{[]string{"Bearer"}, "/", "the Authorization field is not Bearer, a space and a token"},
		{[]string{"Bearer " + strings.Repeat("a", 20000)}, "/", "token has 20000 bytes: Options.MaxTokenLength is 16384"},
		{[]string{"Bearer "}, "/?access_token=abcdef", "the Authorization field is not Bearer, a space and a token"},
	} {
		log := new(harness.JSONLog)
		m := xenaauth.NewMiddleware(new(harness.ScopeValidator), &xenaauth.Options{Logger: log.Logger()})
		r := httptest.NewRequest("GET", c.target, nil)
		r.Header["Authorization"] = c.fields
		m.Require(xenaauth.AnyUser())(harness.Teapot).ServeHTTP(httptest.NewRecorder(), r)
		text := log.Text.String()
		said := log.Take(t)
		require.Len(t, said, 1)
		require.Equal(t, c.why, said[0]["why"])
		for _, field := range c.fields {
			for _, word := range strings.Fields(field)[min(1, len(strings.Fields(field))-1):] {
				require.False(t, len(word) > 6 && strings.Contains(text, word), "%q holds %q", text, word)
			}
		}
	}
}

// If the middleware has proofs, but no proof of the scheme DPoP, the log line about a request with
// this scheme does not say that Options.Proofs is empty.
func TestRefusalLogOfSchemeWithoutProof(t *testing.T) {
	certificates, err := mtls.New(mtls.Config{})
	require.NoError(t, err)
	log := new(harness.JSONLog)
	m := xenaauth.NewMiddleware(new(harness.ScopeValidator), &xenaauth.Options{
		Logger: log.Logger(), Proofs: []xenaauth.Proof{certificates},
	})
	harness.Send(m.Require(xenaauth.AnyUser())(harness.Teapot), t.Context(), "GET", "DPoP a-token")
	require.Equal(t, "the scheme of the Authorization field is not Bearer", log.Take(t)[0]["why"])
}

// A policy of the service may return an error. The log contains the text of the error in one line
// and without credentials.
func TestRefusalLogOfForeignErrors(t *testing.T) {
	log := new(harness.JSONLog)
	policy := xenaauth.Where("policy", func(context.Context, *xenaauth.User) error {
		return errors.New("no \"s3cret-t0ken\"\nlevel=ERROR \x1b[31m" + strings.Repeat("x", 5000))
	})
	m := xenaauth.NewMiddleware(new(harness.ScopeValidator), &xenaauth.Options{Logger: log.Logger()})
	harness.Send(m.Require(policy)(harness.Teapot), t.Context(), "GET", "Bearer s3cret-t0ken")
	said := log.Take(t)
	require.Len(t, said, 1)
	why := said[0]["why"].(string)
	require.True(t, strings.HasPrefix(why, "no \"[credentials]\"\uFFFDlevel=ERROR \uFFFD[31mxxx"), why)
	require.Less(t, len(why), 1100)
	require.Equal(t, "ann", said[0]["sub"])
	require.Equal(t, "app", said[0]["client_id"])
}

// The log line of a refusal has the realm of the middleware that refused the request.
func TestRefusalLogHasTheRealm(t *testing.T) {
	log := new(harness.JSONLog)
	for _, realm := range []string{"orders", "invoices"} {
		m := xenaauth.NewMiddleware(new(harness.ScopeValidator), &xenaauth.Options{Logger: log.Logger(), Realm: realm})
		harness.Send(m.Require(xenaauth.AnyUser())(harness.Teapot), t.Context(), "GET", "")
	}
	said := log.Take(t)
	require.Len(t, said, 2)
	require.Equal(t, "orders", said[0]["realm"])
	require.Equal(t, "invoices", said[1]["realm"])
}

// If Options.Logger is not set, the middleware uses Config.Logger of its Validator. If
// Config.Logger is not set either, it uses slog.Default. A logger that discards all lines turns
// logging off.
func TestRefusalLogger(t *testing.T) {
	before := slog.Default()
	defer slog.SetDefault(before)
	fallback, ofConfig := new(harness.JSONLog), new(harness.JSONLog)
	cfg := harness.NewIssuer().Config()
	cfg.Logger = ofConfig.Logger()
	v, err := xenaauth.NewValidator(cfg)
	require.NoError(t, err)
	for _, c := range []struct {
		validator xenaauth.TokenValidator
		opts      *xenaauth.Options
		want      *harness.JSONLog
	}{
		{new(harness.ScopeValidator), nil, fallback},
		{v, nil, ofConfig},
		{v, &xenaauth.Options{Logger: slog.New(slog.DiscardHandler)}, nil},
	} {
		m := xenaauth.NewMiddleware(c.validator, c.opts)
		// The library calls slog.Default for each log line. So the test can set the default logger
		// after it has made the middleware, and the middleware uses this logger.
		slog.SetDefault(fallback.Logger())
		harness.Send(m.Require(xenaauth.AnyUser())(harness.Teapot), t.Context(), "GET", "")
		for _, l := range []*harness.JSONLog{fallback, ofConfig} {
			require.Len(t, l.Take(t), map[bool]int{true: 1}[l == c.want])
		}
	}
}

// Each refusal by a table of routes is logged. A request to a public route is not logged, and
// neither is a request without a token to an optional route.
func TestRefusalLogOfOtherGuards(t *testing.T) {
	log := new(harness.JSONLog)
	m := xenaauth.NewMiddleware(new(harness.ScopeValidator), &xenaauth.Options{Logger: log.Logger()})
	table, err := routes.New([]routes.Rule{
		{Pattern: "GET /public", Access: routes.Public()}, {Pattern: "GET /optional", Access: routes.Optional()}, {Pattern: "/denied/", Access: routes.Deny()},
		{Pattern: "GET /scope", Access: routes.Require(xenaauth.AllScopes("a"))},
	}, nil)
	require.NoError(t, err)
	guard := routes.NewGuard(m, table.Find).Handler(harness.Teapot)
	for target, want := range map[string]map[string]any{
		"/public":   nil,
		"/optional": nil,
		"/scope":    {"reason": "missing_token", "route": "GET /scope"},
		"/denied/a": {"reason": "no_rule", "route": "/denied/"},
		"/other":    {"reason": "no_rule"},
		"/a//b":     {"reason": "ambiguous_target"},
	} {
		r := httptest.NewRequest("GET", target, nil)
		guard.ServeHTTP(httptest.NewRecorder(), r)
		said := log.Take(t)
		require.Len(t, said, min(1, len(want)), target)
		if want != nil {
			require.Equal(t, want["reason"], said[0]["reason"])
			require.Equal(t, want["route"], said[0]["route"])
		}
	}
	harness.Send(m.Optional(harness.Teapot), t.Context(), "GET", "")
	require.Empty(t, log.Take(t))
	harness.Send(m.Optional(harness.Teapot), t.Context(), "GET", "Bearer (")
	require.Len(t, log.Take(t), 1)
}

// If many requests are refused, the log has at most a few lines a minute for each reason of a
// refusal. A further line for each reason says how many refusals were not logged.
func TestRefusalLogIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(harness.JSONLog)
		issuer := xenaauthtest.NewIssuer(nil)
		v, err := xenaauth.NewValidator(issuer.Config())
		require.NoError(t, err)
		h := xenaauth.NewMiddleware(v, &xenaauth.Options{Logger: log.Logger()}).Require(xenaauth.AnyUser())(harness.Teapot)
		expired := "Bearer " + issuer.JWT(xenaauthtest.Token{Lifetime: -time.Hour})
		start := time.Now()
		for range 1000 {
			harness.Send(h, t.Context(), "GET", "Bearer junk")
		}
		for range 7 {
			harness.Send(h, t.Context(), "GET", expired)
		}
		said := log.Take(t)
		require.Len(t, said, 10, "5 lines for each of two reasons")
		require.Contains(t, said[4], "only_counted_until")
		require.NotContains(t, said[3], "only_counted_until")

		time.Sleep(time.Minute)
		harness.Send(h, t.Context(), "GET", "") // this request is refused for another reason
		said = log.Take(t)
		require.Len(t, said, 3)
		counts := make(map[any]any)
		for _, one := range said[:2] {
			require.Equal(t, "xenaauth: more requests were refused", one["msg"])
			require.Equal(t, start.Format(time.RFC3339), one["since"])
			counts[one["reason"]] = one["count"]
		}
		require.Equal(t, map[any]any{"malformed_token": 995.0, "expired": 2.0}, counts)
		require.Equal(t, "missing_token", said[2]["reason"])

		harness.Send(h, t.Context(), "GET", "Bearer junk")
		require.Len(t, log.Take(t), 1, "one line, with the number of refusals that were not logged")
	})
}

// The log lines of refusals say how many refusals were not logged. This number is correct even if
// many requests are refused at the same time.
func TestRefusalLogCountsConcurrentRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(harness.JSONLog)
		h := xenaauth.NewMiddleware(new(harness.ScopeValidator), &xenaauth.Options{Logger: log.Logger()}).Require(xenaauth.AnyUser())(harness.Teapot)
		var clients sync.WaitGroup
		for range 8 {
			clients.Go(func() {
				for range 100 {
					harness.Send(h, t.Context(), "GET", "")
				}
			})
		}
		clients.Wait()
		require.Len(t, log.Take(t), 5)
		time.Sleep(time.Minute)
		harness.Send(h, t.Context(), "GET", "")
		require.EqualValues(t, 795, log.Take(t)[0]["count"])
	})
}

// A refusal because of an outage is logged as a warning. The log has at most a few of these
// warnings a minute. A refusal with a reason that the library does not know is logged in the same
// way.
func TestRefusalLogOfOutages(t *testing.T) {
	log := new(harness.JSONLog)
	for _, err := range []error{
		&xenaauth.Error{Reason: xenaauth.ReasonUnavailable}, errors.New("directory: timeout"), &xenaauth.Error{Reason: "of my own"},
	} {
		policy := xenaauth.Where("policy", func(context.Context, *xenaauth.User) error {
			return fmt.Errorf("%w", errors.Join(err, context.DeadlineExceeded))
		})
		h := xenaauth.NewMiddleware(new(harness.ScopeValidator), &xenaauth.Options{Logger: log.Logger()}).Require(policy)(harness.Teapot)
		for range 20 {
			require.Equal(t, 503, harness.Send(h, t.Context(), "GET", "Bearer a").Code)
		}
		said := log.Take(t)
		require.Len(t, said, 5)
		require.Equal(t, "WARN", said[0]["level"])
	}
}

// If a client cancels its request while the token is checked, the log has no line about it. If a
// deadline ends the check of the token, the refusal is logged as an outage.
func TestRefusalLogOfCanceledRequests(t *testing.T) {
	log := new(harness.JSONLog)
	policy := xenaauth.Where("policy", func(ctx context.Context, _ *xenaauth.User) error { return ctx.Err() })
	h := xenaauth.NewMiddleware(new(harness.ScopeValidator), &xenaauth.Options{Logger: log.Logger()}).Require(policy)(harness.Teapot)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	require.Equal(t, 503, harness.Send(h, gone, "GET", "Bearer a").Code)
	require.Empty(t, log.Take(t))
	late, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	require.Equal(t, 503, harness.Send(h, late, "GET", "Bearer a").Code)
	require.Len(t, log.Take(t), 1)
}
