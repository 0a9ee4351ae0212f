package xenaauthtest_test

import (
	"net/http"
	"testing"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

func TestNetHTTP(t *testing.T) {
	xenaauthtest.TestMiddleware(t, mountNetHTTP)
}

func mountNetHTTP(m *xenaauth.Middleware, routes []xenaauthtest.Guarded) http.Handler {
	mux := http.NewServeMux()
	for _, route := range routes {
		var h http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			user, ok := xenaauth.UserFromContext(r.Context())
			route.Serve(w, r, user, ok)
		})
		if route.Optional {
			h = m.Optional(h)
		} else {
			h = m.Require(route.Require...)(h)
		}
		if route.Group != nil {
			h = m.Require(route.Group...)(h)
		}
		mux.Handle(route.Method+" "+route.Path, h)
	}
	return mux
}
