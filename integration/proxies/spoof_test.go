package proxies

import (
	"slices"
	"strings"
	"testing"

	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// TestSpoofedIdentity sends requests in which the client itself sets the header fields that say who
// the user is, such as X-Auth-User. Normally xenagate sets these fields. The client uses many
// spellings that a service could accept as the same field. Other requests name these fields in the
// field Connection. The proxy may refuse such a request. None of the client's fields may arrive at
// the service.
func TestSpoofedIdentity(t *testing.T) {
	eachProxy(t, func(t *testing.T, e *env) {
		token := bearer(e.issuer.JWT(xenaauthtest.Token{Subject: "me", ClientID: "shop", Scopes: []string{"testapi"}}))
		for _, name := range []string{"user", "client", "scopes", "issuer"} {
			for _, lines := range [][]string{
				{"X-Auth-" + strings.ToUpper(name[:1]) + name[1:] + ": admin"},
				{"x-auth-" + name + ": admin"},
				{"X-AUTH-" + strings.ToUpper(name) + ": admin"},
				{"x-auth-" + name + ": admin", "X-Auth-" + name + ": root"},
				{"x-auth-" + name + ":"},
				{"X_Auth_" + name + ": admin"},
				{"x_auth_" + name + ": admin"},
				{"X_AUTH_" + strings.ToUpper(name) + ": admin"},
				{"X-Auth_" + name + ": admin"},
				{"X_Auth-" + name + ": admin"},
				{"x.auth." + name + ": admin"},
				{"X-Auth." + name + ": admin"},
				{"X.Auth-" + name + ": admin"},
				{"x~auth~" + name + ": admin"},
				{"X-Auth!" + name + ": admin"},
				{"x!auth-" + name + ": admin"},
				{"x-auth-" + name + " : admin"},
				{"x-auth-" + name + "\t: admin"},
			} {
				if e.removesOnlyUsual && strings.ContainsAny(lines[0], "~!") {
					continue
				}
				e.sendSpoofed(t, token, lines)
			}
		}
		for _, option := range []string{
			"X-Auth-User", "x-auth-user", "X-Auth-User, X-Auth-Client, X-Auth-Scopes", "close, x-auth-scopes",
			"x-auth-issuer",
			"x_auth_user", "X-Original-Method, X-Original-Uri", "X-Forwarded-Uri, X-Forwarded-Method",
		} {
			e.sendSpoofed(t, token, []string{"Connection: " + option})
			e.sendSpoofed(t, token, []string{"Connection: close", "Connection: " + option})
		}
		if a := e.get(t, "/api/a", token, "Connection: Authorization"); a.Status == 200 {
			a.readArrivedRequest(t) // the service has already checked the user of this request
		}

		trailer, err := e.sendRaw("POST", "POST /api/a HTTP/1.1\r\nHost: api.example\r\n"+token+"\r\n"+
			"Transfer-Encoding: chunked\r\nTrailer: X-Auth-User\r\nConnection: close\r\n\r\n"+
			"5\r\nhello\r\n0\r\nX-Auth-User: admin\r\n\r\n")
		if err == nil && trailer.Status == 200 && trailer.readArrivedRequest(t).User != "me" {
			t.Errorf("a trailer: %+v", trailer)
		}
		e.service.failOnViolations(t)
		e.get(t, "/api/a", token).readArrivedRequest(t)
	})
}

// env.sendSpoofed sends requests with the given header lines to a route that requires a user, and
// to a public route. The lines contain forged identity fields, or a field Connection that names the
// identity fields. The test fails if the service then reads another user, client, scopes or issuer
// than those of the token, or if it gets a field that breaks a rule of service.checkRequest.
func (e *env) sendSpoofed(t *testing.T, token string, lines []string) {
	t.Helper()
	if a, err := e.trySend("GET", "/api/a", "", append([]string{token}, lines...)...); err == nil && a.Status == 200 {
		if got := a.readArrivedRequest(t); got.User != "me" || got.Client != "shop" || got.Scopes != "testapi" || got.Issuer != e.issuer.URL() {
			t.Errorf("%q: user %q, client %q, scopes %q", lines, got.User, got.Client, got.Scopes)
		}
	} else if err != nil || a.Status/100 != 4 {
		t.Errorf("%q: %d, %v", lines, a.Status, err)
	}
	if a, err := e.trySend("GET", "/open/a", "", lines...); err == nil && a.Status == 200 {
		if got := a.readArrivedRequest(t); got.User+got.Client+got.Scopes+got.Issuer != "" {
			t.Errorf("%q, public: user %q, client %q, scopes %q", lines, got.User, got.Client, got.Scopes)
		}
	}
	e.service.failOnViolations(t)
}

// TestSpoofedMethod sends GET requests with a header field that asks the service to use the method
// DELETE instead, such as X-HTTP-Method-Override: DELETE. It sends the field in many spellings that
// a service could accept. Either the request is refused, or no such field with the value DELETE
// arrives at the service.
func TestSpoofedMethod(t *testing.T) {
	eachProxy(t, func(t *testing.T, e *env) {
		user := bearer(e.issuer.JWT(xenaauthtest.Token{Scopes: []string{"testapi"}}))
		for _, name := range []string{
			"X-HTTP-Method-Override", "x-http-method-override", "X_HTTP_Method_Override", "X.HTTP.Method.Override",
			"X-HTTP_Method-Override", "X-HTTP-Method.Override", "X!HTTP!Method!Override", "X~HTTP-Method_Override",
			"X-HTTP-Method", "X_HTTP_Method", "X.HTTP.Method", "X-HTTP_Method", "X.HTTP-Method",
			"X-Method-Override", "X_Method_Override", "X.Method.Override", "X-Method_Override", "X.Method-Override",
		} {
			for _, lines := range [][]string{
				{name + ": DELETE"},
				{"X-HTTP-Method-Override: GET", name + ": DELETE"},
				{name + ": GET", name + ": DELETE"},
				{name + ": DELETE", "Connection: " + name},
			} {
				a, err := e.trySend("GET", "/read/a", "", append([]string{user}, lines...)...)
				if err != nil || a.Status != 200 {
					if err != nil || a.Status/100 != 4 {
						t.Errorf("%q: %d, %v", lines, a.Status, err)
					}
					continue
				}
				for got, values := range a.readArrivedRequest(t).Header {
					if foldName(got) == foldName(name) && slices.Contains(values, "DELETE") {
						t.Errorf("%q: %s has arrived", lines, got)
					}
				}
			}
		}
		e.get(t, "/read/a", user, "X-HTTP-Method-Override: GET").readArrivedRequest(t)
	})
}

// TestSpoofedTarget sends requests with header fields that falsely name another host, path, method
// or client address of the request, such as X-Original-URI. If the rules refuse the real path or
// method, the request must be refused.
func TestSpoofedTarget(t *testing.T) {
	eachProxy(t, func(t *testing.T, e *env) {
		user := bearer(e.issuer.JWT(xenaauthtest.Token{Scopes: []string{"testapi"}}))
		for _, lines := range [][]string{
			{"X-Original-URI: /open/x"},
			{"x-original-uri: /open/x", "X-Original-Method: GET", "X-Original-Host: api.example"},
			{"X-Forwarded-Uri: /open/x"},
			{"X-Forwarded-Method: GET", "X-Forwarded-Uri: /open/x", "X-Forwarded-Host: api.example"},
			{"X-Forwarded-Uri: /open/x", "X-Forwarded-Uri: /open/x"},
			{"X_Original_URI: /open/x", "X_Forwarded_Uri: /open/x"},
			{"X-Original-URL: /open/x", "X-Rewrite-URL: /open/x"},
			{"X_Original_URL: /open/x", "X_Rewrite_URL: /open/x"},
			{"X.Original.URL: /open/x", "X.Rewrite.URL: /open/x"},
			{"X-Original_URL: /open/x", "X_Rewrite-URL: /open/x"},
			{"X-Original.URL: /open/x", "X.Rewrite-URL: /open/x"},
			{"X~Original~URL: /open/x", "X!Rewrite!URL: /open/x"},
			{"Forwarded: for=127.0.0.1;host=api.example"},
			{"X-Forwarded-Prefix: /admin"},
			{"X_Forwarded_Prefix: /admin", "X.Forwarded.Prefix: /admin", "X-Forwarded_Prefix: /admin"},
			{"X_Forwarded_For: 10.1.2.3", "X.Forwarded.For: 10.1.2.3", "X-Forwarded_For: 10.1.2.3"},
			{"X_Forwarded_Host: other.example", "X-Forwarded.Host: other.example", "X.Forwarded_Host: other.example"},
			{"X!Forwarded!For: 10.1.2.3", "X-Forwarded~Host: other.example"},
			{"Connection: X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Proto"},
			{"Connection: close", "Connection: x_forwarded_for"},
			{"Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"},
			{"X-Forwarded-For: 127.0.0.1", "X-Forwarded-Host: other.example", "X-Forwarded-Proto: https"},
			{"X-Envoy-Original-Path: /open/x", "X-Envoy-Original-Method: GET"},
			{"X-Forwarded-For: 10.1.2.3, 10.1.2.4", "X-Real-IP: 10.1.2.3"},
			{"Host: open.example"},
		} {
			if e.removesOnlyUsual && strings.ContainsAny(lines[0], "~!") {
				continue
			}
			if a, err := e.trySend("GET", "/admin/a", "", append([]string{user}, lines...)...); err == nil && a.Status/100 != 4 {
				t.Errorf("%q: %d, want a refusal", lines, a.Status)
			}
			if a, err := e.trySend("DELETE", "/read/a", "", append([]string{user}, lines...)...); err == nil && a.Status/100 != 4 {
				t.Errorf("%q: %d, want a refusal", lines, a.Status)
			}
			a, err := e.trySend("GET", "/api/a", "", append([]string{user}, lines...)...)
			if err == nil && a.Status == 200 {
				got := a.readArrivedRequest(t)
				if len(got.Header["Http2-Settings"]) > 0 {
					t.Errorf("%q: HTTP2-Settings has arrived", lines)
				}
				for name, want := range map[string]string{
					"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "api.example", "X-Forwarded-Proto": "http",
				} {
					if have := got.Header[name]; len(have) != 1 || have[0] != want {
						t.Errorf("%q: %s is %q, want %q", lines, name, have, want)
					}
				}
			} else if !e.optional && lines[0] != "Host: open.example" {
				t.Errorf("%q: %d, %v: the sample should have cleared them", lines, a.Status, err)
			}
		}
	})
}
