package extauthz_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"github.com/xenaauth/xenaauth/adapters/extauthz"
	"github.com/xenaauth/xenaauth/gateway/identity"
	"github.com/xenaauth/xenaauth/gateway/routes"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// TestSpoofed sends header fields that pretend to name a user. It tries the name of each identity
// field, also with other characters in place of the dashes, in lower and upper case. None of these
// fields may reach the upstream.
func TestSpoofed(t *testing.T) {
	s := startService(t, nil, nil)
	if len(s.identity.Names()) < 3 {
		t.Fatal("too few names for a test")
	}
	for _, target := range []string{"/any", "/open/x", "/maybe"} {
		for kind, raw := range encodings {
			r := get(target, bearer(s.token("a", "b")), [2]string{"X-Innocent_Field", "kept"})
			for _, name := range s.identity.Names() {
				for _, spelling := range spellingsOf(name) {
					r.lines = append(r.lines, [2]string{spelling, "root"}, [2]string{spelling, "toor"})
				}
			}
			ok := s.check(t, r.envoyMessage(raw)).GetOkResponse()
			if ok == nil {
				t.Fatalf("%s: refused", target)
			}
			_, passed := s.sendToGuard(t, r)
			s.wantIdentity(t, r, ok, passed)
			for name, values := range r.upstreamHeader(ok) {
				if slices.Contains(values, "root") || slices.Contains(values, "toor") {
					t.Errorf("%s by %s: the upstream gets %s: %q", target, kind, name, values)
				}
			}
			if h := r.upstreamHeader(ok); len(h["x-innocent_field"]) != 1 || len(h["authorization"]) != 1 {
				t.Errorf("%s by %s: %v is left", target, kind, h)
			}
		}
	}
}

// spellingsOf returns variants of a header name, with other characters instead of its dashes, in
// upper and lower case.
func spellingsOf(name string) []string {
	out := []string{""}
	for _, c := range name {
		forms := string(c)
		if c == '-' {
			forms = "-_.~"
		}
		var next []string
		for _, begun := range out {
			for _, form := range forms {
				next = append(next, begun+string(form))
			}
		}
		out = next
	}
	for _, one := range out[1:] {
		out = append(out, strings.ToUpper(one))
	}
	return out
}

// In TestPolicySeesNoSpoof, the client sends identity fields to pretend to be a user. A policy that
// reads these fields must not find them.
func TestPolicySeesNoSpoof(t *testing.T) {
	s := startService(t, nil, nil)
	for _, name := range []string{"X-Auth-User", "x_auth_user"} {
		r := request{http.MethodPost, "company.example", "/request?q=1", [][2]string{
			bearer(s.token()), {"X-Company", "7"}, {name, "root"},
		}}
		if out := s.check(t, r.envoyMessage(true)); out.GetOkResponse() == nil {
			t.Errorf("%s: %v", name, out)
		}
	}
}

// TestConnection sends a Connection field with the names of identity fields. A proxy behind Envoy
// would remove the fields with these names. So Envoy must remove these names from the Connection
// field, and the whole field if no other name is left.
func TestConnection(t *testing.T) {
	s := startService(t, nil, nil)
	name := s.identity.Names()[0]
	for value, want := range map[string][]string{
		"Upgrade": {"Upgrade"}, "Upgrade, " + name: {"Upgrade"}, name: nil, "close, X_Other": {"close, X_Other"},
	} {
		r := get("/any", bearer(s.token()), [2]string{"Connection", value})
		ok := s.check(t, r.envoyMessage(true)).GetOkResponse()
		if got := r.upstreamHeader(ok)["connection"]; !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
	}
}

// TestAuthorization requires that the upstream gets the token and the proof. With
// RemoveAuthorization, the upstream must get neither.
func TestAuthorization(t *testing.T) {
	for _, remove := range []bool{false, true} {
		s := startService(t, nil, func(cfg *extauthz.Config) { cfg.RemoveAuthorization = remove })
		for _, target := range []string{"/any", "/open/x", "/maybe"} {
			r := get(target, bearer(s.token("a", "b")), [2]string{"DPoP", "a.b.c"})
			got := r.upstreamHeader(s.check(t, r.envoyMessage(true)).GetOkResponse())
			for _, name := range []string{"authorization", "dpop"} {
				if _, kept := got[name]; kept == remove {
					t.Errorf("%s: %s is kept: %v", target, name, kept)
				}
			}
		}
	}
}

// TestTooLargeIdentity sends the token of a user whose fields are too long for the identity
// headers.
func TestTooLargeIdentity(t *testing.T) {
	small, err := identity.New(identity.Config{MaxBytes: 200})
	fatal(t, err)
	s := startService(t, nil, func(cfg *extauthz.Config) { cfg.Identity = small })
	r := get("/any", bearer(s.issuer.JWT(xenaauthtest.Token{Subject: strings.Repeat("x", 200)})))
	if denied := s.check(t, r.envoyMessage(true)).GetDeniedResponse(); denied.GetStatus().GetCode() != 403 {
		t.Errorf("%v", denied)
	}
}

// TestUnreadable sends unusual messages to a public route. The service must refuse messages that
// contradict themselves or are no HTTP request, and allow all others.
func TestUnreadable(t *testing.T) {
	s := startService(t, nil, func(cfg *extauthz.Config) {
		cfg.Find = func(*http.Request) (routes.Rule, error) {
			return routes.Rule{Pattern: "/", Access: routes.Public()}, nil
		}
	})
	type attributes = authv3.AttributeContext_HttpRequest
	r := get("/x", [2]string{"X-Twice", "1"}, [2]string{"X-Twice", "2"})
	raw := func(change func(*attributes)) *authv3.CheckRequest {
		in := r.envoyMessage(true)
		change(in.GetAttributes().GetRequest().GetHttp())
		return in
	}
	both := func(change func(*attributes)) *authv3.CheckRequest {
		return raw(func(h *attributes) {
			h.Headers = r.envoyMessage(false).GetAttributes().GetRequest().GetHttp().GetHeaders()
			change(h)
		})
	}
	field := func(name, value string) *authv3.CheckRequest {
		return raw(func(h *attributes) {
			h.HeaderMap.Headers = append(h.HeaderMap.Headers, &corev3.HeaderValue{Key: name, RawValue: []byte(value)})
		})
	}
	line := func(method, host, target string) *authv3.CheckRequest {
		return request{method, host, target, nil}.envoyMessage(true)
	}
	for name, in := range map[string]*authv3.CheckRequest{
		"unchanged":         r.envoyMessage(true),
		"unchanged, joined": r.envoyMessage(false),
		"unchanged, both":   both(func(*attributes) {}),
		"values that aren't raw": raw(func(h *attributes) {
			for _, field := range h.HeaderMap.Headers {
				field.Value, field.RawValue = string(field.RawValue), nil
			}
		}),
		"value and raw value":  raw(func(h *attributes) { h.HeaderMap.Headers[4].Value = "1" }),
		"Latin-1 in a value":   field("x-name", "J\xf8rgen"),
		"tab in a value":       field("x-name", "a\tb"),
		"unknown pseudo field": field(":protocol", "websocket"),
		"the same Host":        raw(func(h *attributes) { h.HeaderMap.Headers[2].Key = "Host" }),
		"no pseudo fields":     wrap(&attributes{Method: "GET", Host: "a", Path: "/"}),
		"port":                 line("GET", "a:80", "/"),
		"asterisk":             line("OPTIONS", "a", "*"),
	} {
		if s.check(t, in).GetOkResponse() == nil {
			t.Errorf("%s: refused", name)
		}
	}
	for name, in := range map[string]*authv3.CheckRequest{
		"nothing":             {},
		"no request":          {Attributes: new(authv3.AttributeContext)},
		"no HTTP":             {Attributes: &authv3.AttributeContext{Request: new(authv3.AttributeContext_Request)}},
		"empty HTTP":          wrap(new(attributes)),
		"no method":           line("", "a", "/"),
		"method":              line("GET /", "a", "/"),
		"no host":             line("GET", "", "/"),
		"host":                line("GET", "a b", "/"),
		"no path":             line("GET", "a", ""),
		"authority form":      line("CONNECT", "a:443", "a:443"),
		"relative path":       line("GET", "a", "x/"),
		"absolute form":       line("GET", "a", "http://a/"),
		"query alone":         line("GET", "a", "?x"),
		"space":               line("GET", "a", "/x y"),
		"space in the query":  line("GET", "a", "/x?y z"),
		"newline":             line("GET", "a", "/x\n"),
		"invalid escape":      line("GET", "a", "/%zz"),
		"other path":          field(":path", "/y"),
		"no other path":       raw(func(h *attributes) { h.HeaderMap.Headers[1].RawValue = []byte("/y") }),
		"other method":        raw(func(h *attributes) { h.HeaderMap.Headers[0].RawValue = []byte("PUT") }),
		"other host":          raw(func(h *attributes) { h.HeaderMap.Headers[2].RawValue = []byte("b") }),
		"other scheme":        raw(func(h *attributes) { h.HeaderMap.Headers[3].RawValue = []byte("http") }),
		"other Host":          field("Host", "b"),
		"path twice":          field(":path", r.target),
		"nil field":           raw(func(h *attributes) { h.HeaderMap.Headers[4] = nil }),
		"no name":             field("", "x"),
		"space in a name":     field("x auth", "x"),
		"NUL in a value":      field("x-name", "a\x00b"),
		"lines in a value":    field("x-name", "a\r\nb"),
		"another raw value":   raw(func(h *attributes) { h.HeaderMap.Headers[4].Value = "x" }),
		"both, one more":      both(func(h *attributes) { h.Headers["x-more"] = "" }),
		"both, one less":      both(func(h *attributes) { delete(h.Headers, "x-twice") }),
		"both, another value": both(func(h *attributes) { h.Headers["x-twice"] = "1" }),
		"both, another case":  both(func(h *attributes) { h.Headers["X-Twice"] = "1,2" }),
	} {
		if denied := s.check(t, in).GetDeniedResponse(); denied.GetStatus().GetCode() != 400 || denied.GetBody() == "" {
			t.Errorf("%s: %v", name, denied)
		}
	}
	denied := s.check(t, line("HEAD", "", "/")).GetDeniedResponse()
	if denied.GetStatus().GetCode() != 400 || denied.GetBody() != "" {
		t.Errorf("HEAD: %v", denied)
	}
}

// TestJoined sends values that Envoy may have joined from several lines of a field. A value that
// may come from two lines must not be read as one value.
func TestJoined(t *testing.T) {
	s := startService(t, nil, nil)
	token := s.token("a", "b")
	for _, value := range []string{
		"Bearer " + token + ",Bearer " + token, "Bearer " + token + ",", ",Bearer " + token,
		"Bearer " + token + ", Basic YTpi", "Basic YTpi,Bearer " + token, "Basic YTpi, Bearer " + token,
		`Digest username="a", realm="b"`, ",",
	} {
		for _, target := range []string{"/any", "/maybe"} {
			in := get(target, [2]string{"Authorization", value}).envoyMessage(false)
			if denied := s.check(t, in).GetDeniedResponse(); denied.GetStatus().GetCode() != 400 {
				t.Errorf("%s with %q: %v", target, value, denied)
			}
		}
	}
	// Envoy never sends a header name twice. Another program may send the same name in upper case
	// and in lower case. Such a message is refused with 400.
	in := get("/maybe", bearer(token)).envoyMessage(false)
	in.GetAttributes().GetRequest().GetHttp().Headers["Authorization"] = "Basic YTpi"
	if denied := s.check(t, in).GetDeniedResponse(); denied.GetStatus().GetCode() != 400 {
		t.Errorf("two keys: %v", denied)
	}
}

// TestBig sends a header that is larger than Envoy allows.
func TestBig(t *testing.T) {
	s := startService(t, nil, nil)
	r := get("/any", bearer(s.token("a", "b")))
	for range 2000 {
		r.lines = append(r.lines, [2]string{"X_Auth-User", strings.Repeat("x", 500)})
	}
	ok := s.check(t, r.envoyMessage(true)).GetOkResponse()
	_, passed := s.sendToGuard(t, r)
	s.wantIdentity(t, r, ok, passed)
	if n := len(ok.GetHeadersToRemove()); n > 1 {
		t.Errorf("%d fields to remove", n)
	}
	r = get("/any?"+strings.Repeat("q", 1<<20), r.lines[0])
	if s.check(t, r.envoyMessage(true)).GetOkResponse() == nil {
		t.Error("a long query is refused")
	}
}
