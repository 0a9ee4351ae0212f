package identity_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/gateway/identity"
)

func newIdentity(t testing.TB, cfg identity.Config) *identity.Identity {
	t.Helper()
	id, err := identity.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func newUser(t testing.TB, claims map[string]any) *xenaauth.User {
	t.Helper()
	u, err := xenaauth.NewUser(claims)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// wantReason requires that err wraps an *Error with the reason want.
func wantReason(t testing.TB, err error, want xenaauth.Reason) {
	t.Helper()
	refusal, ok := errors.AsType[*xenaauth.Error](err)
	if !ok || refusal.Reason != want {
		t.Errorf("error %v, want one of reason %s", err, want)
	}
}

// wantFields requires that the header h contains exactly the fields in want, each field once.
func wantFields(t testing.TB, h http.Header, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if got := h[name]; len(got) != 1 || got[0] != value {
			t.Errorf("%s: %q, want %q", name, got, value)
		}
	}
	if len(h) != len(want) {
		t.Errorf("fields %v, want %v", h, want)
	}
}

func TestSet(t *testing.T) {
	id := newIdentity(t, identity.Config{ClaimHeaders: map[string]string{"X-Auth-Claim": "c"}})
	for _, test := range []struct {
		name   string
		claims map[string]any
		// want contains the values that the identity fields should have: user, client, scopes,
		// claim and issuer
		want [5]string
	}{
		{"all", map[string]any{"sub": "104711", "client_id": "app", "scope": []string{"testapi", "openid"}, "c": "x"},
			[5]string{"104711", "app", "testapi openid", "x"}},
		{"an issuer", map[string]any{"iss": "https://login.xena.biz", "sub": "1"},
			[5]string{0: "1", 4: "https://login.xena.biz"}},
		{"an issuer with a comma", map[string]any{"iss": "https://a.example/x,y"},
			[5]string{4: "https://a.example/x%2Cy"}},
		{"a client", map[string]any{"client_id": "app"}, [5]string{"", "app", "", ""}},
		{"Danish", map[string]any{"sub": "Åse Sørensen"}, [5]string{"%C3%85se%20S%C3%B8rensen"}},
		{"a field's end", map[string]any{"sub": "a\r\nX-Auth-Scopes: admin"},
			[5]string{"a%0D%0AX-Auth-Scopes:%20admin"}},
		{"NUL and DEL", map[string]any{"sub": "\x00\x7f\t"}, [5]string{"%00%7F%09"}},
		{"a value that looks encoded", map[string]any{"sub": "%C3%85"}, [5]string{"%25C3%2585"}},
		{"spaces around", map[string]any{"sub": " a "}, [5]string{"%20a%20"}},
		{"lists in a name", map[string]any{"sub": `a,"b"`}, [5]string{"a%2C%22b%22"}},
		{"scopes that need encoding", map[string]any{"scope": []string{"a,b", "100%"}}, [5]string{2: "a%2Cb 100%25"}},
		{"scopes that are none", map[string]any{"scope": []string{"a b", "", "c\td", "læs", `"`, `\`, "e"}}, [5]string{2: "e"}},
		{"a list", map[string]any{"c": []any{"a b", "", nil, 1, true, "c"}}, [5]string{3: "a%20b 1 true c"}},
		{"an empty list", map[string]any{"c": []any{}}, [5]string{}},
		{"a number", map[string]any{"c": 1712345678}, [5]string{3: "1712345678"}},
		{"a fraction", map[string]any{"c": -1.5}, [5]string{3: "-1.5"}},
		{"false", map[string]any{"c": false}, [5]string{3: "false"}},
		{"null", map[string]any{"c": nil}, [5]string{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := http.Header{}
			if err := id.Set(h, newUser(t, test.claims)); err != nil {
				t.Fatal(err)
			}
			wantFields(t, h, map[string]string{"X-Auth-User": test.want[0], "X-Auth-Client": test.want[1],
				"X-Auth-Scopes": test.want[2], "X-Auth-Claim": test.want[3], "X-Auth-Issuer": test.want[4]})
		})
	}
}

// FuzzSet checks that each value in a header field can be decoded, and that no value contains a
// character that could end its field.
func FuzzSet(f *testing.F) {
	for _, s := range []string{"", "104711", "Åse", "a\r\nb", "%41", " ", ",", "\"", "\x00", "\U0001F600"} {
		f.Add(s)
	}
	id, err := identity.New(identity.Config{MaxBytes: 64 << 10, ClaimHeaders: map[string]string{"X-Auth-Claim": "c"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := xenaauth.NewUser(map[string]any{"sub": s, "c": []string{s, "x", s}})
		// NewUser encodes the claims as JSON, which replaces each illegal byte by U+FFFD. In a
		// header field, the three bytes of U+FFFD become nine characters.
		if err != nil || len(s) > 2000 {
			t.Skip()
		}
		// In the subject of the user, U+FFFD has replaced the illegal bytes.
		s = u.Subject()
		h := http.Header{}
		if err := id.Set(h, u); err != nil {
			t.Fatal(err)
		}
		for name, values := range h {
			if strings.ContainsFunc(values[0], func(r rune) bool { return r < 0x20 || r > 0x7e || r == ',' || r == '"' }) {
				t.Fatalf("%s: %q", name, values[0])
			}
		}
		if got, err := url.PathUnescape(h.Get("X-Auth-User")); err != nil || got != s {
			t.Fatalf("%q became %q, %v", s, got, err)
		}
		elements := strings.Split(h.Get("X-Auth-Claim"), " ")
		if s == "" {
			elements = []string{"", elements[0], ""}
		}
		if len(elements) != 3 || elements[1] != "x" {
			t.Fatalf("%q became %q", s, elements)
		}
		if got, err := url.PathUnescape(elements[2]); err != nil || got != s {
			t.Fatalf("%q became %q, %v", s, got, err)
		}
	})
}

func TestSetNobody(t *testing.T) {
	id := newIdentity(t, identity.Config{ClaimHeaders: map[string]string{"x-session": "sid"}})
	h := http.Header{"X-Auth-User": {"root", "admin"}, "X_session": {"1"}, "Accept": {"*/*"}}
	if err := id.Set(h, nil); err != nil {
		t.Fatal(err)
	}
	wantFields(t, h, map[string]string{"X-Auth-User": "", "X-Auth-Client": "", "X-Auth-Scopes": "",
		"X-Auth-Issuer": "", "X-Session": "",
		"Accept": "*/*"})
}

func TestNames(t *testing.T) {
	id := newIdentity(t, identity.Config{UserHeader: "remote-user", ClaimHeaders: map[string]string{"x-b": "b", "X-A": "a"}})
	want := []string{"Remote-User", "X-Auth-Client", "X-Auth-Scopes", "X-Auth-Issuer", "X-A", "X-B"}
	if got := id.Names(); !slices.Equal(got, want) {
		t.Errorf("names %q, want %q", got, want)
	}
	h := http.Header{}
	if err := id.Set(h, nil); err != nil {
		t.Fatal(err)
	}
	for _, name := range want {
		delete(h, name)
	}
	if len(h) > 0 {
		t.Errorf("Set sets %v, which Names doesn't tell", h)
	}
}

// If the values of a user are too long for the fields, or can't be written into them, the user is
// refused and all fields are empty.
func TestSetRefuses(t *testing.T) {
	many := make([]string, 1000)
	for k := range many {
		many[k] = "scope" + strings.Repeat("x", 4)
	}
	for _, test := range []struct {
		name   string
		claims map[string]any
	}{
		{"1000 scopes", map[string]any{"sub": "a", "scope": many}},
		{"an object", map[string]any{"sub": "a", "c": map[string]any{"x": 1}}},
		{"a list of objects", map[string]any{"sub": "a", "c": []any{"x", map[string]any{}}}},
		{"a list of lists", map[string]any{"sub": "a", "c": []any{[]any{"x"}}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			id := newIdentity(t, identity.Config{ClaimHeaders: map[string]string{"X-Auth-Claim": "c"}})
			h := http.Header{"X-Auth-User": {"root"}}
			wantReason(t, id.Set(h, newUser(t, test.claims)), xenaauth.ReasonForbidden)
			wantFields(t, h, map[string]string{"X-Auth-User": "", "X-Auth-Client": "", "X-Auth-Scopes": "", "X-Auth-Issuer": "",
				"X-Auth-Claim": ""})
		})
	}
}

func TestMaxBytes(t *testing.T) {
	const empty = len("X-Auth-User: \r\nX-Auth-Client: \r\nX-Auth-Scopes: \r\nX-Auth-Issuer: \r\n")
	id := newIdentity(t, identity.Config{MaxBytes: empty + 10})
	if err := id.Set(http.Header{}, newUser(t, map[string]any{"sub": "12345", "client_id": "12345"})); err != nil {
		t.Error(err)
	}
	// In an identity field, a comma is written as %2C, which takes three bytes.
	wantReason(t, id.Set(http.Header{}, newUser(t, map[string]any{"sub": "1234,", "client_id": "12345"})),
		xenaauth.ReasonForbidden)
	for _, n := range []int{-1, empty - 1, 64<<10 + 1} {
		if _, err := identity.New(identity.Config{MaxBytes: n}); err == nil {
			t.Errorf("MaxBytes %d is accepted", n)
		}
	}
}

func TestStrip(t *testing.T) {
	id := newIdentity(t, identity.Config{ClaimHeaders: map[string]string{"X-Auth-Session2": "sid"}})
	for _, name := range []string{
		"X-Auth-User", "x-auth-user", "X-AUTH-USER", "X_Auth_User", "X.Auth.User", "X_Auth.User", "x-auth_user", "x.auth-user",
		"X_AUTH_USER", "X!Auth~User", "X-Auth-User ", "\tX-Auth-User", "X Auth User", "X-Auth-Client", "X_auth_scopes",
		"X-Auth-Session2", "X_Auth_Session2",
	} {
		h := http.Header{name: {"root"}, "Accept": {"*/*"}}
		id.Strip(h)
		wantFields(t, h, map[string]string{"Accept": "*/*"})
	}
	for _, name := range []string{
		"X-Auth-Users", "X-Auth", "X--Auth-User", "XAuth-User", "Xx-Auth-User", "X-Auth-User-", "User", "Authorization", "",
		"X-Auth-Session", strings.Repeat("X-Auth-User", 20), strings.Repeat("a", 64), strings.Repeat("a", 65),
	} {
		h := http.Header{name: {"v"}}
		id.Strip(h)
		wantFields(t, h, map[string]string{name: "v"})
	}
	id.Strip(nil)
}

func TestStripConnection(t *testing.T) {
	id := newIdentity(t, identity.Config{})
	for _, test := range []struct {
		lines, want []string
	}{
		{[]string{"X-Auth-User"}, nil},
		{[]string{"keep-alive, x_auth.user"}, []string{"keep-alive"}},
		{[]string{"close", "X-AUTH-SCOPES ,\tX-Auth-Client,, Upgrade"}, []string{"close, Upgrade"}},
		{[]string{"close", "Upgrade"}, []string{"close", "Upgrade"}},
		{[]string{""}, []string{""}},
	} {
		h := http.Header{"Connection": test.lines}
		before := slices.Clone(test.lines)
		id.Strip(h)
		if got := h["Connection"]; !slices.Equal(got, test.want) {
			t.Errorf("%q became %q, want %q", before, got, test.want)
		}
		if !slices.Equal(test.lines, before) {
			t.Errorf("%q were changed to %q in place", before, test.lines)
		}
	}
}

// A service behind httputil.ReverseProxy gets the identity fields that the gateway has set. It gets
// no identity field that the client has sent.
func TestReverseProxy(t *testing.T) {
	id := newIdentity(t, identity.Config{})
	seen := make(chan http.Header, 1)
	service := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		h := r.Header.Clone()
		for name, values := range r.Trailer {
			h["Trailer:"+name] = values
		}
		seen <- h
	}))
	defer service.Close()
	target, err := url.Parse(service.URL)
	if err != nil {
		t.Fatal(err)
	}
	user := newUser(t, map[string]any{"sub": "104711", "client_id": "app", "scope": "testapi"})
	gateway := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Trailer = nil
		if err := id.Set(r.Out.Header, user); err != nil {
			t.Error(err)
		}
	}})
	defer gateway.Close()

	r, err := http.NewRequestWithContext(t.Context(), "POST", gateway.URL, io.MultiReader(strings.NewReader("body")))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{
		"X-Auth-User": {"root"}, "X_auth_user": {"root"}, "X.Auth.User": {"root"}, "X-Auth-Scopes": {"admin", "all"},
		"X_Auth_Issuer": {"https://other.example"},
		"Connection":    {"X-Auth-User, x-auth-scopes, X-Auth-Client"},
	}
	r.Trailer = http.Header{"X-Auth-User": {"root"}}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got := <-seen
	for _, name := range []string{"User-Agent", "Accept-Encoding"} {
		delete(got, name)
	}
	wantFields(t, got, map[string]string{"X-Auth-User": "104711", "X-Auth-Client": "app", "X-Auth-Scopes": "testapi",
		"X-Auth-Issuer": ""})
}

func TestNewTellsMistakes(t *testing.T) {
	for _, name := range []string{
		// The names in this list are not allowed as names of identity fields.
		"X Auth", "X_Auth", "X.Auth", "Ø", "X-Auth\r\n", "-X", "X-", strings.Repeat("a", 65),
		"Authorization", "cookie", "Host", "CONTENT-LENGTH", "Connection", "Keep-Alive", "TE", "Trailer", "Transfer-Encoding",
		"Upgrade", "Proxy-Authorization", "Forwarded", "X-Forwarded-For", "X-Original-Uri", "X-Accel-Redirect",
		"WWW-Authenticate", "Cache-Control", "Vary",
		"X-Auth-Client", "x-auth-scopes", // identity fields already have these names
	} {
		if _, err := identity.New(identity.Config{UserHeader: name}); err == nil {
			t.Errorf("the name %q is accepted", name)
		}
	}
	_, err := identity.New(identity.Config{
		UserHeader:   "Host",
		ClientHeader: "X_Client",
		ClaimHeaders: map[string]string{"X-Empty": "", "X-Twice": "a", "x-twice": "b", "": "c"},
		MaxBytes:     -1,
		Assertion:    &identity.AssertionConfig{},
	})
	for _, part := range []string{"UserHeader", "ClientHeader", `"X-Empty"`, `"x-twice"`, `is ""`, "MaxBytes",
		"Assertion.Issuer", "Assertion.Audience", "Assertion.Keys"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("the error doesn't tell of %s: %v", part, err)
		}
	}
}
