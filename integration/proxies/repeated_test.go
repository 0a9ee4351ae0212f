package proxies

import (
	"slices"
	"strings"
	"testing"

	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// The sample configurations of the proxies remove or replace some header fields. TestRepeated sends
// each of these fields repeatedly: two values in both orders, both values as one list, and a value
// together with an empty field. If a configuration handled only the first or only the last field,
// the other field would reach the service.
func TestRepeated(t *testing.T) {
	eachProxy(t, func(t *testing.T, e *env) {
		token := bearer(e.issuer.JWT(xenaauthtest.Token{Subject: "me", ClientID: "shop", Scopes: []string{"testapi"}}))
		names := append(slices.Clone(misleadingFields), "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto",
			"x-forwarded-port", "x-auth-user", "x-auth-client", "x-auth-scopes", "x-auth-issuer", "http2-settings")
		for _, name := range names {
			for _, values := range [][]string{{"a", "b"}, {"b", "a"}, {"a, b"}, {"", "a"}, {"a", ""}, {"a", "a", "b"}} {
				lines := append([]string{token}, named(name, values)...)
				// the last of the repeated fields gets a name in upper case
				lines[len(lines)-1] = strings.ToUpper(name) + lines[len(lines)-1][len(name):]
				a, err := e.trySend("GET", "/api/x", "", lines...)
				if err != nil || a.Status != 200 {
					if !e.optional {
						t.Errorf("%q: %d, %v: the sample should have taken them out", lines[1:], a.Status, err)
					}
					continue
				}
				got := a.readArrivedRequest(t)
				if got.User != "me" || got.Client != "shop" || got.Scopes != "testapi" || got.Issuer != e.issuer.URL() {
					t.Errorf("%q: %q %q %q", lines[1:], got.User, got.Client, got.Scopes)
				}
				for field, have := range got.Header {
					if strings.EqualFold(field, name) && slices.ContainsFunc(values, func(v string) bool {
						return v != "" && slices.Contains(have, v)
					}) {
						t.Errorf("%q: %s: %q has arrived", lines[1:], field, have)
					}
				}
			}
		}
		e.service.failOnViolations(t)
	})
}

// TestRepeatedCredentials sends requests with two tokens, two hosts or two lengths through each
// proxy. If the proxy and another server could use different values, the request must not pass.
func TestRepeatedCredentials(t *testing.T) {
	eachProxy(t, func(t *testing.T, e *env) {
		user := bearer(e.issuer.JWT(xenaauthtest.Token{Scopes: []string{"testapi"}}))
		admin := bearer(e.issuer.JWT(xenaauthtest.Token{Scopes: []string{"admin"}}))
		for _, lines := range [][]string{
			{user, admin}, {admin, user}, {admin, admin}, {"Authorization:", admin}, {admin, "Authorization:"},
			{"Authorization: Basic YTpi", admin}, {admin, "authorization: Basic YTpi"}, {admin + ", Bearer x"},
			{admin + ","}, {admin, "Host: secret.example"}, {"Host: api.example", admin, "HOST: secret.example"},
		} {
			a, err := e.trySend("GET", "/admin/x", "", lines...)
			if err != nil || a.Status/100 != 4 {
				t.Errorf("%.60q: %d, %v", lines, a.Status, err)
			}
		}
		const inner = "GET /admin/x HTTP/1.1\r\nHost: api.example\r\nX-Auth-User: root\r\n\r\n"
		for _, lines := range []string{
			"Content-Length: 0\r\nContent-Length: 68", "Content-Length: 68\r\nContent-Length: 0", "Content-Length: 0, 68",
			"Transfer-Encoding: chunked\r\nContent-Length: 68", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
			"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked, identity",
			"Transfer-Encoding: x, chunked", "Transfer-Encoding:\x0bchunked", "Transfer_Encoding: chunked",
			"Transfer.Encoding: chunked", "Content_Length: 68", "Content-Length: 0\r\nTransfer_Encoding: chunked",
			"Content-Length : 68", "Content-Length: +68", "Content-Length: 0\r\nContent_Length: 68",
		} {
			a, err := e.sendRaw("POST", "POST /open/x HTTP/1.1\r\nHost: api.example\r\n"+lines+"\r\n\r\n0\r\n\r\n"+inner)
			t.Logf("%q: %d, %v", lines, a.Status, err)
		}
		// The service has recorded each request that broke a rule. If a request for /admin/x has
		// arrived at the service without the scope admin, failOnViolations fails the test.
		e.service.failOnViolations(t)
	})
}

// TestMethodByHTTP2 sends HTTP/2 requests that contradict themselves, for example with two paths,
// or that have a line break in a field. If a proxy accepted such a request, it would forward it to
// the service as an HTTP/1.1 request with another meaning.
func TestMethodByHTTP2(t *testing.T) {
	eachProxy(t, func(t *testing.T, e *env) {
		if !e.h2c {
			t.Skip("it takes no HTTP/2 without TLS")
		}
		for _, lines := range [][]string{
			{":method GET", ":scheme http", ":path /open/x", ":path /admin/x", ":authority api.example"},
			{":method GET", ":scheme http", ":path /open/x", ":authority api.example", "host secret.example"},
			{":method GET", ":method DELETE", ":scheme http", ":path /read/x", ":authority api.example"},
			{":method GET", ":scheme http", ":path /open/x HTTP/1.1\r\nX-Auth-User: root", ":authority api.example"},
			{":method GET", ":scheme http", ":path /open/x", ":authority api.example", "x-a b\r\nX-Auth-User: root"},
			{":method GET", ":scheme http", ":path /open/x", ":authority api.example", "x-auth-user root", "x-auth-user me"},
			{":method GET", ":scheme http", ":path /open/x", ":authority api.example", "x_auth_user root"},
			{":method GET", ":scheme http", ":path /open/x", ":authority api.example", "transfer-encoding chunked"},
			{":method GET", ":scheme http", ":path /open/x", ":authority api.example", "connection x-auth-user"},
		} {
			c := e.dial(t)
			_, _ = c.Write([]byte(connectionPreface + headersFrame(1, true, lines...)))
			readResponse(c, 1)
		}
		e.service.failOnViolations(t)
	})
}
