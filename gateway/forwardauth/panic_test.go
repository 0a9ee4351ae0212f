package forwardauth_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/gateway/forwardauth"
	"github.com/xenaauth/xenaauth/gateway/routes"
)

// If the handler panics, a server may recover from the panic and write nothing. The status would
// then be 200, and the proxy would allow the request.
func TestPanicIsNotAllowed(t *testing.T) {
	each(t, func(t *testing.T, s *testHandler) {
		for name, c := range map[string]struct {
			opts   *xenaauth.Options
			find   func(*http.Request) (routes.Rule, error)
			status int
		}{
			"ErrorBody": {opts: &xenaauth.Options{
				ErrorBody: func(http.ResponseWriter, *http.Request, *xenaauth.Error) { panic("boom") },
			}, status: 401},
			"Event":  {opts: &xenaauth.Options{Event: func(context.Context, xenaauth.Event) { panic("boom") }}, status: 503},
			"policy": {find: func(*http.Request) (routes.Rule, error) { panic("boom") }, status: 503},
		} {
			s := newTestHandler(t, s.dialect, c.opts, func(cfg *forwardauth.Config) {
				if c.find != nil {
					cfg.Find = c.find
				}
			})
			w := httptest.NewRecorder()
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%s: the handler recovers from the panic", name)
					}
				}()
				s.handler.ServeHTTP(w, s.subrequest("GET", "api.example.com", "/orders/1", nil))
			}()
			if got := w.Result().StatusCode; got != c.status {
				t.Errorf("%s: status %d, want %d", name, got, c.status)
			}
		}
	})
}
