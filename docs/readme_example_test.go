package docs_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// The README contains the functions in this file. TestReadmeSnippetsCompile compares them.

func fiscalSetup(w http.ResponseWriter, r *http.Request) {
	user, _ := xenaauth.UserFromContext(r.Context())
	fmt.Fprintln(w, user.Subject(), user.ClientID())
}

func routes(auth *xenaauth.Middleware) http.Handler {
	full := auth.Require(xenaauth.AllScopes(xenaauth.ScopeTestAPI))
	mux := http.NewServeMux()
	mux.Handle("GET /Api/User/FiscalSetup", full(http.HandlerFunc(fiscalSetup)))
	return mux
}

func TestFiscalSetup(t *testing.T) {
	issuer := xenaauthtest.NewIssuer(nil) // in memory: no port, no goroutine
	v, err := xenaauth.NewValidator(issuer.Config())
	if err != nil {
		t.Fatal(err)
	}
	api := routes(xenaauth.NewMiddleware(v, nil))

	for token, status := range map[string]int{
		"wrong": 401,
		issuer.JWT(xenaauthtest.Token{Scopes: []string{}}): 403, // no scopes; nil means the default scopes
		issuer.JWT(xenaauthtest.Token{Subject: "104711"}):  200,
	} {
		r := httptest.NewRequest("GET", "/Api/User/FiscalSetup", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		api.ServeHTTP(w, r)
		if w.Code != status {
			t.Error("status", w.Code, "want", status, w.Header().Get("WWW-Authenticate"))
		}
	}
}
