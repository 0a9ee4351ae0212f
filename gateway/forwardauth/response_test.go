package forwardauth_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/gateway/forwardauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// If the identity fields of a user are too long, the user is refused. The request has one event,
// with that refusal.
func TestIdentityTooLarge(t *testing.T) {
	each(t, func(t *testing.T, s *testHandler) {
		var events []xenaauth.Event
		s = newTestHandler(t, s.dialect, &xenaauth.Options{Event: func(_ context.Context, e xenaauth.Event) {
			events = append(events, e)
		}}, nil)
		scopes := []string{"testapi"}
		for k := range 400 {
			scopes = append(scopes, fmt.Sprintf("scope%04d", k))
		}
		for _, uri := range []string{"/orders/1", "/optional"} {
			events = nil
			w := s.ask("GET", "api.example.com", uri, http.Header{"Authorization": {s.token(scopes...)}})
			wantRefused(t, w, 403, xenaauth.ReasonForbidden, `error="insufficient_scope"`)
			if len(events) != 1 || events[0].Err == nil || events[0].Err.Reason != xenaauth.ReasonForbidden {
				t.Errorf("%s: events %+v, want one refusal", uri, events)
			}
		}
	})
}

// A policy sees the original request with the fields of the client. It does not see fields that
// look like identity fields, because the client may have invented them.
func TestPolicySeesOriginalRequest(t *testing.T) {
	each(t, func(t *testing.T, s *testHandler) {
		r := s.subrequest("PUT", "api.example.com", "/policy/22000?a=b", http.Header{
			"Authorization": {s.token("testapi")}, "X-Company": {"7"}, "X_auth_user": {"root"},
		})
		wantAllowed(t, s.serve(r), map[string]string{
			"X-Auth-User": "104711", "X-Auth-Client": "app", "X-Auth-Scopes": "testapi", "X-Auth-Session": "0F3C",
			"X-Auth-Issuer": s.issuer.URL()})
		seen := s.policyRequest
		if seen.Method != "PUT" || seen.Host != "api.example.com" || seen.URL.String() != "/policy/22000?a=b" ||
			seen.RequestURI != "/policy/22000?a=b" || seen.Header.Get("X-Company") != "7" {
			t.Errorf("the policy sees %s %s %s %v", seen.Method, seen.Host, seen.URL, seen.Header)
		}
		if _, ok := seen.Header["X_auth_user"]; ok {
			t.Error("the policy sees an identity field of the client")
		}
		if n, err := seen.Body.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("body of the policy's request: %d, %v", n, err)
		}
		if r.Header.Get("X_auth_user") != "root" {
			t.Error("the subrequest itself was changed")
		}
	})
}

// The handler ignores a user that other code has put into the context.
func TestPlantedUser(t *testing.T) {
	each(t, func(t *testing.T, s *testHandler) {
		for _, uri := range []string{"/public/a", "/optional"} {
			r := s.subrequest("GET", "api.example.com", uri, nil)
			r = r.WithContext(xenaauth.ContextWithUser(r.Context(), xenaauthtest.User(xenaauthtest.Token{})))
			wantAllowed(t, s.serve(r), nobody)
		}
	})
}

// Another handler, which wraps the handler under test, may set header fields of the response. The
// handler under test must keep X-Request-Id. It removes Content-Type, because its response has no
// body.
func TestAllowKeepsOtherFields(t *testing.T) {
	s := newTestHandler(t, forwardauth.Caddy, nil, nil)
	w := httptest.NewRecorder()
	w.Header()["Content-Type"] = []string{"text/html"}
	w.Header()["X-Request-Id"] = []string{"7"}
	s.handler.ServeHTTP(w, s.subrequest("GET", "api.example.com", "/public/a", nil))
	if w.Header()["Content-Type"] != nil || w.Header().Get("X-Request-Id") != "7" {
		t.Errorf("fields %v", w.Header())
	}
}

func TestSeveralChallengesBecomeOne(t *testing.T) {
	each(t, func(t *testing.T, s *testHandler) {
		w := httptest.NewRecorder()
		// Another handler wraps the handler under test, and has already set the field
		// WWW-Authenticate of the response.
		w.Header()["Www-Authenticate"] = []string{`DPoP algs="ES256"`}
		s.handler.ServeHTTP(w, s.subrequest("GET", "api.example.com", "/orders/1", nil))
		want := `DPoP algs="ES256", Bearer realm="xena", scope="testapi"`
		if got := w.Header()["Www-Authenticate"]; len(got) != 1 || got[0] != want {
			t.Errorf("challenges %q, want %q", got, want)
		}
	})
}

// Options.Event gets one event for each subrequest of a trusted peer.
func TestEvents(t *testing.T) {
	each(t, func(t *testing.T, s *testHandler) {
		var told []string
		s = newTestHandler(t, s.dialect, &xenaauth.Options{Event: func(_ context.Context, e xenaauth.Event) {
			if e.Err != nil {
				told = append(told, string(e.Err.Reason))
			} else {
				told = append(told, fmt.Sprint(e.User != nil))
			}
		}}, nil)
		s.ask("GET", "api.example.com", "/orders/1", http.Header{"Authorization": {s.token("testapi")}})
		s.ask("GET", "api.example.com", "/public/a", nil)
		s.ask("GET", "api.example.com", "/orders/1", nil)
		s.ask("GET", "a b", "/orders/1", nil)
		if got, want := fmt.Sprint(told), "[true false missing_token ambiguous_target]"; got != want {
			t.Errorf("told %s, want %s", got, want)
		}
	})
}

// The hook Options.ErrorBody can change neither the status of a refusal nor its challenge.
func TestErrorBody(t *testing.T) {
	each(t, func(t *testing.T, s *testHandler) {
		malformed := http.Header{"Authorization": {"Bearer a b"}}
		want := s.ask("GET", "api.example.com", "/orders/1", malformed).Header()["Www-Authenticate"]
		if len(want) != 1 || !strings.Contains(want[0], "invalid_request") {
			t.Fatalf("without the hook: challenges %q", want)
		}
		s = newTestHandler(t, s.dialect, &xenaauth.Options{ErrorBody: func(w http.ResponseWriter, r *http.Request, e *xenaauth.Error) {
			w.Header()["Www-Authenticate"] = []string{"Basic", "Negotiate"}
			w.WriteHeader(200)
			fmt.Fprint(w, r.URL.Path, " ", e.Reason)
		}}, nil)
		w := s.ask("GET", "api.example.com", "/orders/1", malformed)
		if w.Code != s.proxyStatus(400) || w.Body.String() != "/orders/1 malformed_request" ||
			!slices.Equal(w.Header()["Www-Authenticate"], want) {
			t.Errorf("status %d, body %q, fields %v", w.Code, w.Body, w.Header())
		}
	})
}

// This test uses a real connection, because net/http treats bodies and lengths in a special way on
// a connection.
func TestOnTheWire(t *testing.T) {
	each(t, func(t *testing.T, s *testHandler) {
		server := httptest.NewServer(s.handler)
		defer server.Close()
		methods := []string{"GET", "HEAD", "POST"}
		for _, method := range methods {
			for _, test := range []struct {
				uri, authorization string
				status             int
			}{
				{"/public/a", "", 200}, {"/optional", "", 200}, {"/policy/1", "", 401}, {"/policy/1", s.token("testapi"), 200},
				{"/public/../a", "", s.proxyStatus(400)}, {"/admin/", "", 403},
			} {
				conn, err := net.Dial("tcp", server.Listener.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				// Envoy sends the method of the original request. The other proxies send GET, but
				// the handler accepts every method.
				target, fields := "/verify", ""
				if s.dialect == forwardauth.Envoy {
					target = test.uri
				} else {
					for k, value := range []string{method, "api.example.com", test.uri} {
						fields += originalFieldNames(s.dialect)[k] + ": " + value + "\r\n"
					}
				}
				if test.authorization != "" {
					fields += "Authorization: " + test.authorization + "\r\n"
				}
				fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: 0\r\n%s\r\n", method, target, fields)
				res, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(res.Body)
				conn.Close()
				if err != nil || res.StatusCode != test.status {
					t.Errorf("%s %s: status %d, want %d, %v", method, test.uri, res.StatusCode, test.status, err)
				}
				wantBody := test.status != 200 && method != "HEAD"
				if (len(body) > 0) != wantBody || method != "HEAD" && res.ContentLength != int64(len(body)) ||
					len(res.TransferEncoding) > 0 {
					t.Errorf("%s %s: %d bytes, length %d, %v", method, test.uri, len(body), res.ContentLength, res.TransferEncoding)
				}
				if test.status == 200 && (res.Header.Get("Content-Length") != "0" || len(res.Header["Content-Type"]) != 0) {
					t.Errorf("%s %s: fields %v", method, test.uri, res.Header)
				}
			}
		}
	})
}
