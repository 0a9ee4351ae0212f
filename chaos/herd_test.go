package chaos

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xenaauth/xenaauth/xenaauthtest"
)

const herdSize = 10_000

// A requestHolder is an HTTP transport that makes requests to the issuer wait until the test
// releases them. It also counts the requests.
type requestHolder struct {
	next http.RoundTripper
	// a test closes this channel, and then all waiting requests continue to the issuer
	releaseSignal chan struct{}
	// RoundTrip sends a value to this channel when a request arrives. So a test can wait until the
	// first request has arrived.
	arrivalSignals chan struct{}
	// requestCounts counts the requests for each URL path, including the requests that still wait.
	// The map key is the URL path, and the value is an *atomic.Int64.
	requestCounts sync.Map
}

func newRequestHolder(next http.RoundTripper) *requestHolder {
	return &requestHolder{next: next, releaseSignal: make(chan struct{}), arrivalSignals: make(chan struct{}, herdSize)}
}

func (d *requestHolder) RoundTrip(r *http.Request) (*http.Response, error) {
	n, _ := d.requestCounts.LoadOrStore(r.URL.Path, new(atomic.Int64))
	n.(*atomic.Int64).Add(1)
	d.arrivalSignals <- struct{}{}
	select {
	case <-d.releaseSignal:
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	return d.next.RoundTrip(r)
}

func (d *requestHolder) calls() map[string]int64 {
	calls := make(map[string]int64)
	d.requestCounts.Range(func(path, n any) bool {
		name := path.(string)
		calls[name[strings.LastIndexByte(name, '/')+1:]] = n.(*atomic.Int64).Load()
		return true
	})
	return calls
}

// sendHerd sends many requests with the same token to the API. It sends the first request alone.
// When all requests have begun, or after 4 s, it lets the issuer respond. If cancelFirst is true,
// the client of the first request cancels this request before the issuer responds. sendHerd returns
// how many of the other requests the API accepted.
func sendHerd(t *testing.T, a *api, d *requestHolder, token string, cancelFirst bool) (passed int64) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var all sync.WaitGroup
	first := make(chan answer, 1)
	go func() { first <- a.serve(ctx, token) }()
	<-d.arrivalSignals
	var entered, ok atomic.Int64
	all.Go(func() {
		var others sync.WaitGroup
		for range herdSize - 1 {
			others.Go(func() {
				entered.Add(1)
				if got := a.serve(t.Context(), token); got.status == http.StatusOK {
					ok.Add(1)
				}
			})
		}
		others.Wait()
	})
	start := time.Now()
	for entered.Load() < herdSize-1 && time.Since(start) < 4*time.Second {
		time.Sleep(time.Millisecond)
	}
	want := http.StatusOK
	if cancelFirst {
		cancel()
		want = http.StatusServiceUnavailable
		// Wait until the API has responded to the canceled request. Receiving takes the response
		// out of the channel, so put it back: the check after the if statement reads it too.
		first <- <-first
	}
	close(d.releaseSignal)
	all.Wait()
	if got := <-first; got.status != want {
		t.Errorf("the first caller got %v", got)
	}
	t.Logf("%d of %d requests were under way, %d passed, after %v", entered.Load()+1, herdSize, ok.Load(), time.Since(start))
	return ok.Load()
}

// Ten thousand requests with the same new token arrive at the API at the same moment. They share
// one introspection call, or one fetch of the metadata and one of the key set. If the client of the
// first request cancels it, all other requests still get their responses.
func TestThunderingHerd(t *testing.T) {
	for _, c := range []struct {
		name        string
		opaque      bool
		cancelFirst bool
		want        map[string]int64
	}{
		{"opaque", true, false, map[string]int64{"introspect": 1}},
		{"opaque, the first leaves", true, true, map[string]int64{"introspect": 1}},
		{"JWT", false, false, map[string]int64{"openid-configuration": 1, "jwks": 1}},
		{"JWT, the first leaves", false, true, map[string]int64{"openid-configuration": 1, "jwks": 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t)
			transport := new(http.Transport)
			t.Cleanup(transport.CloseIdleConnections)
			d := newRequestHolder(transport)
			cfg := l.config()
			cfg.HTTPClient = &http.Client{Transport: d}
			token := l.jwt("everybody")
			if c.opaque {
				token = l.opaque("everybody")
				cfg.Introspection.Endpoint = l.url + "/connect/introspect"
			}
			start := time.Now()
			if passed := sendHerd(t, newAPI(t, cfg), d, token, c.cancelFirst); passed != herdSize-1 {
				t.Errorf("%d of the others passed", passed)
			}
			// The library sends a call again each time it has got no response for 0.9 s. A slow
			// machine may need longer than 0.9 s, so the test allows one more call for each 0.9 s
			// that passed.
			again := int64(time.Since(start) / (900 * time.Millisecond))
			calls := d.calls()
			for name, n := range c.want {
				if calls[name] < n || calls[name] > n+again {
					t.Errorf("%d calls of %s, want %d, and at most %d again", calls[name], name, n, again)
				}
			}
			if len(calls) != len(c.want) {
				t.Errorf("calls: %v, want %v", calls, c.want)
			}
			if n := l.issuer.Calls(xenaauthtest.All); n < len(c.want) || n > len(c.want)*(1+int(again)) {
				t.Errorf("the issuer heard %d requests", n)
			}
		})
	}
}
