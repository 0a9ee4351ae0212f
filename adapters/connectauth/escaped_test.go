package connectauth_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/connectauth"
	"github.com/xenaauth/xenaauth/gateway/routes"
)

type refuseAll struct{}

func (refuseAll) Validate(context.Context, string) (*xenaauth.User, error) {
	return nil, &xenaauth.Error{Reason: xenaauth.ReasonInactive}
}

// TestEscapedNames sends requests with escaped characters in the name of a procedure. The handler
// that Connect generates decodes the path before it chooses the procedure. So an escaped name
// reaches the procedure, and the guard must apply the rule of the procedure, not a weaker rule of
// the whole service.
func TestEscapedNames(t *testing.T) {
	served := 0
	mux := http.NewServeMux()
	mux.Handle("/w.W/", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/w.W/Secret" {
			served++
		}
	}))
	guard := connectauth.New(xenaauth.NewMiddleware(refuseAll{}, nil), table(t,
		routes.Rule{Pattern: "/w.W/Secret", Access: routes.Require(xenaauth.AllScopes("admin"))},
		routes.Rule{Pattern: "/w.W/", Access: routes.Public()},
	).Find).Handler(mux)
	for _, path := range []string{"/w.W/Secret", "/w.W/%53ecret", "/w.W/Secre%74", "/w%2eW/Secret", "/w.W/./Secret", "/w.W//Secret"} {
		guard.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, path, nil))
		if served != 0 {
			t.Errorf("%s was served without a token", path)
		}
	}
}
