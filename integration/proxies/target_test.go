package proxies

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// trickTargets lists targets (the path in the first line of a request) that some servers read as
// /admin or as a path with a weaker rule. No request with one of these targets may pass.
var trickTargets = []string{
	"/admin", "/admin/", "/admin/x", "//admin", "///admin/x", "/api//admin", "/api//../admin/x",
	"//api.example/admin", "/open//../admin", "/./admin", "/api/./x", "/api/../admin", "/open/../admin/x",
	"/open/..", "/api/.../x", "/api/x/.", "/api/x/..", "/open/%2e%2e/admin", "/open/%2E./admin",
	"/open/.%2e/admin/x", "/%2e/admin", "/open/%252e%252e/admin", "/open%2f..%2fadmin", "/open/..%2fadmin",
	"/open/%2F/admin", "/api%2Fx", "/%2fadmin", "/open/..%252fadmin", "/open/..%5cadmin", "/open/..\\admin",
	"\\admin", "/\\admin", "/open\\..\\admin", "/api/%5c..%5c..%5cadmin", "/open/..;/admin", "/admin;x",
	"/;/admin", "/open/;x/../admin", "/api/x;y=1", "/api/x%3by", "/admin%3bx", "/open/%00/admin", "/admin%00",
	"/api/x%00", "/open/x%0d%0aX-Auth-User:admin", "/open/x%0a", "/api/x%7f", "/%61dmin", "/%61%64%6d%69%6e",
	"/admi%6e/x", "/%2561dmin", "/api/x%25", "/api/%252e%252e/admin", "/api/x%3f/../../admin", "/admin%3fx",
	"/admin%23x", "/api/x#/../../admin", "/admin#x", "#/admin", "/api/x%20", "/api/x.", "/admin.", "/admin%20",
	"/admin./x", "/open/x%2e", "/api/x%c0%ae", "/open/%c0%ae%c0%ae/admin", "/open/%ef%bc%8f..%ef%bc%8fadmin",
	"/open/%e2%80%8b../admin", "/api/%zz", "/api/%", "/api/%2", "/api/\xff", "/api/\x01x", "/api/closed",
	"/api/closed/", "/api/closed?x", "/api/%63losed", "/api/closed/.", "/ADMIN", "/Admin/x", "/API/x",
	"/Open/x", "*", "", "admin", "api.example/admin", "open/../admin", "?/admin",
	"/open?x/../../admin HTTP/1.1 /admin", "http://api.example/admin", "http://api.example//admin",
	"http://api.example/open/../admin", "https://api.example/admin", "http://x@api.example/admin",
	"HTTP://API.EXAMPLE/admin", "http:///admin", "http://api.example", "file:///admin",
	"//open.example/../admin", "/open/x /admin", "/open/\t/admin", "/%20admin", "/open/%20/../admin", "/api/%20x", "/%C2%A0admin",
	"/api/%E3%80%80x", "/(S(x))/admin", "/open/(S(x))/../admin", "/api/(A(x)F(y))/x", "/%28S%28x%29%29/admin", "/admin::$DATA",
	"/api/x:$I30:$INDEX_ALLOCATION",
}

// TestTargets sends requests with each target in trickTargets, exactly as it is, through each
// proxy. None of these requests may reach the service behind the proxy. The test also sends other
// unusual requests, which may reach the service. If such a request reaches the service although its
// user lacks the scope that the target requires, the test fails.
func TestTargets(t *testing.T) {
	eachProxy(t, func(t *testing.T, e *env) {
		user := bearer(e.issuer.JWT(xenaauthtest.Token{Scopes: []string{"testapi"}}))
		for _, method := range []string{"GET", "POST", "HEAD", "OPTIONS"} {
			for _, target := range trickTargets {
				before := e.service.n.Load()
				a, err := e.trySend(method, target, "", user)
				// the proxy itself may refuse the request, without asking xenagate
				if err == nil && a.Status/100 != 4 && method+target != "OPTIONS*" {
					t.Errorf("%s %q: %d %s", method, target, a.Status, a.Body)
				}
				if e.service.n.Load() != before {
					t.Errorf("%s %q has reached the service: %s", method, target, a.Body)
				}
			}
		}
		e.service.failOnViolations(t)

		// These targets are unusual but allowed by HTTP. The proxy may let these requests pass or
		// refuse them.
		admin := bearer(e.issuer.JWT(xenaauthtest.Token{Scopes: []string{"testapi", "admin"}}))
		for _, target := range []string{
			"/api/%C3%A5", "/api/x%2Dy", "/api/~x", "/api/a+b", "/api/@:!$&'()*,=", "/api/?//../admin", "/api/x?%00%2f..",
			"/admin/%78",
			"/api/x?y=a|b", "/api/x?a[]=1", "/admin/x//y", "/admin/../api/x", "/admin/x;y", "http://api.example/api/x",
			"http://other.example/api/x", "HTTP://api.example:80/admin/x",
		} {
			a, err := e.trySend("GET", target, "", admin)
			t.Logf("%q: %d, %v", target, a.Status, err)
			if err == nil && a.Status == 200 && target[0] == '/' && !e.optional {
				if got := a.readArrivedRequest(t); got.URI != target {
					t.Errorf("%q has become %q", target, got.URI)
				}
			}
		}
		for _, request := range []string{
			"GET /admin/x HTTP/1.0\r\n" + user + "\r\n\r\n",
			"GET /admin/x HTTP/1.1\r\n" + user + "\r\n\r\n",
			"GET /admin/x HTTP/1.1\r\nHost:\r\n" + user + "\r\n\r\n",
			"GET /admin/x HTTP/1.1\r\nHost: a/open/\r\n" + user + "\r\n\r\n",
			"GET /admin/x HTTP/1.1\r\nHost: api.example\r\nHost: api.example\r\n" + user + "\r\n\r\n",
			"GET /admin/x HTTP/1.1\r\nHost: api.example\r\n" + user + "\r\n" + user + "\r\n\r\n",
			"GET /api/x HTTP/1.1\r\nHost: secret.example\r\n" + user + "\r\n\r\n",
			"GET /api/x HTTP/1.1\r\nHost: SECRET.example:80\r\n" + user + "\r\n\r\n",
			"GET /api/x HTTP/1.1\r\nHost: secret.example.\r\n" + user + "\r\n\r\n",
			"GET http://secret.example/api/x HTTP/1.1\r\nHost: api.example\r\n" + user + "\r\n\r\n",
			"GET /api/x HTTP/1.1\r\nHost: api.example\r\nHost: secret.example\r\n" + user + "\r\n\r\n",
			"get /admin/x HTTP/1.1\r\nHost: api.example\r\n" + user + "\r\n\r\n",
			"CONNECT api.example:80 HTTP/1.1\r\nHost: api.example\r\n" + user + "\r\n\r\n",
			"TRACE /api/x HTTP/1.1\r\nHost: api.example\r\n\r\n",
			"GET /admin/x\r\n\r\n",
			"POST /open/x HTTP/1.1\r\nHost: api.example\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n" +
				"0\r\n\r\nGET /admin/x HTTP/1.1\r\nHost: api.example\r\n\r\n",
			"POST /open/x HTTP/1.1\r\nHost: api.example\r\nTransfer-Encoding: xchunked\r\nContent-Length: 5\r\n\r\n" +
				"0\r\n\r\nGET /admin/x HTTP/1.1\r\nHost: api.example\r\n\r\n",
		} {
			a, err := e.sendRaw("GET", request)
			t.Logf("%.40q: %d, %v", request, a.Status, err)
			if err == nil && a.Status == 200 && request[:12] != "POST /open/x" {
				t.Errorf("%q: %s", request, a.Body)
			}
		}
		e.service.failOnViolations(t)
		e.get(t, "/api/x", user).readArrivedRequest(t)
		e.get(t, "/admin/x", admin).readArrivedRequest(t)
	})
}

// TestHTTP2 sends HTTP/2 requests without TLS through the proxies that accept them.
func TestHTTP2(t *testing.T) {
	eachProxy(t, func(t *testing.T, e *env) {
		if !e.h2c {
			t.Skip("the sample has HTTP/2 with TLS only")
		}
		protocols := new(http.Protocols)
		protocols.SetUnencryptedHTTP2(true)
		client := &http.Client{Transport: &http.Transport{Protocols: protocols}, Timeout: 10 * time.Second}
		defer client.CloseIdleConnections()
		token := e.issuer.JWT(xenaauthtest.Token{Subject: "me"})
		for target, status := range map[string]int{
			"/api/x?y=1": 200, "/admin/x": 403, "/api/%2e%2e/admin": 400, "//admin": 400,
		} {
			r, err := http.NewRequestWithContext(context.Background(), "GET", "http://"+e.addr+target, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+token)
			r.Header["x_auth_user"] = []string{"admin"}
			r.Header["x-auth-user"] = []string{"admin"}
			resp, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != status || resp.ProtoMajor != 2 {
				t.Errorf("%s: %s %d, want %d", target, resp.Proto, resp.StatusCode, status)
			}
		}
	})
}
