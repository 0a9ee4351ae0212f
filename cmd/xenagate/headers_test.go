package main_test

import (
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// foldName replaces the signs "_", ".", "~" and "+" in the name of a header field by "-", and
// capital letters by small ones. Some services read names in this way.
func foldName(name string) string {
	return strings.ToLower(strings.NewReplacer("_", "-", ".", "-", "~", "-", "+", "-").Replace(name))
}

// seenRequest.wantField fails the test unless the service got exactly one header field of the given
// name, in this spelling and with the given value, and no field in another spelling of the name.
func (s seenRequest) wantField(t *testing.T, name, value string) {
	t.Helper()
	for n, values := range s.Header {
		if foldName(n) == foldName(name) && (n != name || len(values) != 1 || values[0] != value) {
			t.Errorf("the service got %s: %q", n, values)
		}
	}
	if s.Header[name] == nil {
		t.Errorf("the service got no %s", name)
	}
}

func TestSpoofedIdentityHeaders(t *testing.T) {
	issuer, service := newIssuer(t), newService(t)
	p := startGateway(t, commonConfig(issuer, service), nil)
	token := p.neverShow(issuer.JWT(xenaauthtest.Token{Subject: "anna", ClientID: "app", Scopes: []string{"testapi", "b"}}))
	for _, spoof := range []string{
		"X-Auth-User: root", "x-auth-user: root", "X_Auth_User: root", "X.Auth.User: root", "x-AUTH_user: root",
		"X-Auth~User: root", "X+Auth+User: root", "X-Auth-Client: root", "X_AUTH_SCOPES: root",
		"X-Auth-Issuer: https://other.example", "X_Auth.Issuer: https://other.example", "Connection: x-auth-issuer",
		"Connection: X-Auth-User", "Connection: close, x_auth_user", "Connection: X-Auth-Scopes, X-Auth-Client",
		"X-Auth-User: root\r\nX-Auth-User: admin", "X-Auth-User: ",
	} {
		for path, want := range map[string][4]string{
			"/Api/Read": {"anna", "app", "testapi b", issuer.URL()}, "/open/x": {}, "/news": {},
		} {
			bearer := ""
			if path == "/Api/Read" {
				bearer = "Authorization: Bearer " + token + "\r\n"
			}
			a, err := sendBytes(t, p.addr("proxy"), "GET "+path+" HTTP/1.1\r\nHost: a\r\n"+bearer+spoof+"\r\n\r\n")
			if err != nil {
				t.Fatalf("%q: %v", spoof, err)
			}
			if a.status == 400 && !strings.HasPrefix(a.body, "{") {
				continue // net/http refuses a request with a header field of this name
			}
			s := a.seen(t)
			s.wantField(t, "X-Auth-User", want[0])
			s.wantField(t, "X-Auth-Client", want[1])
			s.wantField(t, "X-Auth-Scopes", want[2])
			s.wantField(t, "X-Auth-Issuer", want[3])
			s.wantNoField(t, "Authorization")
		}
	}
}

func (s seenRequest) wantNoField(t *testing.T, name string) {
	t.Helper()
	for n, values := range s.Header {
		if foldName(n) == foldName(name) {
			t.Errorf("the service got %s: %d values", n, len(values))
		}
	}
}

// The gateway does not forward the client's trailers (header fields after the body) to the service.
func TestTrailersStopHere(t *testing.T) {
	issuer, service := newIssuer(t), newService(t)
	p := startGateway(t, commonConfig(issuer, service), nil)
	token := p.neverShow(issuer.JWT(xenaauthtest.Token{Subject: "anna"}))
	for _, announced := range []string{"Trailer: X-Auth-User, X_Auth_User\r\n", ""} {
		a, err := sendBytes(t, p.addr("proxy"), "POST /Api/Write HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer "+token+
			"\r\nTransfer-Encoding: chunked\r\n"+announced+
			"\r\n4\r\nbody\r\n0\r\nX-Auth-User: root\r\nX_Auth_User: root\r\nX-Other: 1\r\n\r\n")
		if err != nil {
			t.Fatal(err)
		}
		s := a.seen(t)
		if s.Body != "body" || len(s.Trailer) > 0 {
			t.Errorf("the service got %q and trailers %v", s.Body, s.Trailer)
		}
		s.wantField(t, "X-Auth-User", "anna")
		s.wantNoField(t, "Trailer")
	}
}

func TestWhereARequestComesFrom(t *testing.T) {
	issuer, service := newIssuer(t), newService(t)
	lies := []string{
		"X-Forwarded-For: 10.9.9.9", "X-Forwarded-Host: evil", "X-Forwarded-Proto: https", "X-Forwarded-Prefix: /evil",
		"Forwarded: for=10.9.9.9", "X-Real-Ip: 10.9.9.9", "X_Forwarded_For: 10.9.9.9", "X-Original-Url: /evil",
		"X-Rewrite-Url: /evil", "X-Forwarded-Uri: /evil", "X-Original-Method: PUT", "X_Original_URL: /evil",
		"X-Forwarded: for=10.9.9.9", "Proxy: http://evil", "X-Cluster-Client-Ip: 10.9.9.9", "X-Proxyuser-Ip: 10.9.9.9",
	}
	for trusted, want := range map[string]struct{ forFor, proto string }{
		"":                                 {"127.0.0.1", "http"},
		"trusted_proxies: [10.0.0.0/8]\n":  {"127.0.0.1", "http"},
		"trusted_proxies: [127.0.0.0/8]\n": {"10.9.9.9, 127.0.0.1", "https"},
	} {
		p := startGateway(t, trusted+commonConfig(issuer, service), nil)
		s := sendRequest(t, "GET", p.url("proxy", "/open/x"), "", append(lies, "Host: good.example")...).seen(t)
		s.wantField(t, "X-Forwarded-For", want.forFor)
		s.wantField(t, "X-Forwarded-Proto", want.proto)
		s.wantField(t, "X-Forwarded-Host", "good.example")
		for _, gone := range []string{"Forwarded", "X-Real-Ip", "X-Forwarded-Prefix", "X-Original-Url", "X-Rewrite-Url",
			"X-Forwarded-Uri", "X-Original-Method", "X-Forwarded", "Proxy", "X-Cluster-Client-Ip", "X-Proxyuser-Ip"} {
			s.wantNoField(t, gone)
		}
	}
}

func TestAuthorizationIsForwardedIfConfigured(t *testing.T) {
	issuer, service := newIssuer(t), newService(t)
	p := startGateway(t, "authorization: forward\n"+commonConfig(issuer, service), nil)
	token := p.neverShow(issuer.JWT(xenaauthtest.Token{}))
	s := sendRequest(t, "GET", p.url("proxy", "/Api/Read"), token).seen(t)
	s.wantField(t, "Authorization", "Bearer "+token)
	s.wantField(t, "X-Auth-User", "104711")
	// The gateway adds header fields, for example X-Forwarded-For, to the request for the service.
	// A client can't remove these fields by naming them in the field Connection.
	s = sendRequest(t, "GET", p.url("proxy", "/Api/Read"), token, "Connection: X-Forwarded-For, X-Auth-User").seen(t)
	s.wantField(t, "X-Forwarded-For", "127.0.0.1")
}

// The service verifies the assertion, the gateway's signed token about the user, with package
// xenaauth. The header fields with unsigned data about the user are empty.
func TestAssertionIsVerifiedUpstream(t *testing.T) {
	issuer, service := newIssuer(t), newService(t)
	p := startGateway(t, commonConfig(issuer, service)+`identity:
  assertion:
    issuer: https://gateway.example
    audience: upstream
    key_files: [key.pem]
`, map[string]string{"key.pem": newKey(t)})
	verify, err := xenaauth.NewValidator(xenaauth.Config{
		Issuer: "https://gateway.example", Audiences: []string{"upstream"},
		JWKSURL: p.url("proxy", "/.well-known/jwks.json"), Profile: xenaauth.ProfileRFC9068,
	})
	if err != nil {
		t.Fatal(err)
	}
	token := p.neverShow(issuer.JWT(xenaauthtest.Token{Subject: "anna"}))
	check := func() {
		t.Helper()
		s := sendRequest(t, "GET", p.url("proxy", "/Api/Read"), token, "X-Auth-Assertion: forged", "X_Auth_Assertion: forged").seen(t)
		if n := len(s.Header["X-Auth-Assertion"]); n != 1 || s.Header["X_auth_assertion"] != nil {
			t.Fatalf("%d assertions", n)
		}
		user, err := verify.Validate(t.Context(), p.neverShow(s.Header.Get("X-Auth-Assertion")))
		if err != nil || user.Subject() != "anna" {
			t.Fatalf("%v, %v", user, err)
		}
		s.wantField(t, "X-Auth-User", "")
		s.wantField(t, "X-Auth-Issuer", "")
		var from string
		if err := user.Claim("token_iss", &from); err != nil || from != issuer.URL() {
			t.Errorf("token_iss %q, %v", from, err)
		}
	}
	check()
	s := sendRequest(t, "GET", p.url("proxy", "/open/x"), "", "X-Auth-Assertion: forged").seen(t)
	if s.Header.Get("X-Auth-Assertion") != "" {
		t.Error("nobody has an assertion")
	}
	// The gateway signs assertions with the key in key.pem. The test writes a new key into this
	// file, and the gateway uses it without a restart. Then the test writes a text that is no key.
	// The gateway refuses this text, and still signs with the new key.
	before := sendRequest(t, "GET", p.url("proxy", "/.well-known/jwks.json"), "").body
	p.write("key.pem", newKey(t))
	p.signal(1)
	p.waitForLog("keys are in use")
	if after := sendRequest(t, "GET", p.url("proxy", "/.well-known/jwks.json"), "").body; after == before {
		t.Error("the key set is the old one")
	}
	p.write("key.pem", "nonsense")
	p.signal(1)
	p.waitForLog("keys not taken")
	const refused = `xenagate_reloads_total{result="refused",what="keys"} 1`
	if m := sendRequest(t, "GET", p.url("admin", "/metrics"), "").body; !strings.Contains(m, refused) {
		t.Error("the refusal isn't counted")
	}
	verify, err = xenaauth.NewValidator(xenaauth.Config{
		Issuer: "https://gateway.example", Audiences: []string{"upstream"},
		JWKSURL: p.url("proxy", "/.well-known/jwks.json"), Profile: xenaauth.ProfileRFC9068,
	})
	if err != nil {
		t.Fatal(err)
	}
	check()
}

func TestIdentityThatDoesNotFit(t *testing.T) {
	issuer, service := newIssuer(t), newService(t)
	p := startGateway(t, commonConfig(issuer, service)+"identity: {claim_headers: {X-Auth-Act: act}}\n"+
		"audit: {file: audit.log, key_file: secret}\n", map[string]string{"secret": auditKey})
	token := p.neverShow(issuer.JWT(xenaauthtest.Token{Claims: map[string]any{"act": map[string]any{"sub": "x"}}}))
	if a := sendRequest(t, "GET", p.url("proxy", "/Api/Read"), token); a.status != http.StatusForbidden || service.n.Load() != 0 {
		t.Errorf("%d, the service was reached %d times", a.status, service.n.Load())
	}
	p.waitForLog(`"msg":"request"`, `"reason":"forbidden"`, `"status":403`)
	p.waitForLog(`"msg":"xenaauth: request refused"`, `"reason":"forbidden"`, `"why":"identity: X-Auth-Act: `)
	scopes := []string{"testapi"}
	for i := range 400 {
		scopes = append(scopes, fmt.Sprintf("scope-%04d", i))
	}
	huge := p.neverShow(issuer.JWT(xenaauthtest.Token{Scopes: scopes}))
	if a := sendRequest(t, "GET", p.url("proxy", "/Api/Read"), huge); a.status != http.StatusForbidden || service.n.Load() != 0 {
		t.Errorf("%d, the service was reached %d times", a.status, service.n.Load())
	}
	records := auditRecords(t, filepath.Join(p.dir, "audit.log"))
	if len(records) != 2 {
		t.Errorf("the audit log has %d records, want 2", len(records))
	}
	for _, record := range records {
		if record["outcome"] != "refused" || record["status"] != 403.0 || record["reason"] != "forbidden" {
			t.Errorf("the audit log says %v", record)
		}
	}
}

func TestPathTricks(t *testing.T) {
	issuer, service := newIssuer(t), newService(t)
	p := startGateway(t, commonConfig(issuer, service), nil)
	for _, target := range []string{
		"/open/../Api/Read", "/open/%2e%2e/Api/Read", "/open/.%2e/Api/Read", "/open/..%2fApi/Read", "/open/%2fApi",
		"/open//Api/Read", "//Api/Read", "/open/..\\Api", "/open/%5c..%5cApi", "/open/..;/Api/Read", "/open/x;a=b/../Api",
		"/open/%00", "/open/x.", "/open/./x", "/open/%252e%252e/Api", "/open/x%3f", "/open/x%23", "/open/\x7f",
		"http://other/open/x", "http://a/open/x", "other:443", "*", "/open/%u002e", "/open/%c0%ae%c0%ae/Api", "/open/\xff",
		"/open/%ef%bc%8fApi", "/open/%e2%80%ae", "/open/%7f", "/open/%1b[2J",
	} {
		for _, method := range []string{"GET", "CONNECT", "OPTIONS"} {
			a, err := sendBytes(t, p.addr("proxy"), method+" "+target+" HTTP/1.1\r\nHost: a\r\n\r\n")
			if err != nil {
				t.Errorf("%q: %v", target, err)
			} else if a.status != 400 && a.status != 403 && (a.status != 405 || method != "CONNECT") {
				t.Errorf("%s %q: %d %s", method, target, a.status, a.body)
			}
		}
	}
	for _, request := range []string{
		"GET /open/x HTTP/1.1\r\n\r\n",
		"GET /open/x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
		"GET /open/x HTTP/1.1\r\nHost: a b\r\n\r\n",
		"GET /open/x HTTP/1.1\r\nHost: a/../b\r\n\r\n",
		"get /open/x HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /open/x HTTP/1.1\r\nHost: a\r\nX-HTTP-Method-Override: DELETE\r\n\r\n",
		"POST /open/x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"POST /open/x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
		"POST /open/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
		"GET /open/x HTTP/1.1\r\nHost: a\r\nX-Auth-User : root\r\n\r\n",
	} {
		a, err := sendBytes(t, p.addr("proxy"), request)
		if err != nil || a.status != 400 && a.status != 403 && a.status != 501 {
			// If a request has both Content-Length and Transfer-Encoding, the gateway removes
			// Content-Length (RFC 9112, section 6.3), and the request may pass.
			if err == nil && a.status == 200 && strings.Contains(request, "chunked\r\n\r\n0") && a.seen(t).Body == "" {
				continue
			}
			t.Errorf("%q: %d, %v", request, a.status, err)
		}
	}
	if n := service.n.Load(); n > 1 {
		t.Errorf("the service was reached %d times: %v", n, service.last.Load())
	}
	// The table of routes does not look at the query of a URL. The gateway removes the parts of a
	// query that different servers would split in different ways.
	s := sendRequest(t, "GET", p.url("proxy", "/open/x?a=1;b=2&c=3"), "").seen(t)
	if strings.Contains(s.URI, ";") || !strings.Contains(s.URI, "c=3") {
		t.Errorf("the service was asked for %s", s.URI)
	}
	token := p.neverShow(issuer.JWT(xenaauthtest.Token{}))
	if a := sendRequest(t, "GET", p.url("proxy", "/Api/Read?access_token="+token), token); a.status != 200 {
		t.Errorf("a token also in the query: %d", a.status)
	}
	if a := sendRequest(t, "GET", p.url("proxy", "/Api/Read?access_token="+token), ""); a.status != 401 {
		t.Errorf("a token in the query: %d", a.status)
	}
	// The log contains the decoded paths. In them, control characters and invisible ones are escaped.
	for raw, escaped := range map[string]string{
		"\x00": `\u0000`, "\x1b": `\u001b`, "\x7f": `\u007f`, "\u202e": `\u202e`,
	} {
		p.waitForLog(`"msg":"request"`, `"path":"/open/`+escaped)
		if p.lines(raw) > 0 {
			t.Errorf("%s is in the log as it is", escaped)
		}
	}
}

// The gateway refuses CONNECT. The rule for a CONNECT request is found by the path of the request,
// but over HTTP/2 an upstream would not get this path.
func TestConnect(t *testing.T) {
	issuer := newIssuer(t)
	var reached atomic.Int64
	tunnels := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reached.Add(1)
		_, _ = io.WriteString(w, r.Proto)
	}))
	tunnels.EnableHTTP2 = true
	tunnels.StartTLS()
	t.Cleanup(tunnels.Close)
	authority := filepath.Join(t.TempDir(), "ca.pem")
	block := &pem.Block{Type: "CERTIFICATE", Bytes: tunnels.Certificate().Raw}
	if err := os.WriteFile(authority, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSL_CERT_FILE", authority)
	p := startGateway(t, strings.Replace(commonConfig(issuer, &service{Server: tunnels}), "rules:\n",
		"rules:\n    - {route: CONNECT /tunnel, access: public}\n", 1), nil)
	if a := sendRequest(t, "GET", p.url("proxy", "/open/x"), ""); a.body != "HTTP/2.0" {
		t.Fatalf("the upstream should speak HTTP/2: %s", a.body)
	}
	for _, target := range []string{"/open/x", "/tunnel", "/", "internal.example:5432"} {
		a, err := sendBytes(t, p.addr("proxy"), "CONNECT "+target+" HTTP/1.1\r\nHost: internal.example:5432\r\n\r\n")
		if err != nil || a.status != 405 || a.reason() != "method" {
			t.Errorf("%s: %d %s, %v", target, a.status, a.body, err)
		}
	}
	if n := reached.Load(); n != 1 {
		t.Errorf("the upstream was reached %d times", n)
	}
}

// A request without a host is refused. Otherwise the service would see the address of the upstream
// as the host.
func TestNoHost(t *testing.T) {
	issuer, service := newIssuer(t), newService(t)
	p := startGateway(t, commonConfig(issuer, service), nil)
	for _, rest := range []string{" HTTP/1.0\r\n", " HTTP/1.0\r\nHost: \r\n", " HTTP/1.1\r\nHost: \r\n",
		" HTTP/1.1\r\nHost: :80\r\n"} {
		a, err := sendBytes(t, p.addr("proxy"), "GET /open/x"+rest+"\r\n")
		if err != nil || a.status != 400 || a.reason() != "ambiguous_target" || service.n.Load() > 0 {
			t.Errorf("%q: %d %s, %v", rest, a.status, a.body, err)
		}
	}
	p.waitForLog(`"reason":"ambiguous_target"`, `"outcome":"refused"`)
	a, err := sendBytes(t, p.addr("proxy"), "GET /open/%61|b HTTP/1.0\r\nHost: a\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	// The client sent the path /open/%61|b. The service gets it in the form that README.md of
	// xenagate describes: characters that must be escaped are escaped.
	if s := a.seen(t); s.Host != "a" || s.URI != "/open/a%7Cb" {
		t.Errorf("the service was asked for %s%s", s.Host, s.URI)
	}
}
