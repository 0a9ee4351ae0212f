package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/labstack/echo/v5"

	"github.com/xenaauth/xenaauth/adapters/echoauth/echoauthtest"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// startAPI starts an issuer, which listens on a loopback port, and sets the environment variables
// of the example. It returns the issuer and the handler of the API.
func startAPI(t *testing.T) (*xenaauthtest.Issuer, *echo.Echo) {
	t.Helper()
	issuer := xenaauthtest.StartIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256"})
	t.Cleanup(issuer.Close)
	t.Setenv("XENA_ISSUER", issuer.URL())
	t.Setenv("XENA_AUDIENCE", issuer.API())
	handler, err := newService()
	if err != nil {
		t.Fatal(err)
	}
	return issuer, handler
}

func tokenWithoutScopes(issuer *xenaauthtest.Issuer) string {
	return issuer.JWT(xenaauthtest.Token{Scopes: []string{}})
}

func TestService(t *testing.T) {
	issuer, handler := startAPI(t)
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	full := issuer.JWT(xenaauthtest.Token{Subject: "104711"})
	for _, c := range []struct {
		path, token string
		status      int
		body        string
	}{
		{"/health", "", http.StatusNoContent, ""},
		{"/me", "", http.StatusUnauthorized, `{"title":"Unauthorized","status":401,"detail":"This resource needs an access token.","reason":"missing_token"}`},
		{"/me", full, http.StatusOK, "user 104711\n"},
		{"/invoices/7", tokenWithoutScopes(issuer), http.StatusForbidden, `{"title":"Forbidden","status":403,"detail":"The access token lacks a scope.","reason":"insufficient_scope","error":"insufficient_scope","scope":"testapi"}`},
		{"/invoices/7", full, http.StatusOK, "invoice 7 for 104711\n"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.token != "" {
			req.Header.Set("Authorization", "Bearer "+c.token)
		}
		resp, err := server.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != c.status || string(body) != c.body || err != nil {
			t.Errorf("%s: %d %q, %v, want %d %q", c.path, resp.StatusCode, body, err, c.status, c.body)
		}
	}
}

// TestRoutes fails if a route of the API has no guard. Only the routes in the list Public may have
// no guard.
func TestRoutes(t *testing.T) {
	issuer, handler := startAPI(t)
	table := xenaauthtest.TestRoutes(t, xenaauthtest.Coverage{
		Handler: handler,
		Routes:  echoauthtest.Routes(handler),
		Public:  []string{"GET /health"},
		AnyUser: []string{"GET /me"},
		Token:   tokenWithoutScopes(issuer),
	})
	want := "| Method | Route | Requires |\n| --- | --- | --- |\n" +
		"| GET | `/health` | nothing: public |\n| GET | `/invoices/:id` | testapi |\n| GET | `/me` | any user |\n"
	if got := table.Markdown(); got != want {
		t.Errorf("routes\n%swant\n%s", got, want)
	}
}
