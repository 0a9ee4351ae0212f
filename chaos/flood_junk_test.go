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

// The type junk makes invalid tokens. They are of those kinds that cost the API the most work to
// refuse.
type junk struct{ header, payload string }

func newJunk(issuer *xenaauthtest.Issuer) *junk {
	parts := strings.Split(issuer.JWT(xenaauthtest.Token{Subject: "junk"}), ".")
	return &junk{parts[0], parts[1]}
}

var b64 = base64.RawURLEncoding

func random(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}

// junk.unknownKey returns a token whose claims are good, but whose kid is that of a key that does
// not exist. To find out that the token is invalid, the API needs the newest key set.
func (j *junk) unknownKey() string {
	header := fmt.Sprintf(`{"alg":"ES256","typ":"at+jwt","kid":"%x"}`, random(16))
	return b64.EncodeToString([]byte(header)) + "." + j.payload + "." + b64.EncodeToString(random(64))
}

// junk.badSignature returns a token with a wrong signature and the kid of an existing key. To find
// out that the token is invalid, the API must verify the signature.
func (j *junk) badSignature() string {
	return j.header + "." + j.payload + "." + b64.EncodeToString(random(64))
}

// junk.opaque returns an invalid token that looks like an opaque token of the issuer. To find out
// that the token is invalid, the API must call the issuer.
func (j *junk) opaque() string { return fmt.Sprintf("%X", random(32)) }

// The type counts says how often the API sent each different response, for example "401
// invalid_token".
type counts struct {
	mu sync.Mutex
	by map[string]int
}

func (c *counts) add(a answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by == nil {
		c.by = make(map[string]int)
	}
	c.by[a.String()]++
}

// counts.only reports whether at least one response was counted, and whether every counted response
// is in the list answers.
func (c *counts) only(answers ...string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for got := range c.by {
		if !slices.Contains(answers, got) {
			return false
		}
	}
	return len(c.by) > 0
}

func (c *counts) String() string {
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

// The function send lets several clients send tokens to the API until they have sent n tokens
// together or ctx ends. It returns how often the API sent each different response.
func send(ctx context.Context, all *sync.WaitGroup, a *api, clients, n int, token func() string) *counts {
	seen := new(counts)
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

// A gauge contains the size of the heap before, during and after a flood of invalid tokens.
type gauge struct{ before, peak, after uint64 }

func heap() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

func collected() uint64 {
	runtime.GC()
	runtime.GC()
	return heap()
}

func (g *gauge) follow(ctx context.Context) {
	for ctx.Err() == nil {
		g.peak = max(g.peak, heap())
		time.Sleep(20 * time.Millisecond)
	}
}

func (g *gauge) String() string {
	var b bytes.Buffer
	for i, n := range []uint64{g.before, g.peak, g.after} {
		fmt.Fprintf(&b, "%s %.1f MiB", []string{"heap before", ", peak", ", after"}[i], float64(n)/(1<<20))
	}
	return b.String()
}
