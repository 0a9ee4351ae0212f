package chaos

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// introspectionLoad is an HTTP transport that counts the introspection calls that run at the issuer
// at the same time.
type introspectionLoad struct {
	next      http.RoundTripper
	now, most atomic.Int64
}

func (q *introspectionLoad) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasSuffix(r.URL.Path, "/introspect") {
		n := q.now.Add(1)
		defer q.now.Add(-1)
		for most := q.most.Load(); n > most && !q.most.CompareAndSwap(most, n); {
			most = q.most.Load()
		}
	}
	return q.next.RoundTrip(r)
}

const (
	// The flood contains at most floodJunk bad JWTs, and in addition at most floodJunk bad opaque
	// tokens.
	floodJunk       = 50_000
	floodUsers      = 1000
	floodConcurrent = 16
)

// A flood of invalid tokens must harm only the clients that send it: the API still accepts valid
// users, the API fetches the key set about once a second at most, the number of introspection calls
// at the same time is limited, and the API's memory stays limited.
func TestFlood(t *testing.T) {
	most, perClient := 15*time.Second, 1
	if os.Getenv("XENAAUTH_FLOOD") == "full" {
		// In the full flood, 64 times as many clients as in the usual flood send JWTs of unknown
		// keys and opaque tokens. The full flood may take 5 minutes, and the usual flood 15
		// seconds.
		most, perClient = 5*time.Minute, 64
	}
	l := newLab(t)
	q := &introspectionLoad{next: &http.Transport{MaxIdleConnsPerHost: floodConcurrent}}
	lines := new(logLines)
	a := l.api(func(c *xenaauth.Config) {
		c.HTTPClient = &http.Client{Transport: q}
		c.Introspection.MaxConcurrent = floodConcurrent
		c.Logger = slog.New(slog.NewTextHandler(lines, nil))
		// The lifetime of cached introspection responses is short, so that the API asks the issuer
		// about valid opaque tokens again during the flood.
		c.Introspection.CacheTTL = 2 * time.Second
	})
	l.issuer.Fail(xenaauthtest.Introspection, xenaauthtest.Fault{Delay: 2 * time.Millisecond})
	tokens := make([]string, floodUsers)
	for n := range tokens {
		if tokens[n] = l.jwt(fmt.Sprint("user ", n)); n%2 == 1 {
			tokens[n] = l.opaque(fmt.Sprint("user ", n))
		}
		a.expect(tokens[n], "200")
	}

	g := &heapSizes{initialSize: readSizeAfterGC()}
	l.issuer.ResetCalls()
	start := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), most)
	defer cancel()
	var flood, others sync.WaitGroup
	j := newJunkTokens(l.issuer)
	unknown := sendTokens(ctx, &flood, a, 24*perClient, floodJunk*9/10, j.unknownKey)
	forged := sendTokens(ctx, &flood, a, 16, floodJunk/10, j.badSignature)
	opaque := sendTokens(ctx, &flood, a, 24*perClient, floodJunk, j.opaque)
	over, end := context.WithCancel(t.Context())
	defer end()
	others.Go(func() { g.recordPeak(over) })
	users := new(responseCounts)
	times := make([][]time.Duration, 8)
	for w := range times {
		others.Go(func() {
			for n := w; over.Err() == nil; n += len(times) {
				got := a.get(t.Context(), tokens[n%floodUsers])
				users.add(got)
				times[w] = append(times[w], got.took)
				// without this pause, the valid users would send more requests than real users do
				time.Sleep(2 * time.Millisecond)
			}
		})
	}
	young := new(responseCounts)
	var took time.Duration
	others.Go(func() {
		select {
		case <-time.After(most / 2):
		case <-over.Done():
		}
		token := rotateKey(l)
		rotation := time.Now()
		for time.Since(rotation) < 10*time.Second {
			got := a.get(t.Context(), token)
			took = time.Since(rotation)
			if young.add(got); got.status == 200 {
				return
			}
		}
	})
	flood.Wait()
	end()
	others.Wait()
	elapsed := time.Since(start)
	sets := float64(l.issuer.Calls(xenaauthtest.JWKS)-1) / elapsed.Seconds()
	asked := l.issuer.Calls(xenaauthtest.Introspection)
	tokens = nil
	g.finalSize = readSizeAfterGC()

	all := slices.Concat(times...)
	slices.Sort(all)
	t.Logf("in %v: JWTs of unknown keys: %v", elapsed.Round(time.Millisecond), unknown)
	t.Logf("JWTs with bad signatures: %v", forged)
	t.Logf("opaque tokens that nobody issued: %v", opaque)
	t.Logf("valid users: %v; p50 %v, p99 %v, slowest %v", users, all[len(all)/2], all[len(all)*99/100], all[len(all)-1])
	t.Logf("key rotated amid the flood: accepted after %v: %v", took, young)
	t.Logf("key set fetches: %.2f/s; questions: %d, at most %d at a time; %v", sets, asked, q.most.Load(), g)

	// Introspection calls that wait in a queue do not show that the issuer is down. The issuer
	// works, so the circuit breaker must keep allowing calls to it.
	if n := lines.has("level=ERROR"); n > 0 {
		t.Errorf("the log says %d times that the issuer fails: %q", n, lines.lines)
	}
	if !users.containsOnly("200") {
		t.Errorf("valid users saw %v", users)
	}
	waits := []string{"401 unknown_key"}
	// The full flood (XENAAUTH_FLOOD=full) has 64 times as many clients as the usual flood. Then
	// more requests wait for the key set than the API allows, so the API responds to some of them
	// with 503.
	if perClient > 1 {
		// the API's Retry-After can be some seconds, because a fetch of the key set takes long on a
		// busy machine
		for n := range 6 {
			waits = append(waits, fmt.Sprintf("503, Retry-After: %d", n+1))
		}
	}
	if !unknown.containsOnly(waits...) || !forged.containsOnly("401 signature") {
		t.Errorf("junk JWTs saw %v and %v", unknown, forged)
	}
	if !opaque.containsOnly("401 inactive", "503, Retry-After: 1") {
		t.Errorf("opaque junk saw %v", opaque)
	}
	if took > 1500*time.Millisecond || perClient == 1 && !young.containsOnly("200") {
		t.Errorf("a new key is accepted after %v: %v", took, young)
	}
	if sets > 1.2 {
		t.Errorf("%.2f key set fetches a second", sets)
	}
	if n := q.most.Load(); n > floodConcurrent {
		t.Errorf("%d questions under way at a time", n)
	}
	// With 64 times as many clients, there are more than 3000 connections. The clients and the
	// server run in this process, so this process needs memory for both ends of each connection.
	if g.peakSize > g.initialSize+512<<20 || g.finalSize > g.initialSize+uint64(32+perClient)<<20 {
		t.Errorf("memory isn't bounded: %v", g)
	}
}
