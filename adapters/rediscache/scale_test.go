package rediscache_test

import (
	"context"
	"flag"
	"fmt"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

var update = flag.Bool("update", false, "write the tables of docs/scale.md")

// The first four constants are assumptions about the users of a service, which docs/scale.md
// states. TestConstants measures the other constants, except readEvery.
const (
	users = 10e6 // users is how many users are active within an hour
	// activeMinutes is the number of minutes in an hour in which an active user sends requests. It
	// counts minutes because an instance of the service uses a stored response for one minute
	// (CacheTTL).
	activeMinutes = 6.
	// requestsPerMinute is how many requests a user sends in a minute in which the user is active.
	// Each request goes to a random instance.
	requestsPerMinute = 10.
	// revokedShare is the share of the users for whom a revocation is published within an hour. A
	// revocation applies for an hour.
	revokedShare = 1e-3

	// memAnswer is how much memory of Redis the response about an active token takes, in bytes.
	memAnswer     = 730.
	memRevocation = 410.
	// hitIn is the number of bytes that Redis receives when an instance of the service looks up an
	// introspection response in Redis and finds it.
	hitIn  = 180.
	hitOut = 550.
	// missIn is how many bytes Redis receives if an instance of the service looks up a response,
	// does not find it, and then stores the response of the issuer.
	missIn  = 800.
	missOut = 45.
	// messageBytes is how many bytes Redis sends to one instance of the service if a revocation is
	// published.
	messageBytes = 380.
	localEntry   = 1100. // localEntry is how many bytes of memory an instance needs for a response
	// readEvery is how many seconds, on average, an instance of the service waits until it reads
	// all revocations again, if nothing indicates a change.
	readEvery = 450.
)

// reachedInstances returns how many of n instances get at least one request of a user within a
// minute, on average. Each request of the user goes to a random instance.
func reachedInstances(n float64) float64 { return n * (1 - math.Pow(1-1/n, requestsPerMinute)) }

// scaleTable calculates the table in docs/scale.md from the constants above: how much a service
// with 10, 1000 or 100 000 instances needs.
func scaleTable() string {
	fleets := []float64{10, 1000, 100_000}
	// An active minute of a user is a minute in which the user sends requests. perSecond is how
	// many active minutes begin in one second, for all users together.
	perSecond := users * activeMinutes / 3600
	inForce := users * revokedShare
	revoked := inForce / 3600
	var b strings.Builder
	b.WriteString("| instances | 10 | 1 000 | 100 000 |\n| --- | --- | --- | --- |\n")
	row := func(name string, f func(n float64) string) {
		fmt.Fprintf(&b, "| %s |", name)
		for _, n := range fleets {
			fmt.Fprintf(&b, " %s |", f(n))
		}
		b.WriteString("\n")
	}
	row("requests/s, all", func(float64) string { return formatShort(users * activeMinutes * requestsPerMinute / 3600) })
	row("requests/s, one instance", func(n float64) string { return formatShort(users * activeMinutes * requestsPerMinute / 3600 / n) })
	row("instances that see a user in a minute", func(n float64) string { return formatShort(reachedInstances(n)) })
	row("introspection calls/s, nothing shared", func(n float64) string { return formatShort(perSecond * reachedInstances(n)) })
	row("introspection calls/s, responses shared", func(float64) string { return formatShort(perSecond) })
	row("round trips/s to Redis", func(n float64) string { return formatShort(perSecond * (reachedInstances(n) + 1)) })
	row("commands/s in Redis", func(n float64) string { return formatShort(perSecond * (2*reachedInstances(n) + 1)) })
	row("bytes/s into Redis", func(n float64) string { return formatShort(perSecond * (hitIn*(reachedInstances(n)-1) + missIn)) })
	row("bytes/s out of Redis", func(n float64) string { return formatShort(perSecond * (hitOut*(reachedInstances(n)-1) + missOut)) })
	row("responses in Redis", func(float64) string { return formatShort(perSecond * 60) })
	row("bytes of Redis' memory for them", func(float64) string { return formatShort(perSecond * 60 * memAnswer) })
	row("responses that one instance uses", func(n float64) string { return formatShort(perSecond * 60 * reachedInstances(n) / n) })
	row("bytes of its memory for them", func(n float64) string {
		return formatShort(perSecond * 60 * reachedInstances(n) / n * localEntry)
	})
	row("revocations in force", func(float64) string { return formatShort(inForce) })
	row("bytes of Redis' memory for them", func(float64) string { return formatShort(inForce * memRevocation) })
	row("revocation messages/s out of Redis", func(n float64) string { return formatShort(revoked * n) })
	row("bytes/s of them", func(n float64) string { return formatShort(revoked * n * messageBytes) })
	row("counter checks/s", func(n float64) string { return formatShort(n / 30) })
	row("bytes/s of reading all without a reason", func(n float64) string {
		return formatShort(n * inForce * messageBytes / readEvery)
	})
	row("bytes when all read everything again", func(n float64) string { return formatShort(n * inForce * messageBytes) })
	return b.String()
}

// formatShort formats a number for the table in docs/scale.md: with one decimal if it is below ten,
// and with none otherwise. Large numbers have a unit such as k or M.
func formatShort(x float64) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1e12, " T"}, {1e9, " G"}, {1e6, " M"}, {1e3, " k"}, {1, ""}} {
		if x >= unit.size*0.995 {
			digits := 0
			if x/unit.size < 9.95 {
				digits = 1
			}
			return fmt.Sprintf("%.*f%s", digits, x/unit.size, unit.name)
		}
	}
	return fmt.Sprintf("%.2g", x)
}

func TestScale(t *testing.T) {
	t.Parallel()
	const file, begin, end = "../../docs/scale.md", "<!-- scale -->\n", "<!-- end -->"
	doc, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(doc), begin)
	table, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatal("docs/scale.md has lost its marks")
	}
	if *update {
		if err := os.WriteFile(file, []byte(before+begin+scaleTable()+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if table != scaleTable() {
		t.Errorf("docs/scale.md says otherwise; go test -run TestScale -update writes\n%s", scaleTable())
	}
}

// TestConstants measures the constants of the table in docs/scale.md with a real Redis. A constant
// may differ from the measurement by a quarter.
func TestConstants(t *testing.T) {
	s := startRedis(t)
	f := newFleet(t, s)
	client, ctx := s.client(), context.Background()
	// Each client has only one connection, so that no connection is opened while the test counts
	// bytes.
	options := redis.UniversalOptions{Addrs: []string{s.addr()}, PoolSize: 1}
	one, two := f.instanceThrough(options), f.instanceThrough(options)
	near := func(what string, got, want float64) {
		t.Logf("%s: %.0f, assumed %.0f", what, got, want)
		if got < want*0.75 || got > want*1.25 {
			t.Errorf("%s is %.0f, and docs/scale.md goes by %.0f", what, got, want)
		}
	}
	const n = 200
	tokens := make([]string, n)
	for i := range tokens {
		tokens[i] = f.issuer.Opaque(subject(fmt.Sprint("user-", i)))
	}
	warm := f.issuer.Opaque(xenaauthtest.Token{})
	f.wants(one, warm, "")
	waitForResponses(t, client, 1)
	f.wants(two, warm, "")
	ask := func(v *xenaauth.Validator) {
		for _, token := range tokens {
			f.wants(v, token, "")
		}
	}
	m := newMeter(t, client)
	in, out := m.readWhenIdle()
	ask(one)
	in2, out2 := m.readWhenIdle()
	near("a miss, bytes in", (in2-in)/n, missIn)
	near("a miss, bytes out", (out2-out)/n, missOut)
	ask(two)
	in, out = m.readWhenIdle()
	near("a hit, bytes in", (in-in2)/n, hitIn)
	near("a hit, bytes out", (out-out2)/n, hitOut)
	near("an answer in memory", float64(client.MemoryUsage(ctx, waitForResponses(t, client, n)[0]).Val()), memAnswer)

	r := xenaauth.Revocation{Until: time.Now().Add(time.Hour)}
	for i := range 1000 {
		r.Subject = fmt.Sprint("user-", i)
		f.revoke(one, r)
	}
	near("a revocation in memory", float64(client.MemoryUsage(ctx, setName, 0).Val())/1000, memRevocation)
	f.startFollowing(two)
	eventually(t, func() bool { return two.Status().Revocations == 1000 })
	// An instance of the service compares the counter in Redis with the number of messages that it
	// received. If a message is still on its way, the two differ, and the instance reads all
	// revocations, which adds many bytes. So the test makes several rounds. The round with the
	// fewest bytes had no such read.
	least := math.Inf(1)
	for round := 0; round < 20 && least > messageBytes*1.2; round++ {
		_, out = m.readWhenIdle()
		for i := range 100 {
			r.Subject = fmt.Sprint("other-", round, "-", i)
			f.revoke(one, r)
		}
		_, out2 = m.readWhenIdle()
		// For each published message, Redis sends two things: the message to one instance of the
		// service, and a reply of about 20 bytes to the instance that published it. The test
		// measures only the message. So it subtracts the 20 bytes of the reply.
		least = min(least, (out2-out)/100-20)
	}
	near("a message", least, messageBytes)

	near("an answer in an instance", memoryPerResponse(f), localEntry)
}

// A meter reads from Redis how many bytes Redis has received and sent. The method readWhenIdle
// leaves out the bytes of the meter's own commands.
type meter struct {
	t               testing.TB
	client          redis.UniversalClient
	reads           float64
	costIn, costOut float64
}

func newMeter(t testing.TB, c redis.UniversalClient) *meter {
	m := &meter{t: t, client: c, costIn: math.Inf(1)}
	// The meter must know how many bytes its own command takes, so that it can subtract them.
	// Commands of other clients may add bytes while it measures this. So it measures several times,
	// and keeps the least result.
	for range 10 {
		in, out := m.read()
		in2, out2 := m.read()
		if in2-in < m.costIn {
			m.costIn, m.costOut = in2-in, out2-out
		}
	}
	return m
}

func (m *meter) read() (in, out float64) {
	m.t.Helper()
	m.reads++
	for line := range strings.Lines(m.client.Info(context.Background(), "stats").Val()) {
		_, _ = fmt.Sscanf(line, "total_net_input_bytes:%g", &in)
		_, _ = fmt.Sscanf(line, "total_net_output_bytes:%g", &out)
	}
	return in, out
}

// meter.readWhenIdle waits until no other client of Redis sends anything. It returns how many bytes
// Redis has received and sent until then.
func (m *meter) readWhenIdle() (in, out float64) {
	m.t.Helper()
	calm := 0
	eventually(m.t, func() bool {
		before := in
		in, out = m.read()
		if calm++; in-before > 2*m.costIn {
			calm = 0
		}
		return calm >= 10
	})
	return in - m.reads*m.costIn, out - m.reads*m.costOut
}

// countAttempts returns how often the clients of Redis have sent the given command. The number
// includes the commands that Redis has rejected, for example because its memory was full.
func countAttempts(t testing.TB, c redis.UniversalClient, command string) (n int) {
	t.Helper()
	for line := range strings.Lines(c.Info(context.Background(), "commandstats").Val()) {
		stats, found := strings.CutPrefix(strings.TrimSpace(line), "cmdstat_"+command+":")
		if !found {
			continue
		}
		for field := range strings.SplitSeq(stats, ",") {
			name, value, _ := strings.Cut(field, "=")
			if name == "calls" || name == "rejected_calls" {
				count, err := strconv.Atoi(value)
				if err != nil {
					t.Fatal(err)
				}
				n += count
			}
		}
	}
	return n
}

// memoryPerResponse measures how much memory an instance of the service takes to keep one
// introspection response, in bytes.
func memoryPerResponse(f *fleet) float64 {
	f.t.Helper()
	const n = 5000
	cfg := f.issuer.HybridConfig()
	v, err := xenaauth.NewValidator(cfg)
	if err != nil {
		f.t.Fatal(err)
	}
	tokens := make([]string, n)
	for i := range tokens {
		tokens[i] = f.issuer.Opaque(subject(fmt.Sprint("user-", i)))
	}
	heap := func() float64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	before := heap()
	for _, token := range tokens {
		f.wants(v, token, "")
	}
	after := heap()
	runtime.KeepAlive(v)
	runtime.KeepAlive(tokens)
	return (after - before) / n
}
