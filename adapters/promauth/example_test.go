package promauth_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/promauth"
)

func Example() {
	metrics := promauth.New(nil)
	v, err := xenaauth.NewValidator(xenaauth.Config{
		Issuer: "https://login.xena.biz", Audiences: []string{"testapi"}, IssuerCall: metrics.IssuerCall,
	})
	if err != nil {
		panic(err)
	}
	metrics.Watch(v)
	auth := xenaauth.NewMiddleware(v, &xenaauth.Options{Event: metrics.Event})
	registry := prometheus.NewRegistry()
	registry.MustRegister(metrics)

	mux := http.NewServeMux()
	mux.Handle("GET /orders", auth.Require(xenaauth.AnyUser())(http.NotFoundHandler()))
	// A service should serve its metrics on a port that clients can't reach.
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))

	mux.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/orders", nil))
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for line := range strings.Lines(w.Body.String()) {
		if strings.HasPrefix(line, "xenaauth_decisions_total") {
			fmt.Print(line)
		}
	}
	// Output: xenaauth_decisions_total{outcome="refused",reason="missing_token",source=""} 1
}
