package watch_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/examples/walkthrough/watch"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// While the API handles a request of the watcher, another client sends a request to the API. The
// Call that the watcher shows must not contain anything about the other client's request.
func TestOtherRequests(t *testing.T) {
	t.Parallel()
	issuer := xenaauthtest.NewIssuer(nil)
	w, cfg := watch.New(issuer.Config(), watch.Texts{}, func(string) ([]string, bool) { return nil, false })
	cfg.HTTPClient = issuer.Config().HTTPClient
	v, err := xenaauth.NewValidator(cfg)
	if err != nil {
		t.Fatal(err)
	}
	auth := xenaauth.NewMiddleware(v, &xenaauth.Options{Event: w.Event})
	var api *httptest.Server
	guarded := auth.Require(xenaauth.AnyUser())(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	api = httptest.NewServer(w.Handler(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" { // the other client comes first
			response, err := http.Get(api.URL)
			if err != nil {
				t.Error(err)
				return
			}
			_ = response.Body.Close()
		}
		guarded.ServeHTTP(out, r)
	})))
	defer api.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, api.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	var last *watch.Call
	token := func() (string, func(), error) { return issuer.JWT(xenaauthtest.Token{}), func() {}, nil }
	err = w.Send(r, watch.Call{}, func(c *watch.Call) {
		if last = c; c.Outcome == xenaauth.OutcomeRefused {
			t.Errorf("the call shows the request of the other client: %+v", c)
		}
	}, token)
	if err != nil {
		t.Fatal(err)
	}
	if last == nil || !last.Done || last.Status != http.StatusOK || last.Outcome != xenaauth.OutcomeAllowed {
		t.Errorf("the call ended with %+v", last)
	}
}
