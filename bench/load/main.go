// Command load measures how many requests a server serves in a second, over the loopback address.
// It compares a guarded server with a server that does the same work without a guard. The clients
// and both servers are in this process. The output has the format of Go benchmarks.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

func main() {
	length := flag.Duration("for", 4*time.Second, "how long each mix is measured")
	clients := flag.Int("clients", 8, "connections, each with one request at a time")
	flag.Parse()
	if err := run(*length, *clients); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

// tokenMixes contains the kinds of traffic that the command measures. In each kind, the clients
// send tokens that are in the cache of the server. In two of the kinds, they also send other
// tokens: one kind has new tokens, and one has malformed tokens.
var tokenMixes = []struct {
	name string
	pick func(t *tokenSet, n int) string
	want func(n int) int
}{
	{"warm", func(t *tokenSet, n int) string { return t.used[n%len(t.used)] }, wantNoContent},
	{"1%-new", func(t *tokenSet, n int) string {
		if n%100 == 0 {
			return t.newToken(n / 100)
		}
		return t.used[n%len(t.used)]
	}, wantNoContent},
	{"50%-junk", func(t *tokenSet, n int) string {
		if n%2 == 0 {
			return "junk"
		}
		return t.used[n%len(t.used)]
	}, func(n int) int {
		if n%2 == 0 {
			return http.StatusUnauthorized
		}
		return http.StatusNoContent
	}},
}

func wantNoContent(int) int { return http.StatusNoContent }

// A tokenSet contains all tokens that the clients send. The command makes these tokens before the
// measurement begins.
type tokenSet struct{ used, unused []string }

// tokenSet.newToken returns the n-th token of a list of new tokens. After the last token of the
// list, newToken begins again with the first token. By then the server's cache no longer contains
// the first token, because the cache is smaller than the list.
func (t *tokenSet) newToken(n int) string { return t.unused[n%len(t.unused)] }

// The command compares a guarded route with an open route. The two routes get requests in turn, and
// turnLength is the length of one turn.
const turnLength = 250 * time.Millisecond

func run(length time.Duration, clients int) error {
	// The tokens use ES256, because it would take long to sign thousands of tokens with RS256.
	issuer := xenaauthtest.StartIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256"})
	defer issuer.Close()
	t := &tokenSet{used: make([]string, 64), unused: make([]string, 4000)}
	for i := range t.used {
		t.used[i] = issuer.JWT(xenaauthtest.Token{})
	}
	for i := range t.unused {
		t.unused[i] = issuer.JWT(xenaauthtest.Token{})
	}
	cfg := issuer.Config()
	cfg.CacheSize = len(t.unused) / 4
	v, err := xenaauth.NewValidator(cfg)
	if err != nil {
		return err
	}
	if err := v.Warm(context.Background()); err != nil {
		return err
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	guarded, err := startServer(xenaauth.NewMiddleware(v, nil).Require(xenaauth.AllScopes(xenaauth.ScopeTestAPI))(handler))
	if err != nil {
		return err
	}
	defer guarded.close()
	open, err := startServer(handler)
	if err != nil {
		return err
	}
	defer open.close()

	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
	defer client.CloseIdleConnections()
	for _, mix := range tokenMixes {
		l := &load{client: client, clients: clients, tokens: t, pick: mix.pick, want: mix.want, n: make([]int, clients)}
		// First warm up the server: open the connections, and fill the cache with the tokens that
		// the clients send again and again.
		if _, _, err := l.run(guarded.url, true); err != nil {
			return err
		}
		if _, _, err := l.run(open.url, false); err != nil {
			return err
		}
		var ratios []float64
		var waits []time.Duration
		served := 0
		started := time.Now()
		for time.Since(started) < length {
			var free, held int
			var some []time.Duration
			// The benchmark measures the guarded route and the open route in turn. The route that
			// is measured first changes from round to round.
			for _, first := range []bool{len(ratios)%2 == 0, len(ratios)%2 != 0} {
				var err error
				if first {
					free, _, err = l.run(open.url, false)
				} else {
					held, some, err = l.run(guarded.url, true)
				}
				if err != nil {
					return err
				}
			}
			ratios = append(ratios, float64(held)/float64(free))
			waits = append(waits, some...)
			served += held
		}
		slices.Sort(ratios)
		slices.Sort(waits)
		at := func(q float64) float64 {
			return float64(waits[int(q*float64(len(waits)-1))].Nanoseconds()) / 1e3
		}
		fmt.Printf("BenchmarkLoopback/mix=%s-%d\t%d\t%.0f requests/s\t%.1f p50-µs\t%.1f p99-µs\t%.1f p99.9-µs\t%.4f x-open\n",
			mix.name, runtime.GOMAXPROCS(0), served, float64(served)/(float64(len(ratios))*turnLength.Seconds()),
			at(0.5), at(0.99), at(0.999), ratios[len(ratios)/2])
	}
	return nil
}

type load struct {
	client  *http.Client
	clients int
	tokens  *tokenSet
	pick    func(*tokenSet, int) string
	want    func(int) int
	// n is how many requests each client has sent; the next call of run continues at this number
	n []int
}

// load.run lets the clients send requests for the time turnLength. It returns the number of
// responses and the durations of the requests.
func (l *load) run(url string, guarded bool) (int, []time.Duration, error) {
	end := time.Now().Add(turnLength)
	waits := make([][]time.Duration, l.clients)
	errs := make([]error, l.clients)
	var all sync.WaitGroup
	for c := range l.clients {
		all.Go(func() {
			for errs[c] == nil && time.Now().Before(end) {
				n := l.n[c]*l.clients + c
				l.n[c]++
				want := http.StatusNoContent
				if guarded {
					want = l.want(n)
				}
				at := time.Now()
				errs[c] = l.one(url, l.pick(l.tokens, n), want)
				waits[c] = append(waits[c], time.Since(at))
			}
		})
	}
	all.Wait()
	together := slices.Concat(waits...)
	for _, err := range errs {
		if err != nil {
			return 0, nil, err
		}
	}
	return len(together), together, nil
}

func (l *load) one(url, token string, want int) error {
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	answer, err := l.client.Do(r)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, answer.Body)
	_ = answer.Body.Close()
	if err == nil && answer.StatusCode != want {
		err = fmt.Errorf("answered %s, not %d, for %.8s", answer.Status, want, strings.TrimSpace(token))
	}
	return err
}

type server struct {
	http *http.Server
	url  string
	done sync.WaitGroup
}

func startServer(h http.Handler) (*server, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &server{http: &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}, url: "http://" + listener.Addr().String()}
	s.done.Go(func() { _ = s.http.Serve(listener) })
	return s, nil
}

func (s *server) close() {
	_ = s.http.Close()
	s.done.Wait()
}
