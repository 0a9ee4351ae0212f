package main_test

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/xenaauth/xenaauth/xenaauthtest"
)

const asking = `forward_auth:
  listen: 127.0.0.1:0
  endpoints:
    - {path: /verify, dialect: nginx, trusted_peers: [127.0.0.0/8]}
    - {path: /traefik, dialect: traefik, trusted_peers: [127.0.0.0/8]}
    - {path: /envoy, dialect: envoy, trusted_peers: [127.0.0.0/8]}
    - {path: /far, dialect: haproxy, trusted_peers: [10.0.0.0/8]}
`

func TestForwardAuth(t *testing.T) {
	issuer, service := newIssuer(t), newService(t)
	p := startGateway(t, commonConfig(issuer, service)+asking, nil)
	good := p.neverShow(issuer.JWT(xenaauthtest.Token{Subject: "anna"}))
	original := func(method, host, uri string) []string {
		return []string{"X-Original-Method: " + method, "X-Original-Host: " + host, "X-Original-Uri: " + uri}
	}
	forwarded := func(method, host, uri string) []string {
		return []string{"X-Forwarded-Method: " + method, "X-Forwarded-Host: " + host, "X-Forwarded-Uri: " + uri}
	}
	for _, c := range []struct {
		method, path, token string
		fields              []string
		status              int
		user, reason        string
	}{
		{"GET", "/verify", good, original("GET", "a", "/Api/Read"), 200, "anna", ""},
		{"GET", "/verify", "", original("GET", "a", "/news"), 200, "", ""},
		{"GET", "/verify", "", original("GET", "a", "/Api/Read"), 401, "", "missing_token"},
		{"GET", "/verify", good, original("GET", "a", "/Api/Admin"), 403, "", "insufficient_scope"},
		{"GET", "/verify", good, original("GET", "a", "/open/../Api"), 401, "", "ambiguous_target"},
		{"GET", "/verify", good, nil, 401, "", "ambiguous_target"},
		{"GET", "/traefik", good, forwarded("GET", "a", "/Api/Read"), 200, "anna", ""},
		{"GET", "/traefik", good, forwarded("GET", "a", "/open/../Api"), 400, "", "ambiguous_target"},
		{"GET", "/envoy/Api/Read", good, nil, 200, "anna", ""},
		{"POST", "/envoy/Api/Write", good, nil, 200, "anna", ""},
		{"GET", "/envoy/open/../Api/Read", good, nil, 400, "", "ambiguous_target"},
		{"GET", "/envoy/../verify", good, original("GET", "a", "/Api/Read"), 400, "", "ambiguous_target"},
		{"GET", "/far", good, original("GET", "a", "/Api/Read"), 403, "", "peer"},
		{"GET", "/", good, original("GET", "a", "/Api/Read"), 404, "", "not_found"},
		{"GET", "/verify/", good, original("GET", "a", "/Api/Read"), 404, "", "not_found"},
		{"GET", "//verify", good, original("GET", "a", "/Api/Read"), 404, "", "not_found"},
		{"GET", "/Api/Read", good, nil, 404, "", "not_found"},
	} {
		a := sendRequest(t, c.method, p.url("forward_auth", c.path), c.token, c.fields...)
		if a.status != c.status || a.header.Get("X-Auth-User") != c.user || c.status == 200 && a.body != "" {
			t.Errorf("%s %s %v: %d, user %q: %s", c.method, c.path, c.fields, a.status, a.header.Get("X-Auth-User"), a.body)
		}
		if _, set := a.header["X-Auth-User"]; c.status == 200 && !set {
			t.Errorf("%s %s %v: the user isn't set", c.method, c.path, c.fields)
		}
		if c.reason != "" {
			p.waitForLog(`"door":"forward_auth"`, `"reason":"`+c.reason+`"`)
		}
	}
	// A proxy asks the gateway about a client's request by sending a subrequest. The access log
	// contains the method and the path of the client's request, and not those of the subrequest.
	p.waitForLog(`"door":"forward_auth"`, `"method":"POST"`, `"path":"/Api/Write"`, `"sub":"anna"`, `"outcome":"allowed"`)
	if service.n.Load() > 0 {
		t.Error("the service was reached")
	}
}

func TestExtAuthz(t *testing.T) {
	issuer, service := newIssuer(t), newService(t)
	socket := filepath.Join(t.TempDir(), "s")
	for listen, trusted := range map[string]string{
		"127.0.0.1:0": "", "127.0.0.1:00": "trusted_peers: [10.0.0.0/8]", "unix:" + socket: "",
	} {
		p := startGateway(t, commonConfig(issuer, service)+"ext_authz:\n  listen: "+listen+"\n  "+trusted+"\n", nil)
		address := p.addr("ext_authz")
		if strings.HasPrefix(listen, "unix:") {
			address = listen
		}
		conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		envoy := authv3.NewAuthorizationClient(conn)
		ask := func(method, path, token string) (*authv3.CheckResponse, error) {
			ctx, cancel := context.WithTimeout(t.Context(), maxWait)
			defer cancel()
			return envoy.Check(ctx, &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
				Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
					Method: method, Host: "a", Path: path, Scheme: "http",
					HeaderMap: &corev3.HeaderMap{Headers: []*corev3.HeaderValue{
						{Key: "authorization", RawValue: []byte("Bearer " + token)},
					}},
				}},
			}})
		}
		good := p.neverShow(issuer.JWT(xenaauthtest.Token{Subject: "anna"}))
		if trusted != "" {
			if res, err := ask("GET", "/Api/Read", good); err == nil {
				t.Errorf("a stranger was told %v", res)
			}
			p.waitForLog(`"door":"ext_authz"`, `"reason":"peer"`)
			continue
		}
		res, err := ask("GET", "/Api/Read", good)
		if err != nil || res.GetOkResponse() == nil {
			t.Fatalf("%v, %v", res, err)
		}
		if !strings.Contains(res.String(), "anna") {
			t.Errorf("the user isn't told: %v", res)
		}
		res, err = ask("GET", "/Api/Admin", good)
		if err != nil || res.GetDeniedResponse().GetStatus().GetCode() != http.StatusForbidden {
			t.Errorf("%v, %v", res, err)
		}
		p.waitForLog(`"door":"ext_authz"`, `"status":200`, `"route":"GET /Api/Read"`, `"sub":"anna"`, `"outcome":"allowed"`)
		p.waitForLog(`"door":"ext_authz"`, `"status":403`, `"reason":"insufficient_scope"`)
	}
}

// The gateway tells the service in header fields, the identity fields, who the user is. If these
// fields can't be set for a user, the gateway refuses the request. The test sends requests to the
// listener for clients and to the listeners forward_auth and ext_authz. At each listener, the
// access log, the metrics, the audit log and the response have the same reason.
func TestIdentityRefusalHasOneReason(t *testing.T) {
	issuer, service := newIssuer(t), newService(t)
	p := startGateway(t, commonConfig(issuer, service)+asking+`ext_authz: {listen: "127.0.0.1:0"}
audit: {file: audit.log, key_file: secret}
identity:
  claim_headers: {X-Auth-Act: act}
  assertion: {issuer: a, audience: b, key_files: [key.pem], with_headers: true}
`, map[string]string{"secret": auditKey, "key.pem": newKey(t)})
	conn, err := grpc.NewClient(p.addr("ext_authz"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	envoy := authv3.NewAuthorizationClient(conn)
	for _, c := range []struct {
		path, reason string
		status       int
		token        xenaauthtest.Token
	}{
		// The setting claim_headers copies the claim act into a header field. Here the claim is a
		// JSON object. A header field can't have an object as its value, so the user is refused.
		{"/Api/Read", "forbidden", 403, xenaauthtest.Token{Claims: map[string]any{"act": map[string]any{"sub": "x"}}}},
		// The access token expired one second ago. The check of the token allows for clock skew, so
		// it still accepts the token. But the signed assertion for the service can't outlive the
		// access token: it would have expired too. So the gateway makes no assertion, and refuses
		// the request.
		{"/me", "expired", 401, xenaauthtest.Token{Lifetime: -time.Second}},
	} {
		token := p.neverShow(issuer.JWT(c.token))
		asked := sendRequest(t, "GET", p.url("forward_auth", "/envoy"+c.path), token)
		for door, a := range map[string]answer{
			"proxy": sendRequest(t, "GET", p.url("proxy", c.path), token), "forward_auth": asked,
		} {
			if a.status != c.status || a.reason() != c.reason {
				t.Errorf("%s: %d %s, want %d and %q", door, a.status, a.body, c.status, c.reason)
			}
		}
		res, err := envoy.Check(t.Context(), &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
			Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
				Method: "GET", Host: "a", Path: c.path, Scheme: "http",
				HeaderMap: &corev3.HeaderMap{Headers: []*corev3.HeaderValue{
					{Key: "authorization", RawValue: []byte("Bearer " + token)},
				}},
			}},
		}})
		if err != nil || int(res.GetDeniedResponse().GetStatus().GetCode()) != c.status ||
			!strings.Contains(res.GetDeniedResponse().GetBody(), `"reason":"`+c.reason+`"`) {
			t.Errorf("ext_authz: %v, %v", res, err)
		}
		for _, door := range []string{"proxy", "forward_auth", "ext_authz"} {
			p.waitForLog(`"msg":"request"`, `"door":"`+door+`"`, `"path":"`+c.path+`"`)
			if p.lines(`"door":"`+door+`"`, `"path":"`+c.path+`"`, `"reason":"`+c.reason+`"`) != 1 {
				t.Errorf("%s: the access log lacks the reason %s", door, c.reason)
			}
			series := fmt.Sprintf(`xenagate_requests_total{code="4xx",door="%s",method="GET",`+
				`outcome="refused",reason="%s"}`, door, c.reason)
			if p.metricValue(series) != 1 {
				t.Errorf("%s is not 1", series)
			}
		}
		for i, record := range auditRecords(t, filepath.Join(p.dir, "audit.log")) {
			if i >= 3 == (c.reason == "expired") && record["reason"] != c.reason {
				t.Errorf("the audit log says %v", record)
			}
		}
	}
	if n := len(auditRecords(t, filepath.Join(p.dir, "audit.log"))); n != 6 {
		t.Errorf("%d records in the audit log, want 6", n)
	}
	if service.n.Load() > 0 {
		t.Error("the service was reached")
	}
}

// An issuer sends a logout token to the listener for clients. A second request with this logout
// token is refused. After that, the gateway refuses the tokens of the session in the logout token.
func TestLogout(t *testing.T) {
	issuer, service := newIssuer(t), newService(t)
	p := startGateway(t, commonConfig(issuer, service)+"logout: {path: /backchannel, client_ids: [app]}\n", nil)
	anna := xenaauthtest.Token{Subject: "anna", ClientID: "app", Claims: map[string]any{"sid": "session-1"}}
	token := p.neverShow(issuer.JWT(anna))
	if a := sendRequest(t, "GET", p.url("proxy", "/me"), token); a.status != 200 {
		t.Fatal(a.status)
	}
	logout := p.neverShow(issuer.LogoutToken(anna))
	for _, want := range []int{200, 400} { // a second request with the same logout token is refused
		r, _ := http.NewRequest("POST", p.url("proxy", "/backchannel"), strings.NewReader("logout_token="+logout))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if a := send(t, r); a.status != want {
			t.Errorf("%d: %s, want %d", a.status, a.body, want)
		}
	}
	if a := sendRequest(t, "GET", p.url("proxy", "/me"), token); a.reason() != "revoked" {
		t.Errorf("%d %s", a.status, a.body)
	}
	p.waitForLog(`"route":"/backchannel"`, `"reason":"logout"`)
}
