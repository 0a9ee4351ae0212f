package extauthz_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/extauthz"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

var encodings = map[string]bool{"headers": false, "header_map": true}

// TestParity sends the same requests to a guard of net/http and to the service, and requires the
// same responses.
func TestParity(t *testing.T) {
	s := startService(t, nil, nil)
	expired := s.issuer.JWT(xenaauthtest.Token{Lifetime: -time.Hour})
	good := bearer(s.token("a", "b"))
	post := request{http.MethodPost, "company.example", "/request?q=1", [][2]string{good, {"X-Company", "7"}}}
	for _, c := range []struct {
		name string
		request
		status int // status is the status of the expected refusal; 0 if none
	}{
		{"good", get("/any", good), 0},
		{"good, by its scopes", get("/scope/x", good), 0},
		{"public", get("/open/x"), 0},
		{"public, with a bad token", get("/open/x", bearer("bad")), 0},
		{"optional, without a token", get("/maybe"), 0},
		{"optional, with a token", get("/maybe", good), 0},
		{"WhereRequest", post, 0},
		{"WhereRequest, another company", request{post.method, post.host, post.target, [][2]string{good}}, 403},
		{"another host", request{post.method, "api.example", post.target, post.lines}, 403},
		{"another method", request{http.MethodPut, "api.example", "/any", [][2]string{good}}, 403},
		{"HEAD", request{http.MethodHead, "api.example", "/any", nil}, 401},
		{"no credentials", get("/any"), 401},
		{"no credentials, scopes required", get("/scope/"), 401},
		{"Basic", get("/any", [2]string{"Authorization", "Basic YTpi"}), 401},
		{"no JWT", get("/any", bearer("opaque")), 401},
		{"expired", get("/any", bearer(expired)), 401},
		{"optional, with a bad token", get("/maybe", bearer("bad")), 401},
		{"empty field", get("/any", [2]string{"Authorization", ""}), 400},
		{"repeated", get("/any", good, good), 400},
		{"repeated, an innocent scheme first", get("/maybe", [2]string{"Authorization", "Basic YTpi"}, good), 400},
		{"repeated, an innocent scheme last", get("/maybe", good, [2]string{"Authorization", "Basic YTpi"}), 400},
		{"too long", get("/any", bearer(strings.Repeat("x", xenaauth.DefaultMaxTokenLength+1))), 400},
		{"comma in a token", get("/any", bearer("a,b")), 400},
		{"in the query only", get("/any?access_token=x"), 401},
		{"no scope", get("/scope/", bearer(s.token("a"))), 403},
		{"policy", get("/policy", good), 403},
		{"denied route", get("/open/shut", good), 403},
		{"no rule", get("/nowhere", good), 403},
		{"policy with an outage", get("/down", good), 503},
		{"foreign error", get("/any", bearer("foreign")), 503},
		{"dot segments", get("/open/../any", good), 400},
		{"encoded dot segments", get("/open/%2e%2e/any", good), 400},
		{"encoded slash", get("/open%2f..%2fany", good), 400},
		{"double slash", get("//any", good), 400},
		{"backslash", get(`/open\..\any`, good), 400},
		{"path parameters", get("/open/;x/..", good), 400},
		{"NUL", get("/open/%00", good), 400},
	} {
		for kind, raw := range encodings {
			t.Run(c.name+"/"+kind, func(t *testing.T) {
				want, passed := s.sendToGuard(t, c.request)
				out := s.check(t, c.envoyMessage(raw))
				if (passed != nil) != (c.status == 0) || passed == nil && want.Code != c.status {
					t.Fatalf("net/http answers %d", want.Code)
				}
				if passed != nil {
					if out.GetOkResponse() == nil {
						t.Fatalf("refused: %v", out)
					}
					s.wantIdentity(t, c.request, out.GetOkResponse(), passed)
					h := make(map[string][]string)
					apply(h, out.GetOkResponse().GetResponseHeadersToAdd())
					if vary := want.Header().Values("Vary"); !slices.Equal(h["vary"], vary) {
						t.Errorf("Vary: %q, want %q", h["vary"], vary)
					}
					return
				}
				got := out.GetDeniedResponse()
				if int(got.GetStatus().GetCode()) != want.Code || got.GetBody() != want.Body.String() {
					t.Errorf("%v, want %d %s", got, want.Code, want.Body)
				}
				if h := headerOfRefusal(got); !maps.EqualFunc(h, want.Result().Header, slices.Equal[[]string]) {
					t.Errorf("%v, want %v", h, want.Result().Header)
				}
				if text := out.String(); strings.Contains(text, "secret") || strings.Contains(text, "10.0.0.7") {
					t.Errorf("shows %s", text)
				}
				codes := map[int]codes.Code{400: codes.Unauthenticated, 401: codes.Unauthenticated,
					403: codes.PermissionDenied, 503: codes.Unavailable}
				if code := out.GetStatus().GetCode(); code != int32(codes[want.Code]) {
					t.Errorf("status code %d", code)
				}
			})
		}
	}
}

// testService.wantIdentity requires that the upstream gets the user that the guard of net/http
// found, and the identity of no other user.
func (s *testService) wantIdentity(t testing.TB, r request, ok *authv3.OkHttpResponse, passed *http.Request) {
	t.Helper()
	user, _ := xenaauth.UserFromContext(passed.Context())
	want := make(http.Header)
	fatal(t, s.identity.Set(want, user))
	h := r.upstreamHeader(ok)
	for _, name := range s.identity.Names() {
		if got := h[strings.ToLower(name)]; len(want[name]) != 1 || !slices.Equal(got, want[name]) {
			t.Errorf("%s: %q, want %q", name, got, want[name])
		}
	}
}

// TestOneEventEach counts the events. Each request must have exactly one event, so that metrics
// count every refusal.
func TestOneEventEach(t *testing.T) {
	s := startService(t, nil, nil)
	good := bearer(s.token("a", "b"))
	for _, in := range []*authv3.CheckRequest{
		get("/any", good).envoyMessage(true), get("/any").envoyMessage(true), get("/nowhere").envoyMessage(true),
		get("/open/../any").envoyMessage(true), wrap(nil), {},
	} {
		before := s.outcomes.Load()
		s.check(t, in)
		if n := s.outcomes.Load() - before; n != 1 {
			t.Errorf("%d events for %v", n, in)
		}
	}
}

// TestPublicReadsNoToken sends tokens to a public route, to a path without a rule, and in a request
// with an ambiguous path. The validator must not be called: otherwise a client could cause calls to
// the issuer without a valid token.
func TestPublicReadsNoToken(t *testing.T) {
	s := startService(t, nil, nil)
	for range 3 {
		s.check(t, get("/open/x", bearer("opaque")).envoyMessage(true))
		s.check(t, get("/nowhere", bearer("opaque")).envoyMessage(true))
		s.check(t, get("/open/%2e%2e/any", bearer("opaque")).envoyMessage(true))
	}
	if n := s.validator.calls.Load(); n != 0 {
		t.Errorf("%d tokens were looked at", n)
	}
}

// TestOutage sends a request while the issuer is down.
func TestOutage(t *testing.T) {
	s := startService(t, nil, nil)
	good := bearer(s.token("a", "b"))
	s.issuer.Down()
	denied := s.check(t, get("/any", good).envoyMessage(true)).GetDeniedResponse()
	h := headerOfRefusal(denied)
	if denied.GetStatus().GetCode() != 503 || h.Get("Retry-After") == "" || h.Get("WWW-Authenticate") != "" {
		t.Errorf("%v", denied)
	}
	s.issuer.Heal()
}

// TestPlantedUser puts a user into the context of the gRPC call. That context belongs to Envoy, so
// the service must ignore the user.
func TestPlantedUser(t *testing.T) {
	var s *testService
	planted := xenaauthtest.User(xenaauthtest.Token{Subject: "envoy"})
	s = startService(t, nil, nil, grpc.UnaryInterceptor(
		func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			r := get("/any", bearer(s.token("a", "b")))
			// This interceptor runs before the service handles the gRPC call. It checks another
			// request, which has a valid token. The context of that request then contains its user,
			// and the interceptor passes this context to the service.
			if in, err := r.parse(); err == nil {
				if allowed, err := s.auth.Check(in.WithContext(ctx)); err == nil {
					return next(allowed.Context(), req)
				}
			}
			return next(xenaauth.ContextWithUser(ctx, planted), req)
		}))
	for _, target := range []string{"/open/x", "/maybe"} {
		r := get(target)
		out := s.check(t, r.envoyMessage(true))
		for name, values := range r.upstreamHeader(out.GetOkResponse()) {
			if values[0] != "" {
				t.Errorf("%s: %q", name, values)
			}
		}
	}
	if s.check(t, get("/any").envoyMessage(true)).GetOkResponse() != nil {
		t.Error("passes without a token")
	}
}

// TestConcurrent sends the requests of many users at the same time. Each request must get its own
// user.
func TestConcurrent(t *testing.T) {
	s := startService(t, nil, nil)
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			name := fmt.Sprintf("user-%d", i%10)
			r := get("/any", bearer(s.issuer.JWT(xenaauthtest.Token{Subject: name})), [2]string{"x_auth_user", "root"})
			out, err := s.client.Check(t.Context(), r.envoyMessage(i%2 == 0))
			if err != nil || out.GetOkResponse() == nil {
				t.Errorf("%v, %v", out, err)
				return
			}
			found := false
			for _, values := range r.upstreamHeader(out.GetOkResponse()) {
				found = found || slices.Equal(values, []string{name})
			}
			if !found {
				t.Errorf("%s is missing in %v", name, out)
			}
		})
	}
	all.Wait()
}

// TestNew calls New without required fields. The error names each of these fields.
func TestNew(t *testing.T) {
	s := startService(t, nil, nil)
	complete := extauthz.Config{Middleware: s.auth, Find: s.routes.Find, Identity: s.identity}
	for name, remove := range map[string]func(*extauthz.Config){
		"Middleware": func(c *extauthz.Config) { c.Middleware = nil },
		"Find":       func(c *extauthz.Config) { c.Find = nil },
		"Identity":   func(c *extauthz.Config) { c.Identity = nil },
	} {
		cfg := complete
		remove(&cfg)
		service, err := extauthz.New(cfg)
		if err == nil || service != nil || err.Error() != "extauthz: Config."+name+" is nil" {
			t.Errorf("without %s: %v", name, err)
		}
	}
	if _, err := extauthz.New(extauthz.Config{}); err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("without any field: %v", err)
	}
}
