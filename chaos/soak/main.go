// Command soak puts a guarded server under load for minutes, while its issuer rotates keys about
// every five seconds and is down at random times. It prints the responses that clients got. It
// exits with an error if a request with a valid token got no response, or another status than 200
// and 503.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

func main() {
	length := flag.Duration("for", 10*time.Minute, "how long")
	clients := flag.Int("clients", 8, "how many clients")
	flag.Parse()
	if err := soak(*length, *clients); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// A tally counts how often clients got each different response.
type tally struct {
	mu        sync.Mutex
	outcomes  map[string]int
	latencies []time.Duration // the durations of some of the requests
	wrong     []string
}

func (s *tally) add(kind string, status int, reason string, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outcomes[fmt.Sprintf("%-6s %d %s", kind, status, reason)]++
	if len(s.latencies) < 2_000_000 && rand.IntN(10) == 0 {
		s.latencies = append(s.latencies, took)
	}
	if status != http.StatusOK && status != http.StatusServiceUnavailable && len(s.wrong) < 20 {
		s.wrong = append(s.wrong, fmt.Sprintf("%s: %d %s", kind, status, reason))
	}
}

func soak(length time.Duration, clients int) error {
	issuer := xenaauthtest.StartIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256"})
	defer issuer.Close()
	cfg := issuer.HybridConfig()
	cfg.Logger = slog.New(slog.DiscardHandler)
	v, err := xenaauth.NewValidator(cfg)
	if err != nil {
		return err
	}
	guard := xenaauth.NewMiddleware(v, nil).Require(xenaauth.AllScopes(xenaauth.ScopeTestAPI))
	server := httptest.NewServer(guard(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	defer server.Close()

	seen := &tally{outcomes: make(map[string]int)}
	start, end := time.Now(), time.Now().Add(length)
	heap := newHeap()
	var all sync.WaitGroup
	for range clients {
		all.Go(func() { sendRequests(issuer, server, seen, end) })
	}
	all.Go(func() { disturbIssuer(issuer, end) })
	all.Go(func() {
		for time.Now().Before(end) {
			heap.look()
			time.Sleep(time.Second)
		}
	})
	all.Wait()
	return report(issuer, seen, heap, time.Since(start))
}

// sendRequests acts as a client of the guarded server until endTime. It sends between 100 and 299
// requests with one token, then gets a new token, and so on.
func sendRequests(issuer *xenaauthtest.Issuer, server *httptest.Server, seen *tally, endTime time.Time) {
	for time.Now().Before(endTime) {
		kind, token := "JWT", ""
		if rand.IntN(3) == 0 {
			kind, token = "opaque", issuer.Opaque(xenaauthtest.Token{})
		} else {
			token = issuer.JWT(xenaauthtest.Token{})
		}
		for range 100 + rand.IntN(200) {
			req, err := http.NewRequest(http.MethodGet, server.URL, nil)
			if err != nil {
				panic(err)
			}
			req.Header.Set("Authorization", "Bearer "+token)
			began := time.Now()
			resp, err := server.Client().Do(req)
			if err != nil {
				seen.add(kind, 0, "no answer", time.Since(began))
				continue
			}
			var problem struct{ Reason string }
			body, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			_ = json.Unmarshal(body, &problem)
			seen.add(kind, resp.StatusCode, problem.Reason, time.Since(began))
		}
	}
}

// disturbIssuer rotates the issuer's keys about every five seconds, and stops the issuer for a
// while at random times. It returns after endTime.
func disturbIssuer(issuer *xenaauthtest.Issuer, endTime time.Time) {
	rotate := time.Now().Add(5 * time.Second)
	for time.Now().Before(endTime) {
		time.Sleep(time.Duration(500+rand.IntN(3000)) * time.Millisecond)
		if time.Now().After(rotate) {
			issuer.Rotate()
			rotate = rotate.Add(5 * time.Second)
		}
		if rand.IntN(3) == 0 {
			issuer.Down()
			time.Sleep(time.Duration(200+rand.IntN(4000)) * time.Millisecond)
			issuer.Heal()
		}
	}
	issuer.Heal()
}

type heapSizes struct{ first, peak, last uint64 }

func newHeap() *heapSizes {
	h := new(heapSizes)
	h.look()
	h.first = h.last
	return h
}

func (h *heapSizes) look() {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	h.last = m.HeapAlloc
	h.peak = max(h.peak, h.last)
}

func report(issuer *xenaauthtest.Issuer, seen *tally, heap *heapSizes, took time.Duration) error {
	seen.mu.Lock()
	defer seen.mu.Unlock()
	kinds := make([]string, 0, len(seen.outcomes))
	total := 0
	for kind, n := range seen.outcomes {
		kinds = append(kinds, kind)
		total += n
	}
	slices.Sort(kinds)
	fmt.Printf("%v, %d requests (%.0f/s)\n", took.Round(time.Second), total, float64(total)/took.Seconds())
	for _, kind := range kinds {
		fmt.Printf("  %-28s %9d\n", kind, seen.outcomes[kind])
	}
	slices.Sort(seen.latencies)
	for _, q := range []float64{0.5, 0.99, 0.999, 1} {
		fmt.Printf("  latency p%-5v %v\n", 100*q, seen.latencies[int(q*float64(len(seen.latencies)-1))].Round(time.Microsecond))
	}
	for _, endpoint := range []xenaauthtest.Endpoint{xenaauthtest.JWKS, xenaauthtest.Metadata, xenaauthtest.Introspection} {
		fmt.Printf("  calls of %-14s %d (%.2f/s)\n", endpoint, issuer.Calls(endpoint), float64(issuer.Calls(endpoint))/took.Seconds())
	}
	runtime.GC()
	heap.look()
	fmt.Printf("  heap before, peak, after: %d, %d, %d MB (the load generator's own included)\n", heap.first>>20, heap.peak>>20, heap.last>>20)
	if len(seen.wrong) > 0 {
		return fmt.Errorf("valid tokens were called bad: %v", seen.wrong)
	}
	return nil
}
