package connectauth_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/connectauth"
	"github.com/xenaauth/xenaauth/gateway/routes"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// TestPanic calls a procedure whose policy panics. The handler does not run, the client does not
// learn the value of the panic, and the server continues to work.
func TestPanic(t *testing.T) {
	s := startServer(t, nil)
	s.testCalls(t, "/t.T/Panic", authorization(s.bearer()), func(t *testing.T, _ string, err *connect.Error) {
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v", err)
		}
	})
	if s.handled.Load() != 0 {
		t.Error("the handler ran")
	}
	s.testCalls(t, "/t.T/Any", authorization(s.bearer()), func(t *testing.T, user string, err *connect.Error) {
		if user != "ann" {
			t.Errorf("afterwards: user %q, %v", user, err)
		}
	})
}

// In TestPanicUnderRecovery, a hook panics, and middleware around the guard recovers from the panic
// and writes nothing. The response must not be 200, which net/http sends if nothing is written.
func TestPanicUnderRecovery(t *testing.T) {
	v, err := xenaauth.NewValidator(xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256"}).Config())
	if err != nil {
		t.Fatal(err)
	}
	m := xenaauth.NewMiddleware(v, &xenaauth.Options{Event: func(context.Context, xenaauth.Event) { panic("the secret list") }})
	guard := connectauth.New(m, table(t,
		routes.Rule{Pattern: "/t.T/", Access: routes.Require(xenaauth.AnyUser())},
		routes.Rule{Pattern: "/t.T/Open", Access: routes.Public()}).Find)
	for _, contentType := range []string{"application/json", "application/proto", "text/plain"} {
		for _, path := range []string{"/t.T/Any", "/t.T/Open", "/u.U/Any"} {
			r := httptest.NewRequest(http.MethodPost, path, nil)
			r.Header.Set("Content-Type", contentType)
			w := httptest.NewRecorder()
			func() {
				defer func() { _ = recover() }()
				guard.Handler(http.NotFoundHandler()).ServeHTTP(w, r)
			}()
			if w.Result().StatusCode != http.StatusServiceUnavailable || strings.Contains(w.Body.String(), "secret") {
				t.Errorf("%s of %s: %d %s", path, contentType, w.Result().StatusCode, w.Body)
			}
		}
	}
}

// panickingProof is a proof of possession that panics when it sets the header of a response.
type panickingProof struct{}

func (panickingProof) Scheme() string                              { return "Key" }
func (panickingProof) Member() string                              { return "key" }
func (panickingProof) Params() map[string]string                   { return nil }
func (panickingProof) Confirm(*http.Request, string, string) error { return nil }
func (panickingProof) Respond(http.Header, *http.Request, error)   { panic("the secret list") }

// In TestPanicOfProof, a proof panics when it sets the fields of a response, and middleware around
// the guard recovers and writes nothing. The response must not be 200, which net/http sends if
// nothing is written.
func TestPanicOfProof(t *testing.T) {
	issuer := xenaauthtest.NewIssuer(nil)
	v, err := xenaauth.NewValidator(issuer.Config())
	if err != nil {
		t.Fatal(err)
	}
	bound := "Key " + issuer.JWT(xenaauthtest.Token{Claims: map[string]any{"cnf": map[string]any{"key": "k"}}})
	m := xenaauth.NewMiddleware(v, &xenaauth.Options{
		Proofs: []xenaauth.Proof{panickingProof{}}, Logger: slog.New(slog.DiscardHandler),
	})
	guard := connectauth.New(m, table(t, routes.Rule{Pattern: "/t.T/", Access: routes.Require(xenaauth.AnyUser())}).Find)
	for _, contentType := range []string{"application/json", "application/proto", "text/plain"} {
		for authorization, want := range map[string]int{"Bearer nonsense": 401, bound: 503} {
			r := httptest.NewRequest(http.MethodPost, "/t.T/Any", nil)
			r.Header.Set("Content-Type", contentType)
			r.Header.Set("Authorization", authorization)
			w := httptest.NewRecorder()
			func() {
				defer func() { _ = recover() }()
				guard.Handler(http.NotFoundHandler()).ServeHTTP(w, r)
			}()
			if w.Result().StatusCode != want || strings.Contains(w.Body.String(), "secret") {
				t.Errorf("%s: %d %s, want %d", contentType, w.Result().StatusCode, w.Body, want)
			}
		}
	}
}
