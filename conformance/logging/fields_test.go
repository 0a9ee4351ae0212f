package logging_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/gateway/routes"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// The log line of a refusal names the issuer. If the token is valid, the line also names the client
// and the subject of the token. If the library refused the request before it read the token, the
// line does not name the issuer.
func TestRefusalLogNamesIssuerAndClient(t *testing.T) {
	issuer := harness.NewIssuer()
	log := new(harness.JSONLog)
	cfg := issuer.Config()
	cfg.Logger = log.Logger()
	m := xenaauth.NewMiddleware(harness.NewValidator(t, cfg), nil)
	for name, tt := range map[string]struct {
		authorization            string
		reason, iss, client, sub any
	}{
		"valid":     {"Bearer " + issuer.JWT(xenaauthtest.Token{ClientID: "shop"}), "insufficient_scope", cfg.Issuer, "shop", "user"},
		"expired":   {"Bearer " + issuer.JWT(xenaauthtest.Token{Lifetime: -time.Hour}), "expired", cfg.Issuer, nil, nil},
		"no token":  {"", "missing_token", nil, nil, nil},
		"malformed": {"Bearer", "malformed_request", nil, nil, nil},
	} {
		harness.Send(m.Require(xenaauth.AllScopes("admin"))(harness.Teapot), t.Context(), "GET", tt.authorization)
		said := log.Take(t)
		require.Len(t, said, 1, name)
		require.Equal(t, tt.reason, said[0]["reason"], name)
		require.Equal(t, tt.iss, said[0]["issuer"], name)
		require.Equal(t, tt.client, said[0]["client_id"], name)
		if tt.sub != nil {
			require.NotEmpty(t, said[0]["sub"], name)
		} else {
			require.NotContains(t, said[0], "sub", name)
		}
	}
}

// The log line of a refusal has the name of the policy that refused the request. If no policy
// refused it, the line has no policy. If several policies return the same error, each line has the
// name of the policy that returned it.
func TestRefusalLogNamesThePolicy(t *testing.T) {
	log := new(harness.JSONLog)
	m := xenaauth.NewMiddleware(new(harness.ScopeValidator), &xenaauth.Options{Logger: log.Logger()})
	shared := &xenaauth.Error{Reason: xenaauth.ReasonForbidden, Err: errors.New("no")}
	where := func(name string, err error) xenaauth.Requirement {
		return xenaauth.Where(name, func(context.Context, *xenaauth.User) error { return err })
	}
	for _, tt := range []struct {
		requirement xenaauth.Requirement
		policy      any
	}{
		{where("of the company", errors.New("no")), "of the company"},
		{where("first", shared), "first"},
		{where("second", fmt.Errorf("second: %w", shared)), "second"},
		{where("slow", context.DeadlineExceeded), "slow"},
		{where("accepts", nil), nil},
		{xenaauth.AnyOf(where("a", errors.New("no")), where("b", errors.New("no"))), "a"},
		{xenaauth.WhereRequest("of the path", func(*http.Request, *xenaauth.User) error { return shared }), "of the path"},
		{where("of a-long-token", shared), "of [credentials]"},
		{where("with a\nnew line", shared), "with a\uFFFDnew line"},
	} {
		h := m.Require(tt.requirement, xenaauth.AllScopes("missing"))(harness.Teapot)
		harness.Send(h, t.Context(), "GET", "Bearer a-long-token")
		said := log.Take(t)
		require.Len(t, said, 1)
		require.Equal(t, tt.policy, said[0]["policy"], tt.requirement.String())
		// A middleware limits how many refusals it logs in full. A new middleware starts to count
		// at zero, so it logs the next refusal in full.
		m = xenaauth.NewMiddleware(new(harness.ScopeValidator), &xenaauth.Options{Logger: log.Logger()})
	}
	// Several policies above have returned the error shared. Now the service itself refuses a
	// request with this error. So the log line of this refusal names no policy.
	_ = m.Refuse(httptest.NewRequest("GET", "/", nil), shared)
	require.NotContains(t, log.Take(t)[0], "policy")
}

// A validator of the service may return a user without claims. In this case a refusal is logged
// too. The log line names neither an issuer, nor a client, nor a subject.
func TestRefusalLogOfZeroUser(t *testing.T) {
	log := new(harness.JSONLog)
	m := xenaauth.NewMiddleware(harness.FixedValidator{User: new(xenaauth.User)}, &xenaauth.Options{Logger: log.Logger()})
	harness.Send(m.Require(xenaauth.AllScopes("a"))(harness.Teapot), t.Context(), "GET", "Bearer a")
	said := log.Take(t)
	require.Len(t, said, 1)
	require.Equal(t, "xenaauth: request refused", said[0][slog.MessageKey])
	require.Equal(t, "insufficient_scope", said[0]["reason"])
	require.EqualValues(t, 403, said[0]["status"])
	require.Equal(t, "GET", said[0]["method"])
	for _, field := range []string{"issuer", "client_id", "sub"} {
		require.NotContains(t, said[0], field)
	}
}

// The log line of a refusal names the route of the request. If the route is unknown, or if no rule
// of a table of routes matches the request, the line has the path of the request instead. The path
// in the log has no query, no control character and no long word, because a word of a path may be a
// credential.
func TestRefusalLogNamesThePath(t *testing.T) {
	log := new(harness.JSONLog)
	m := xenaauth.NewMiddleware(new(harness.ScopeValidator), &xenaauth.Options{Logger: log.Logger()})
	table, err := routes.New([]routes.Rule{
		{Pattern: "GET /orders/{id}", Access: routes.Require(xenaauth.AllScopes("a"))}, {Pattern: "/denied/", Access: routes.Deny()},
	}, nil)
	require.NoError(t, err)
	guard := routes.NewGuard(m, table.Find).Handler(harness.Teapot)
	jwt := harness.NewIssuer().JWT(xenaauthtest.Token{})
	uuid := "0d9ba7e5-5a12-4a4b-8a3f-3b0d0a9f5a11"
	for _, tt := range []struct {
		target        string
		authorization string
		reason, path  any
	}{
		{"/orders/7", "", "missing_token", nil},
		{"/order/7?secret=x", "", "no_rule", "/order/7"},
		{"/denied/" + uuid, "", "no_rule", "/denied/" + uuid},
		{"/a%2fb", "", "ambiguous_target", "/a%2fb"},
		{"/a%0Ab%E2%80%AE", "", "ambiguous_target", "/a%0Ab%E2%80%AE"},
		{"/package.ServiceWithAName/Method", "", "no_rule", "/package.ServiceWithAName/Method"},
		{"/reset/" + strings.Repeat("0123456789abcdef", 4), "", "no_rule", "/reset/0123456789abcdef..."},
		{"/s3cret-t0ken/x", "Bearer s3cret-t0ken", "no_rule", "/[credentials]/x"},
		{"/" + strings.Repeat("abc/", 200), "", "no_rule", "/" + strings.Repeat("abc/", 63) + "abc..."},
	} {
		r := httptest.NewRequest("GET", tt.target, nil)
		if tt.authorization != "" {
			r.Header.Set("Authorization", tt.authorization)
		}
		guard.ServeHTTP(httptest.NewRecorder(), r)
		text := log.Text.String()
		said := log.Take(t)
		require.Len(t, said, 1, tt.target)
		require.Equal(t, tt.reason, said[0]["reason"], tt.target)
		require.Equal(t, tt.path, said[0]["path"], tt.target)
		require.Equal(t, "GET", said[0]["method"])
		require.NotContains(t, text, "secret=x")
		// a new middleware limits its log lines anew, so its first refusal is logged
		m = xenaauth.NewMiddleware(new(harness.ScopeValidator), &xenaauth.Options{Logger: log.Logger()})
		guard = routes.NewGuard(m, table.Find).Handler(harness.Teapot)
	}
	r := httptest.NewRequest("GET", "/verify/"+jwt, nil)
	m.Require(xenaauth.AnyUser())(harness.Teapot).ServeHTTP(httptest.NewRecorder(), r)
	text := log.Text.String()
	require.Contains(t, log.Take(t)[0]["path"], "/verify/")
	for _, part := range strings.Split(jwt, ".")[1:] {
		require.NotContains(t, text, part)
	}
}

// callRecorder records the calls to the issuer that the library reports (Config.IssuerCall).
type callRecorder struct {
	mu  sync.Mutex
	all []xenaauth.IssuerCall
}

func (c *callRecorder) add(_ context.Context, call xenaauth.IssuerCall) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, call)
}

// Several requests may wait for the same call to the issuer. The log line about this call says how
// many requests waited. The report to the function Config.IssuerCall says the same.
func TestWaitingRequestsAreCounted(t *testing.T) {
	const requests = 7
	for document, fault := range map[string]xenaauthtest.Endpoint{
		"metadata": xenaauthtest.Metadata, "jwks": xenaauthtest.JWKS, "introspection": xenaauthtest.Introspection,
	} {
		for _, works := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				issuer := harness.NewIssuer()
				issuer.Slow(200 * time.Millisecond)
				if !works {
					issuer.Fail(fault, xenaauthtest.Fault{Status: 500})
				}
				logged, seen := new(harness.LogRecorder), new(callRecorder)
				cfg := issuer.HybridConfig()
				cfg.Logger, cfg.IssuerCall = slog.New(logged), seen.add
				v := harness.NewValidator(t, cfg)
				token := issuer.JWT(xenaauthtest.Token{})
				if document == "introspection" {
					require.NoError(t, v.Warm(t.Context()))
					seen.all = nil
					token = issuer.Opaque(xenaauthtest.Token{})
				}
				// In each of two rounds, seven requests wait for a call to the issuer. The library
				// must report seven waiting requests in each round: the number of the second round
				// must not include the requests of the first round.
				for range 2 {
					var clients sync.WaitGroup
					for range requests {
						clients.Go(func() { _, _ = v.Validate(t.Context(), token) })
					}
					clients.Wait()
					time.Sleep(10 * time.Second)
				}
				counted := 0
				for _, call := range seen.all {
					if call.Document == document {
						counted++
						require.Equal(t, requests, call.Waited, "%s", document)
					}
				}
				require.Positive(t, counted)
				if !works {
					require.Positive(t, logged.Count(slog.LevelError, " waited=7 "), "%q", logged.Lines)
				}
			})
		}
	}
}

// Each log line about calls to the issuer contains the name of the issuer, because a service may
// use several issuers with one Validator for each.
func TestIssuerLogNamesTheIssuer(t *testing.T) {
	issuer := harness.NewIssuer()
	issuer.Down()
	logged := new(harness.LogRecorder)
	cfg := issuer.Config()
	cfg.Logger = slog.New(logged)
	require.Error(t, harness.NewValidator(t, cfg).Warm(t.Context()))
	require.NotEmpty(t, logged.Lines)
	for _, line := range logged.Lines {
		require.True(t, strings.HasSuffix(line, " issuer="+cfg.Issuer), line)
	}
}

// The table in docs/operations.md lists each field (attribute) of the log lines that this test
// causes.
func TestFieldsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/operations.md")
	require.NoError(t, err)
	_, table, _ := strings.Cut(string(page), "## The fields")
	table, _, _ = strings.Cut(table, "\n## ")
	log := new(harness.JSONLog)
	issuer := harness.NewIssuer()
	cfg := issuer.HybridConfig()
	cfg.Logger = log.Logger()
	v := harness.NewValidator(t, cfg)
	h := xenaauth.NewMiddleware(v, nil).Require(xenaauth.AllScopes("admin"))(harness.Teapot)
	for range 6 {
		harness.Send(h, t.Context(), "GET", "Bearer "+issuer.JWT(xenaauthtest.Token{}))
	}
	harness.Send(h, t.Context(), "GET", "")
	refusing := xenaauth.Where("never", func(context.Context, *xenaauth.User) error { return errors.New("no") })
	harness.Send(xenaauth.NewMiddleware(v, nil).Require(refusing)(harness.Teapot), t.Context(), "GET", "Bearer "+issuer.JWT(xenaauthtest.Token{}))
	for range 2 {
		issuer.Fail(xenaauthtest.Introspection, xenaauthtest.Fault{Status: 500})
		harness.Send(h, t.Context(), "GET", "Bearer "+issuer.Opaque(xenaauthtest.Token{}))
		issuer.Fail(xenaauthtest.Introspection, xenaauthtest.Fault{})
		harness.Send(h, t.Context(), "GET", "Bearer "+issuer.Opaque(xenaauthtest.Token{}))
	}
	have := make(map[string]bool)
	for _, line := range log.Take(t) {
		for field := range line {
			have[field] = true
		}
	}
	for _, standard := range []string{slog.TimeKey, slog.LevelKey, slog.MessageKey} {
		delete(have, standard)
	}
	require.Greater(t, len(have), 8)
	require.Contains(t, have, "policy")
	for field := range have {
		require.Regexp(t, "(?m)^\\| `"+regexp.QuoteMeta(field)+"` \\|", table)
	}
}
