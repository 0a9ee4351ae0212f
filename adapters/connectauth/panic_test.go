package connectauth_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/connectauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// TestPanicUnderRecovery has middleware recover from the panic of a policy and write nothing, which would be 200.
func TestPanicUnderRecovery(t *testing.T) {
	v, err := xenaauth.NewValidator(xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256"}).Config())
	if err != nil {
		t.Fatal(err)
	}
	m := xenaauth.NewMiddleware(v, &xenaauth.Options{Event: func(context.Context, xenaauth.Event) { panic("the secret list") }})
	guard := connectauth.New(m, connectauth.Rules{Require: map[string]xenaauth.Requirement{"/t.T/*": xenaauth.AnyUser()}})
	for _, contentType := range []string{"application/json", "application/proto", "text/plain"} {
		r := httptest.NewRequest(http.MethodPost, "/t.T/Any", nil)
		r.Header.Set("Content-Type", contentType)
		w := httptest.NewRecorder()
		func() {
			defer func() { _ = recover() }()
			guard.Wrap(http.NotFoundHandler()).ServeHTTP(w, r)
		}()
		if w.Result().StatusCode != http.StatusServiceUnavailable || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%s: %d %s", contentType, w.Result().StatusCode, w.Body)
		}
	}
}
