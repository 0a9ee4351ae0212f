package promauth_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/promauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// The method Event counts the decision about a request in a Prometheus series. If this series
// already exists, Event allocates no memory.
func TestEventAllocatesNothing(t *testing.T) {
	m := promauth.New(&promauth.Options{Routes: true})
	for name, e := range map[string]xenaauth.Event{
		"allowed": {Outcome: xenaauth.OutcomeAllowed, Source: xenaauth.SourceCache, Duration: time.Microsecond, Route: "/a"},
		"refused": {Outcome: xenaauth.OutcomeRefused, Err: &xenaauth.Error{Reason: xenaauth.ReasonExpired}, Upstream: time.Second},
	} {
		if n := testing.AllocsPerRun(100, func() { m.Event(context.Background(), e) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// BenchmarkRequest measures a request whose token was checked before, with different listeners for
// events: no listener, a listener that does nothing, and the metrics of this package. For
// comparison, it alternately measures the same request without any listener. The metric x-off is a
// quotient of two medians: the time with the listener, divided by the time without any.
func BenchmarkRequest(b *testing.B) {
	issuer := xenaauthtest.NewIssuer(nil)
	v, err := xenaauth.NewValidator(issuer.Config())
	if err != nil {
		b.Fatal(err)
	}
	token := issuer.JWT(xenaauthtest.Token{})
	mount := func(event func(context.Context, xenaauth.Event)) func() {
		h := xenaauth.NewMiddleware(v, &xenaauth.Options{Event: event}).Require(xenaauth.AnyUser())(
			http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "https://api.example/", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		return func() { h.ServeHTTP(w, r) }
	}
	const block = 100
	off := mount(nil)
	for name, on := range map[string]func(){
		"listener=none":     mount(nil),
		"listener=empty":    mount(func(context.Context, xenaauth.Event) {}),
		"listener=promauth": mount(promauth.New(nil).Event),
		"listener=routes":   mount(promauth.New(&promauth.Options{Routes: true}).Event),
	} {
		b.Run(name, func(b *testing.B) {
			var without, with []time.Duration
			for b.Loop() {
				start := time.Now()
				for range block {
					off()
				}
				between := time.Now()
				for range block {
					on()
				}
				without, with = append(without, between.Sub(start)), append(with, time.Since(between))
			}
			slices.Sort(without)
			slices.Sort(with)
			// The usual result ns/op is not reported. It would be the time of two blocks of
			// requests together: one block without a listener for events, and one block with it.
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(with[len(with)/2].Nanoseconds())/block, "ns/request")
			b.ReportMetric(float64(with[len(with)/2])/float64(without[len(without)/2]), "x-off")
			b.ReportMetric(testing.AllocsPerRun(100, on), "allocs/request")
		})
	}
}
