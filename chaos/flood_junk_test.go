package chaos

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/metrics"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// junkTokens makes invalid tokens. The API needs more work to refuse these tokens than to refuse
// other invalid tokens.
type junkTokens struct{ header, payload string }

func newJunkTokens(issuer *xenaauthtest.Issuer) *junkTokens {
	parts := strings.Split(issuer.JWT(xenaauthtest.Token{Subject: "junk"}), ".")
	return &junkTokens{parts[0], parts[1]}
}

var b64 = base64.RawURLEncoding

func random(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}

// junkTokens.unknownKey returns a token whose claims are good, but whose kid is that of a key that
// does not exist. To find out that the token is invalid, the API needs the newest key set.
func (j *junkTokens) unknownKey() string {
	header := fmt.Sprintf(`{"alg":"ES256","typ":"at+jwt","kid":"%x"}`, random(16))
	return b64.EncodeToString([]byte(header)) + "." + j.payload + "." + b64.EncodeToString(random(64))
}

// junkTokens.badSignature returns a token with a wrong signature and the kid of an existing key. To
// find out that the token is invalid, the API must verify the signature.
func (j *junkTokens) badSignature() string {
	return j.header + "." + j.payload + "." + b64.EncodeToString(random(64))
}

// junkTokens.opaque returns an invalid token that looks like an opaque token of the issuer. To find
// out that the token is invalid, the API must call the issuer.
func (j *junkTokens) opaque() string { return fmt.Sprintf("%X", random(32)) }

// responseCounts counts how often the API sent each different response, for example "401
// invalid_token".
type responseCounts struct {
	mu sync.Mutex
	by map[string]int
}

func (c *responseCounts) add(a answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by == nil {
		c.by = make(map[string]int)
	}
	c.by[a.String()]++
}

// responseCounts.containsOnly returns true if the API has sent at least one response, and every
// response is one of allowedResponses.
func (c *responseCounts) containsOnly(allowedResponses ...string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for got := range c.by {
		if !slices.Contains(allowedResponses, got) {
			return false
		}
	}
	return len(c.by) > 0
}

func (c *responseCounts) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	names := make([]string, 0, len(c.by))
	sum := 0
	for name, n := range c.by {
		names = append(names, fmt.Sprintf("%s × %d", name, n))
		sum += n
	}
	slices.Sort(names)
	return fmt.Sprintf("%d requests: %s", sum, strings.Join(names, "; "))
}

// sendTokens lets several clients send tokens to the API until they have sent n tokens together or
// ctx ends. It does not wait for the clients. When all clients have ended, its result says how
// often the API sent each different response.
func sendTokens(ctx context.Context, all *sync.WaitGroup, a *api, clients, n int, token func() string) *responseCounts {
	seen := new(responseCounts)
	var sent atomic.Int64
	for range clients {
		all.Go(func() {
			for ctx.Err() == nil && sent.Add(1) <= int64(n) {
				if got := a.get(ctx, token()); got.status != 0 {
					seen.add(got)
				}
			}
		})
	}
	return seen
}

// heapSizes contains the size of the heap of this process before a flood of invalid tokens, the
// largest size during the flood, and the size after the flood.
type heapSizes struct{ initialSize, peakSize, finalSize uint64 }

func readHeapSize() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

func readSizeAfterGC() uint64 {
	runtime.GC()
	runtime.GC()
	return readHeapSize()
}

func (g *heapSizes) recordPeak(ctx context.Context) {
	for ctx.Err() == nil {
		g.peakSize = max(g.peakSize, readHeapSize())
		time.Sleep(20 * time.Millisecond)
	}
}

func (g *heapSizes) String() string {
	var b bytes.Buffer
	for i, n := range []uint64{g.initialSize, g.peakSize, g.finalSize} {
		fmt.Fprintf(&b, "%s %.1f MiB", []string{"heap before", ", peak", ", after"}[i], float64(n)/(1<<20))
	}
	return b.String()
}
