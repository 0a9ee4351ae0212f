package availability_test

import (
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// recoveryTime limits how long a recovery may take. When new connections to the issuer work again,
// each valid token must pass within this time.
const recoveryTime = 2 * time.Second

func eachProtocol(t *testing.T, f func(t *testing.T, http2 bool)) {
	for _, http2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("HTTP2=%t", http2), func(t *testing.T) {
			t.Parallel()
			f(t, http2)
		})
	}
}

// The open connections to the issuer die silently, but new connections work. Each valid token
// passes within two seconds, and no request gets 503.
func TestDeadConnections(t *testing.T) {
	t.Parallel()
	eachProtocol(t, func(t *testing.T, http2 bool) {
		runOnTestNetwork(t, http2, nil, func(t *testing.T, w *networkSetup) {
			w.openConnections(t, 60)
			if n := w.open(); !http2 && n != 60 || http2 && n != 1 {
				t.Fatal(n)
			}
			w.killConnections(false)
			// Opening a connection takes 200 ms in this test, and the library sends at most four
			// calls again at a time. So the library can't open a separate connection for each call
			// to the issuer within recoveryTime (2 s).
			w.latency = 200 * time.Millisecond
			w.issuer.Rotate()
			var all sync.WaitGroup
			for n := range 60 {
				all.Go(func() {
					token := w.issuer.Opaque(xenaauthtest.Token{})
					if n%10 == 0 {
						token = w.issuer.JWT(xenaauthtest.Token{})
					}
					began := time.Now()
					reason := harness.ReasonOf(t, w.validator, token)
					if took := time.Since(began); reason != "" || took > recoveryTime {
						t.Errorf("token %d: %q after %v", n, reason, took)
					}
				})
			}
			all.Wait()
			began := time.Now()
			for range 20 {
				require.Empty(t, harness.ReasonOf(t, w.validator, w.issuer.Opaque(xenaauthtest.Token{})))
			}
			require.Less(t, time.Since(began), 100*time.Millisecond, "no request may wait for dead connections now")
		})
	})
}

// After the open connections to the issuer have died, valid tokens that come one by one also pass
// within two seconds. This is also true if the service was idle for an hour before the first token.
func TestDeadConnectionsOneByOne(t *testing.T) {
	t.Parallel()
	eachProtocol(t, func(t *testing.T, http2 bool) {
		for _, idle := range []time.Duration{0, 10 * time.Second, time.Hour} {
			runOnTestNetwork(t, http2, nil, func(t *testing.T, w *networkSetup) {
				w.openConnections(t, 60)
				w.killConnections(false)
				time.Sleep(idle)
				began := time.Now()
				for range 20 {
					require.Empty(t, harness.ReasonOf(t, w.validator, w.issuer.Opaque(xenaauthtest.Token{})))
				}
				require.Less(t, time.Since(began), recoveryTime)
			})
		}
	})
}

// The issuer fails for some time. As soon as it works again, each valid token passes within two
// seconds. This is true for short and for long outages, although the calls to the issuer that the
// library sent during the outage never get a response.
func TestRecoveryAfterAHang(t *testing.T) {
	t.Parallel()
	eachProtocol(t, func(t *testing.T, http2 bool) {
		for outage := 500 * time.Millisecond; outage < 20*time.Second; outage += 700 * time.Millisecond {
			runOnTestNetwork(t, http2, nil, func(t *testing.T, w *networkSetup) {
				w.openConnections(t, 10)
				w.killConnections(true)
				w.issuer.Rotate()
				fresh := harness.NewValidator(t, w.config())
				over, clients := make(chan struct{}), new(sync.WaitGroup)
				crowd := func(ask func()) {
					clients.Go(func() {
						for {
							select {
							case <-over:
								return
							case <-time.After(90 * time.Millisecond):
								clients.Go(ask)
							}
						}
					})
				}
				crowd(func() { harness.ReasonOf(t, w.validator, w.issuer.Opaque(xenaauthtest.Token{})) })
				crowd(func() { harness.ReasonOf(t, w.validator, w.issuer.JWT(xenaauthtest.Token{})) })
				crowd(func() { harness.ReasonOf(t, fresh, w.issuer.JWT(xenaauthtest.Token{})) })
				time.Sleep(outage)
				w.mu.Lock()
				w.killsNewConnections = false
				w.mu.Unlock()
				var all sync.WaitGroup
				for name, token := range map[string]string{
					"opaque":  w.issuer.Opaque(xenaauthtest.Token{}),
					"rotated": w.issuer.JWT(xenaauthtest.Token{}),
				} {
					all.Go(func() {
						if took := w.waitUntilAccepted(t, token); took > recoveryTime {
							t.Errorf("%s: %v after an outage of %v", name, took, outage)
						}
					})
				}
				all.Go(func() {
					cold := &networkSetup{validator: fresh}
					if took := cold.waitUntilAccepted(t, w.issuer.JWT(xenaauthtest.Token{})); took > recoveryTime {
						t.Errorf("without any key: %v after an outage of %v", took, outage)
					}
				})
				all.Wait()
				close(over)
				clients.Wait()
			})
		}
	})
}

// The library does not disturb requests that other code sends with the same http.Client.
func TestSharedClientIsNotDisturbed(t *testing.T) {
	t.Parallel()
	eachProtocol(t, func(t *testing.T, http2 bool) {
		other := func(issuer http.Handler) http.Handler {
			return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/other" {
					issuer.ServeHTTP(rw, r)
					return
				}
				time.Sleep(20 * time.Second)
				_, _ = io.WriteString(rw, "done")
			})
		}
		runOnTestNetwork(t, http2, other, func(t *testing.T, w *networkSetup) {
			client := &http.Client{Transport: w.transport}
			done := make(chan string, 1)
			go func() {
				// This request goes to another server than the issuer. For this server the
				// transport has a separate pool of connections.
				resp, err := client.Get("http://other.localhost/other")
				if err != nil {
					done <- err.Error()
					return
				}
				body, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				done <- fmt.Sprint(string(body), err)
			}()
			time.Sleep(time.Second)
			w.openConnections(t, 10)
			dialled := w.dialled
			w.killConnectionsExcept("other.localhost:80")
			require.Empty(t, harness.ReasonOf(t, w.validator, w.issuer.Opaque(xenaauthtest.Token{})))
			time.Sleep(10 * time.Second)
			require.Equal(t, "done<nil>", <-done)
			w.mu.Lock()
			defer w.mu.Unlock()
			require.LessOrEqual(t, w.dialled-dialled, 2)
		})
	})
}

// If the issuer closes an idle connection at the moment at which the library sends an introspection
// call, net/http sends the call again. An introspection call is a POST request. net/http repeats a
// POST request only if the sender allows it, as the library does.
func TestIdleConnectionsThatCloseAtTheNextCall(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	used := make(map[string]int)
	closing := func(issuer http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			mu.Lock()
			used[r.RemoteAddr]++
			again := used[r.RemoteAddr] > 1
			mu.Unlock()
			if again {
				// the server closes the connection and sends no response
				panic(http.ErrAbortHandler)
			}
			issuer.ServeHTTP(rw, r)
		})
	}
	runOnTestNetwork(t, false, closing, func(t *testing.T, w *networkSetup) {
		for range 5 {
			w.openConnections(t, 20)
		}
	})
}
