package rediscache_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/rediscache"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

func TestMain(m *testing.M) {
	// Without this call, the Redis client logs errors, with the addresses of the Redis servers,
	// into the output of the tests.
	logging.Disable()
	os.Exit(m.Run())
}

// A server is a redis-server process that listens on a port of its own.
type server struct {
	t    testing.TB
	port string
	args []string
	cmd  *exec.Cmd

	sentinel string // sentinel is the configuration file of a Redis sentinel, or ""
}

// startRedis starts a redis-server that keeps no data on disk. If redis-server is not installed,
// the test is skipped; in CI it fails.
func startRedis(t testing.TB, args ...string) *server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("redis-server is not installed, and CI has to test against it")
		}
		t.Skip("redis-server is not installed")
	}
	s := &server{t: t, port: freePort(t), args: args}
	s.start()
	t.Cleanup(s.kill)
	return s
}

func freePort(t testing.TB) string {
	t.Helper()
	// Redis adds 10 000 to the port for the cluster bus. The sum must be a port too, so it must not
	// be above 65 535.
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_, port, _ := net.SplitHostPort(l.Addr().String())
		_ = l.Close()
		if n, _ := strconv.Atoi(port); n < 55_000 {
			return port
		}
	}
	t.Fatal("no free port")
	return ""
}

func (s *server) addr() string { return "127.0.0.1:" + s.port }

func (s *server) start() {
	s.t.Helper()
	dir, err := os.MkdirTemp("", "rediscache")
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = os.RemoveAll(dir) })
	args := []string{"--port", s.port, "--bind", "127.0.0.1", "--dir", dir, "--logfile", filepath.Join(dir, "log")}
	args = append(args, s.args...)
	if s.sentinel == "" {
		args = append(args, "--user", fleetUser, "on", ">"+fleetPassword)
		args = append(args, documentedACL(s.t)...)
	}
	if s.sentinel != "" {
		args = append([]string{s.sentinel, "--sentinel"}, args...)
	} else {
		args = append(args, "--save", "", "--appendonly", "no")
	}
	s.cmd = exec.Command("redis-server", args...)
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	client := redis.NewClient(&redis.Options{Addr: s.addr()})
	defer func() { _ = client.Close() }()
	eventually(s.t, func() bool { return client.Ping(context.Background()).Err() == nil })
}

func (s *server) kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}

func (s *server) freeze() { _ = s.cmd.Process.Signal(syscall.SIGSTOP) }
func (s *server) thaw()   { _ = s.cmd.Process.Signal(syscall.SIGCONT) }

// server.client returns a Redis client with all permissions. Tests use it to prepare and examine
// Redis, and also to act as an attacker.
func (s *server) client() redis.UniversalClient {
	c := redis.NewUniversalClient(&redis.UniversalOptions{Addrs: []string{s.addr()}, ContextTimeoutEnabled: true})
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}

// fleetUser is the Redis user of the instances of the service. This user has the permissions that
// docs/fleet.md shows. Some tests take away the permission to publish.
const fleetUser, fleetPassword = "fleet", "hush"

// documentedACL returns the permissions (ACL rules) for Redis that docs/fleet.md shows, without
// those rules that the installed Redis does not know.
func documentedACL(t testing.TB) []string {
	t.Helper()
	doc, err := os.ReadFile("../../docs/fleet.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(doc), "```\n~xenaauth:*")
	text, _, ok := strings.Cut("~xenaauth:*"+rest, "```")
	if !ok {
		t.Fatal("docs/fleet.md has no rules")
	}
	rules := strings.Fields(text)
	// Redis 7.0 refuses ACL rules with subcommands that it does not know. CLIENT SETINFO exists
	// since Redis 7.2, so Redis 7.0 does not get the rule for it.
	version, err := exec.Command("redis-server", "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(version), " v=7.0.") {
		rules = slices.DeleteFunc(rules, func(rule string) bool { return rule == "+client|setinfo" })
	}
	return rules
}

// instanceClient returns a Redis client with the permissions that docs/fleet.md gives to an
// instance of the service.
func (s *server) instanceClient() redis.UniversalClient {
	c := redis.NewUniversalClient(&redis.UniversalOptions{Addrs: []string{s.addr()}, ContextTimeoutEnabled: true,
		Username: fleetUser, Password: fleetPassword})
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}

// maxWait is how long a test waits for something that must happen. It is long because machines that
// run tests may be slow. No test asserts a speed.
const maxWait = 2 * time.Minute

func eventually(t testing.TB, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(maxWait); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v", maxWait)
		}
	}
}

// requireReturn calls f. If f does not return within maxWait, the test fails.
func requireReturn(t testing.TB, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(maxWait):
		t.Fatalf("not within %v", maxWait)
	}
}

// commandCounter counts commands that a Redis client sends: in pings the command PING, and in
// others the commands SET, EVAL and EVALSHA. It counts a pipeline only by its first command.
type commandCounter struct {
	pings, others atomic.Int64
	// counterReads counts the pipelines that have read the counter of published messages, or have
	// failed to read it.
	counterReads atomic.Int64
}

func (c *commandCounter) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c *commandCounter) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.count(cmd)
		return next(ctx, cmd)
	}
}

func (c *commandCounter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		c.count(cmds[0])
		err := next(ctx, cmds)
		if cmds[0].Name() == "getrange" {
			c.counterReads.Add(1)
		}
		return err
	}
}

func (c *commandCounter) count(cmd redis.Cmder) {
	switch cmd.Name() {
	case "ping":
		c.pings.Add(1)
	case "set", "eval", "evalsha":
		c.others.Add(1)
	}
}

func newSecret() []byte {
	s := make([]byte, 32)
	_, _ = rand.Read(s)
	return s
}

// logBuffer stores the log of a test. It is safe for concurrent use.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// A fleet makes the instances of one service for a test. Each instance has its own connections to
// Redis.
type fleet struct {
	t       testing.TB
	issuer  *xenaauthtest.Issuer
	server  *server
	secrets [][]byte
	log     *logBuffer
	prefix  string
	// timeout is the Config.Timeout of each instance of the service. It is long, because machines
	// that run tests may be slow.
	timeout time.Duration
}

func newFleet(t testing.TB, s *server) *fleet {
	return &fleet{t: t, issuer: xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256"}), server: s,
		secrets: [][]byte{newSecret()}, log: new(logBuffer), timeout: 5 * time.Second}
}

func (f *fleet) cache(change func(*rediscache.Config)) *rediscache.Cache {
	f.t.Helper()
	cfg := rediscache.Config{
		Client: f.client(), Secrets: f.secrets, Prefix: f.prefix, Timeout: f.timeout,
		Logger: slog.New(slog.NewTextHandler(f.log, nil)),
	}
	if change != nil {
		change(&cfg)
	}
	c, err := rediscache.New(cfg)
	if err != nil {
		f.t.Fatal(err)
	}
	return c
}

// fleet.client returns the Redis client of an instance of the service. If the fleet has the default
// prefix, the client has the permissions of docs/fleet.md. These permissions do not allow other
// prefixes, so with another prefix the client has all permissions.
func (f *fleet) client() redis.UniversalClient {
	if f.prefix != "" {
		return f.server.client()
	}
	return f.server.instanceClient()
}

func (f *fleet) instance() *xenaauth.Validator {
	f.t.Helper()
	return f.over(f.cache(nil))
}

func (f *fleet) over(c *rediscache.Cache) *xenaauth.Validator {
	f.t.Helper()
	cfg := f.issuer.HybridConfig()
	cfg.Introspection.Cache, cfg.RevocationBus = c, c
	cfg.Introspection.Endpoint = f.issuer.URL() + "/connect/introspect"
	cfg.Logger = slog.New(slog.NewTextHandler(f.log, nil))
	v, err := xenaauth.NewValidator(cfg)
	if err != nil {
		f.t.Fatal(err)
	}
	return v
}

// fleet.startFollowing makes the instance v receive revocations, until the test ends or the
// returned function is called.
func (f *fleet) startFollowing(v *xenaauth.Validator) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = v.FollowRevocations(ctx) })
	stop = func() { cancel(); wg.Wait() }
	f.t.Cleanup(stop)
	return stop
}

// refusalReason makes the instance v validate a token. It returns the reason of the refusal, or ""
// if v accepts the token.
func refusalReason(v *xenaauth.Validator, token string) xenaauth.Reason {
	_, err := v.Validate(context.Background(), token)
	if err == nil {
		return ""
	}
	return err.(*xenaauth.Error).Reason
}

func (f *fleet) wants(v *xenaauth.Validator, token string, want xenaauth.Reason) {
	f.t.Helper()
	if got := refusalReason(v, token); got != want {
		f.t.Fatalf("%q, want %q", got, want)
	}
}

func (f *fleet) asked(want int) {
	f.t.Helper()
	if got := f.issuer.Calls(xenaauthtest.Introspection); got != want {
		f.t.Fatalf("the issuer was asked %d times, want %d\n%s", got, want, f.log)
	}
}

// readEverything returns everything that an attacker can read in Redis: all names and the values
// under them.
func readEverything(t testing.TB, c redis.UniversalClient) (names []string, text string) {
	t.Helper()
	ctx := context.Background()
	names, err := c.Keys(ctx, "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		kind := c.Type(ctx, n).Val()
		text += n + " "
		switch kind {
		case "string":
			text += c.Get(ctx, n).Val()
		case "zset":
			text += fmt.Sprint(c.ZRangeWithScores(ctx, n, 0, -1).Val())
		default:
			t.Fatalf("%s is a %s", n, kind)
		}
	}
	return names, text
}

// waitForResponses waits until Redis contains at least n introspection responses, and returns their
// names in Redis. Waiting is necessary, because an instance of the service stores a response in the
// background.
func waitForResponses(t testing.TB, c redis.UniversalClient, n int) (names []string) {
	t.Helper()
	return waitForResponsesUnder(t, c, "xenaauth:", n)
}

func waitForResponsesUnder(t testing.TB, c redis.UniversalClient, prefix string, n int) (names []string) {
	t.Helper()
	ctx := context.Background()
	eventually(t, func() bool {
		names = nil
		for _, name := range c.Keys(ctx, prefix+"*").Val() {
			if c.Type(ctx, name).Val() == "string" && c.StrLen(ctx, name).Val() >= 256 {
				names = append(names, name)
			}
		}
		return len(names) >= n
	})
	return names
}
