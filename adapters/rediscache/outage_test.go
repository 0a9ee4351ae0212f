package rediscache_test

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/rediscache"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// fleet.requireAccepted makes v validate n new tokens, and requires that v accepts all of them.
func (f *fleet) requireAccepted(v *xenaauth.Validator, n int) {
	f.t.Helper()
	for range n {
		token := f.issuer.Opaque(xenaauthtest.Token{})
		requireReturn(f.t, func() {
			if got := refusalReason(v, token); got != "" {
				f.t.Errorf("refused: %s", got)
			}
		})
	}
}

// fleet.shareResponses reports whether two instances of the service share introspection responses:
// after one instance has introspected a token, the other instance does not introspect this token.
func (f *fleet) shareResponses(one, two *xenaauth.Validator) bool {
	token := f.issuer.Opaque(xenaauthtest.Token{})
	before := f.issuer.Calls(xenaauthtest.Introspection)
	return refusalReason(one, token) == "" && refusalReason(two, token) == "" && f.issuer.Calls(xenaauthtest.Introspection) == before+1
}

// A Redis that stops without closing its connections slows requests down the most. After five calls
// that ended because of Config.Timeout, no request calls Redis. The test allows up to five more
// calls, which may have begun before that.
func TestFrozen(t *testing.T) {
	// A Redis client has timeouts of its own. Here its ReadTimeout is so long that it ends no call
	// during the test.
	const never = time.Hour
	for name, c := range map[string]struct {
		options redis.UniversalOptions
		timeout time.Duration // timeout is Config.Timeout; 0 means 50 ms
	}{
		"as documented":     {redis.UniversalOptions{ContextTimeoutEnabled: true}, 0},
		"any configuration": {redis.UniversalOptions{}, 0},
		"longer":            {redis.UniversalOptions{ContextTimeoutEnabled: true}, 300 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			s := startRedis(t)
			f := newFleet(t, s)
			f.timeout = c.timeout
			c.options.Addrs, c.options.ReadTimeout, c.options.MaxRetries = []string{s.addr()}, never, -1
			client := redis.NewUniversalClient(&c.options)
			t.Cleanup(func() { _ = client.Close() })
			calls := new(commandCounter)
			client.AddHook(calls)
			one := f.over(f.cache(func(c *rediscache.Config) { c.Client = client }))
			two := f.instance()
			eventually(t, func() bool { return f.shareResponses(one, two) })

			s.freeze()
			before := calls.others.Load()
			f.requireAccepted(one, 30)
			if n := calls.others.Load() - before; n < 5 || n > 10 {
				t.Errorf("%d calls to a frozen Redis, want 5 to 10", n)
			}
			// After the failures, the cache sends the command PING to find out whether Redis works
			// again. No request waits for the reply.
			calls.pings.Store(0)
			eventually(t, func() bool { f.requireAccepted(one, 1); return calls.pings.Load() > 1 })
			if n := calls.others.Load() - before; n > 10 {
				t.Errorf("%d calls, some to a Redis that is known to be frozen", n)
			}
			s.thaw()
			eventually(t, func() bool { return f.shareResponses(one, two) })
			if n := strings.Count(f.log.String(), `msg="rediscache: Redis fails`); n < 1 {
				t.Errorf("the log does not say that Redis fails\n%s", f.log)
			}
			if strings.Contains(f.log.String(), s.port) || !strings.Contains(f.log.String(), "Redis is back") {
				t.Error(f.log)
			}
		})
	}
}

func TestKilledAndRestarted(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	f := newFleet(t, s)
	f.timeout = 0
	one, two := f.instance(), f.instance()
	eventually(t, func() bool { return f.shareResponses(one, two) })
	for range 2 {
		var wg sync.WaitGroup
		var passed atomic.Int64
		stop := make(chan struct{})
		for _, v := range []*xenaauth.Validator{one, two} {
			// While Redis fails, requests with valid tokens are still accepted.
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					if got := refusalReason(v, f.issuer.Opaque(xenaauthtest.Token{})); got != "" {
						t.Error(got)
					}
					passed.Add(1)
					time.Sleep(time.Millisecond)
				}
			})
		}
		s.kill()
		down := passed.Load()
		eventually(t, func() bool { return passed.Load() > down+100 })
		s.start()
		eventually(t, func() bool { return f.shareResponses(one, two) })
		close(stop)
		wg.Wait()
	}
}

func TestDownFromTheStart(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	s.kill()
	f := newFleet(t, s)
	f.timeout = 0
	one, two := f.instance(), f.instance()
	f.startFollowing(one)
	f.startFollowing(two)
	f.requireAccepted(one, 30)
	token := f.issuer.Opaque(xenaauthtest.Token{})
	f.wants(one, token, "")
	err := one.Revoke(t.Context(), xenaauth.Revocation{TokenHash: xenaauth.HashToken(token)})
	if err == nil || strings.Contains(err.Error(), s.port) || strings.Contains(err.Error(), "127.0.0.1") {
		t.Errorf("%v", err)
	}
	f.wants(one, token, xenaauth.ReasonRevoked)
	s.start()
	eventually(t, func() bool { return f.shareResponses(one, two) })
	// A revocation that could not be published, because Redis failed, is published when Redis works
	// again.
	eventually(t, func() bool { return refusalReason(two, token) == xenaauth.ReasonRevoked })
}

// The address of Redis may lead to a host that accepts connections and then sends nothing, or that
// does not speak the protocol of Redis. Requests must be accepted nevertheless.
func TestNoRedisAtAll(t *testing.T) {
	t.Parallel()
	for _, says := range map[string]string{
		"silence": "", "HTTP": "HTTP/1.1 400 Bad Request\r\n\r\n", "noise": "\x00\xff\r\n$-7\r\n*9\r\n",
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = fmt.Fprint(c, says)
				t.Cleanup(func() { _ = c.Close() })
			}
		}()
		f := newFleet(t, &server{t: t, port: fmt.Sprint(l.Addr().(*net.TCPAddr).Port)})
		f.timeout = 0
		v := f.instance()
		f.startFollowing(v)
		f.requireAccepted(v, 30)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	client := redis.NewClient(&redis.Options{})
	t.Cleanup(func() { _ = client.Close() })
	secret := newSecret()
	for want, cfg := range map[string]rediscache.Config{
		"Client is nil":               {Secrets: [][]byte{secret}},
		"Secrets is empty":            {Client: client},
		"Secrets[0] is not":           {Client: client, Secrets: [][]byte{secret[:31]}},
		"Secrets[1] is not":           {Client: client, Secrets: [][]byte{secret, nil}},
		"Secrets[0] is not 32 random": {Client: client, Secrets: [][]byte{make([]byte, 32)}},
		"Secrets[0] and Secrets[2]":   {Client: client, Secrets: [][]byte{secret, newSecret(), secret}},
		"Prefix":                      {Client: client, Secrets: [][]byte{secret}, Prefix: "a{b}"},
		"Timeout":                     {Client: client, Secrets: [][]byte{secret}, Timeout: -1},
		"MaxUses":                     {Client: client, Secrets: [][]byte{secret}, MaxUses: -1},
		"Wait":                        {Client: client, Secrets: [][]byte{secret}, Wait: -1},
	} {
		c, err := rediscache.New(cfg)
		if c != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
		if err != nil && strings.Contains(err.Error(), string(secret)) {
			t.Errorf("%v tells the secret", err)
		}
	}
	cfg := rediscache.Config{Client: client, Secrets: [][]byte{[]byte(strings.Repeat("hush-", 8))}}
	for _, text := range []string{fmt.Sprint(cfg), fmt.Sprintf("%+v", cfg), fmt.Sprintf("%#v", cfg)} {
		if strings.Contains(text, "hush") || strings.Contains(text, "104 117") || strings.Contains(text, "0x68") {
			t.Errorf("%s tells the secret", text)
		}
	}
}
