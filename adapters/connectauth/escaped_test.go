package connectauth_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/connectauth"
)

type nobody struct{}

func (nobody) Validate(context.Context, string) (*xenaauth.User, error) {
	return nil, &xenaauth.Error{Reason: xenaauth.ReasonInactive}
}

// Generated code mounts a service under its prefix and chooses the procedure by the decoded path. An escaped name must
// not miss its own rule and meet the laxer one of its service.
func TestEscapedNames(t *testing.T) {
	served := 0
	mux := http.NewServeMux()
	mux.Handle("/w.W/", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/w.W/Secret" {
			served++
		}
	}))
	guard := connectauth.New(xenaauth.NewMiddleware(nobody{}, nil), connectauth.Rules{
		Require: map[string]xenaauth.Requirement{"/w.W/Secret": xenaauth.AllScopes("admin")},
		Public:  []string{"/w.W/*"},
	}).Wrap(mux)
	for _, path := range []string{"/w.W/Secret", "/w.W/%53ecret", "/w.W/Secre%74", "/w%2eW/Secret", "/w.W/./Secret", "/w.W//Secret"} {
		guard.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, path, nil))
		if served != 0 {
			t.Errorf("%s was served without a token", path)
		}
	}
}
