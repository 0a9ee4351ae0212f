package main_test

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// startRedis starts a redis-server that writes nothing to disk. If redis-server is not installed,
// the test is skipped; in CI it fails.
func startRedis(t testing.TB) (addr string, cmd *exec.Cmd) {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("redis-server is not installed, and CI has to test against it")
		}
		t.Skip("redis-server is not installed")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr = l.Addr().String()
	_ = l.Close()
	_, port, _ := net.SplitHostPort(addr)
	cmd = exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
		"--dir", t.TempDir(), "--requirepass", "redis-password-0123456789")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	eventually(t, "redis-server", func() bool {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	return addr, cmd
}

const (
	fleetSecret  = "fleet-secret-0123456789-0123456789-0123456789"
	revokeSecret = "revoke-secret-0123456789-0123456789-0123456789"
)

// startFleet starts a fleet: three gateways that share one Redis.
func startFleet(t testing.TB, issuer *xenaauthtest.Issuer, s *service, redis string) []*process {
	t.Helper()
	config := `listen: 127.0.0.1:0
tokens:
  issuer: "` + issuer.URL() + `"
  audiences: [testapi]
  introspection:
    client_id: "` + issuer.API() + `"
    client_secret_file: introspection.secret
redis:
  addresses: ["` + redis + `"]
  password_file: redis.password
  secret_files: [fleet.secret]
  timeout: 1s # a busy machine is no Redis that is down
upstreams: [{name: api, url: "` + s.URL + `"}]
admin: {listen: 127.0.0.1:0, revoke_secret_file: revoke.secret}
logout: {path: /logout, client_ids: [web]}
routes:
  rules:
    - {route: GET /me, access: user}
`
	fleet := make([]*process, 3)
	for i := range fleet {
		fleet[i] = startGateway(t, config, map[string]string{
			"introspection.secret": issuer.APISecret() + "\n", "redis.password": "redis-password-0123456789\n",
			"fleet.secret": fleetSecret, "revoke.secret": revokeSecret,
		})
		fleet[i].secrets = append(fleet[i].secrets, issuer.APISecret(), fleetSecret, revokeSecret, "redis-password")
	}
	return fleet
}

func revoke(t testing.TB, p *process, secret, revocation string) answer {
	t.Helper()
	r, _ := http.NewRequest("POST", p.url("admin", "/revoke"), strings.NewReader(revocation))
	r.Header.Set("Content-Type", "application/json")
	if secret != "" {
		r.Header.Set("Authorization", "Bearer "+secret)
	}
	return send(t, r)
}

func TestFleet(t *testing.T) {
	issuer, service := newIssuer(t), newService(t)
	redis, server := startRedis(t)
	fleet := startFleet(t, issuer, service, redis)
	me := func(p *process, token string) answer { return sendRequest(t, "GET", p.url("proxy", "/me"), token) }
	secret := func(token string) string {
		for _, p := range fleet {
			p.neverShow(token)
		}
		return token
	}

	// The gateways of a fleet together introspect a token once, even if all of them get many
	// requests with this token at the same time.
	token := secret(issuer.Opaque(xenaauthtest.Token{Subject: "anna"}))
	issuer.ResetCalls()
	var wg sync.WaitGroup
	for i := range 30 {
		wg.Go(func() {
			r, _ := http.NewRequest("GET", fleet[i%3].url("proxy", "/me"), nil)
			r.Header.Set("Authorization", "Bearer "+token)
			res, err := client.Do(r)
			if err != nil || res.StatusCode != 200 {
				t.Errorf("%v, %v", res, err)
			}
			_ = res.Body.Close()
		})
	}
	wg.Wait()
	if n := issuer.Calls(xenaauthtest.Introspection); n != 1 {
		t.Errorf("the issuer was asked %d times", n)
	}

	// A revocation at one gateway is soon in force at all gateways of the fleet.
	var slowest time.Duration
	for i := range 5 {
		token := secret(issuer.JWT(xenaauthtest.Token{Subject: "bert", Claims: map[string]any{"n": i}}))
		for _, p := range fleet {
			if a := me(p, token); a.status != 200 {
				t.Fatalf("%d %s", a.status, a.body)
			}
		}
		started := time.Now()
		if a := revoke(t, fleet[i%3], revokeSecret, `{"token_hash":"`+xenaauth.HashToken(token)+`"}`); a.status != 202 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		for _, p := range fleet {
			eventually(t, "refused everywhere", func() bool { return me(p, token).reason() == "revoked" })
		}
		slowest = max(slowest, time.Since(started))
	}
	t.Logf("a revocation at one of three gateways held at all within %v at most", slowest)

	// If one gateway has accepted a logout token, the other gateways refuse this logout token.
	logout := func(p *process, token string) answer {
		r, _ := http.NewRequest("POST", p.url("proxy", "/logout"), strings.NewReader("logout_token="+token))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return send(t, r)
	}
	ended := secret(issuer.LogoutToken(xenaauthtest.Token{ClientID: "web"}))
	for i, want := range []int{200, 400, 400} {
		if a := logout(fleet[i], ended); a.status != want {
			t.Errorf("a logout token at gateway %d: %d %s, want %d", i, a.status, a.body, want)
		}
	}

	// If Redis is down, no request with an access token fails: each gateway of the fleet asks the
	// issuer about tokens itself.
	if err := server.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for _, p := range fleet {
		for range 10 {
			if a := me(p, token); a.status != 200 {
				t.Errorf("%d %s", a.status, a.body)
			}
			if a := me(p, secret(issuer.Opaque(xenaauthtest.Token{}))); a.status != 200 {
				t.Errorf("%d %s", a.status, a.body)
			}
		}
	}
	ended = secret(issuer.LogoutToken(xenaauthtest.Token{ClientID: "web"}))
	if a := logout(fleet[0], ended); a.status != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("a logout token without Redis: %d %s", a.status, a.body)
	}
	if a := revoke(t, fleet[0], revokeSecret, `{"sub":"anna"}`); a.status != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := me(fleet[0], token); a.reason() != "revoked" {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestRevokeNeedsItsSecret(t *testing.T) {
	issuer, service := newIssuer(t), newService(t)
	config := strings.Replace(commonConfig(issuer, service), "admin: {listen: 127.0.0.1:0}",
		"admin: {listen: 127.0.0.1:0, revoke_secret_file: s}", 1)
	p := startGateway(t, config, map[string]string{"s": revokeSecret})
	p.secrets = append(p.secrets, revokeSecret)
	token := p.neverShow(issuer.JWT(xenaauthtest.Token{Subject: "anna"}))
	for _, c := range []struct {
		secret, revocation string
		status             int
	}{
		{"", `{"sub":"anna"}`, 401},
		{revokeSecret[1:], `{"sub":"anna"}`, 401},
		{revokeSecret, `{}`, 400},
		{revokeSecret, `{"subject":"anna"}`, 400},
		{revokeSecret, `{"issuer":"https://other.example","sub":"anna"}`, 400},
		{revokeSecret, `{"sub":"anna"} {"sub":"bert"}`, 400},
		{revokeSecret, `{"sub":"` + strings.Repeat("a", 20000) + `"}`, 400},
	} {
		if a := revoke(t, p, c.secret, c.revocation); a.status != c.status {
			t.Errorf("%.40s: %d %s, want %d", c.revocation, a.status, a.body, c.status)
		}
	}
	form, _ := http.NewRequest("POST", p.url("admin", "/revoke"), strings.NewReader(`{"sub":"anna"}`))
	form.Header.Set("Authorization", "Bearer "+revokeSecret)
	if a := send(t, form); a.status != 415 {
		t.Errorf("without a content type: %d", a.status)
	}
	if a := sendRequest(t, "GET", p.url("proxy", "/me"), token); a.status != 200 {
		t.Fatalf("%d: something was revoked", a.status)
	}
	if a := revoke(t, p, revokeSecret, `{"issuer":"`+issuer.URL()+`","sub":"anna"}`); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := sendRequest(t, "GET", p.url("proxy", "/me"), token); a.reason() != "revoked" {
		t.Errorf("%d %s", a.status, a.body)
	}
	if m := sendRequest(t, "GET", p.url("admin", "/metrics"), "").body; !strings.Contains(m, "xenaauth_revocations 1") {
		t.Error("the revocation isn't counted")
	}
}
