package main_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// docs/operations.md contains runbooks: each runbook says what an operator does if something fails.
// Each test in this file causes such a failure and checks what the runbook says about it.

// startRehearsal starts a gateway for the test of a runbook in docs/operations.md. The gateway
// verifies JWTs, and introspects opaque tokens with the client secret in the parameter secret.
func startRehearsal(t *testing.T, issuer *xenaauthtest.Issuer, secret string) *process {
	t.Helper()
	config := strings.Replace(commonConfig(issuer, newService(t)), "audiences: [testapi]}",
		"audiences: [testapi], introspection: {client_id: testapi, client_secret_file: api}}", 1)
	config = strings.Replace(config, "admin: {", "admin: {revoke_secret_file: revoke, ", 1)
	return startGateway(t, config, map[string]string{"api": secret, "revoke": revokeSecret})
}

// process.wantAnswer sends a GET request with a token to the gateway. It fails the test unless the
// response has the expected status and reason.
func (p *process) wantAnswer(token string, status int, reason string) answer {
	p.t.Helper()
	a := sendRequest(p.t, "GET", p.url("proxy", "/Api/Read"), p.neverShow(token))
	if a.status != status || a.reason() != reason {
		p.t.Errorf("status %d and reason %q, want %d and %q: %s", a.status, a.reason(), status, reason, a.body)
	}
	return a
}

// process.metricValue returns the value of a time series in the gateway's metrics (/metrics), or -1
// if there is no such series.
func (p *process) metricValue(series string) float64 {
	p.t.Helper()
	text := sendRequest(p.t, "GET", p.url("admin", "/metrics"), "").body
	found := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(series) + ` (\S+)$`).FindStringSubmatch(text)
	if found == nil {
		return -1
	}
	value, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		p.t.Fatal(err)
	}
	return value
}

// wantAlert checks that a runbook in docs/operations.md contains the name of an alert, and that the
// expression of this alert contains the name of a metric.
func wantAlert(t *testing.T, runbook, alert, metric string) {
	t.Helper()
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n### "+runbook+"\n")
	section, _, _ = strings.Cut(section, "\n##")
	if !strings.Contains(section, "`"+alert+"`") {
		t.Errorf("the runbook %q does not name %s", runbook, alert)
	}
	rules, err := os.ReadFile("../../adapters/promauth/alerts/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	_, rule, _ := strings.Cut(string(rules), "alert: "+alert+"\n")
	rule, _, _ = strings.Cut(rule, "- alert:")
	if !strings.Contains(rule, metric) {
		t.Errorf("the rule of %s does not read %s", alert, metric)
	}
}

// process.runDoctor runs "xenaauth doctor" with the configuration of the gateway. It returns the
// output and the exit status.
func (p *process) runDoctor() (string, int) {
	p.t.Helper()
	program := filepath.Join(p.t.TempDir(), "xenaauth")
	if out, err := exec.Command("go", "build", "-C", "../xenaauth", "-o", program, ".").CombinedOutput(); err != nil {
		p.t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(program, "doctor", "--config", filepath.Join(p.dir, "xenagate.yaml"))
	out, err := cmd.CombinedOutput()
	if _, ok := err.(*exec.ExitError); err != nil && !ok {
		p.t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// process.wantDoctor runs "xenaauth doctor". It checks the exit status, and that the output
// contains every text in wants.
func (p *process) wantDoctor(status int, wants ...string) {
	p.t.Helper()
	text, got := p.runDoctor()
	if got != status {
		p.t.Errorf("xenaauth doctor: exit status %d, want %d", got, status)
	}
	for _, want := range wants {
		if !strings.Contains(text, want) {
			p.t.Errorf("xenaauth doctor: %q is missing in\n%s", want, text)
		}
	}
}

// In a key rotation, the issuer begins to sign with a new key. The runbook says that an operator
// has nothing to do. But if the issuer signs with a key that it does not publish, the log and a
// metric contain the reason unknown_key, and "xenaauth doctor" lists the published keys.
func TestRunbookRotation(t *testing.T) {
	issuer := newIssuer(t)
	p := startRehearsal(t, issuer, issuer.APISecret())
	old := issuer.JWT(xenaauthtest.Token{})
	p.wantAnswer(old, 200, "")
	before := issuer.Calls(xenaauthtest.JWKS)
	issuer.Rotate()
	p.wantAnswer(issuer.JWT(xenaauthtest.Token{}), 200, "")
	p.wantAnswer(old, 200, "")
	if n := issuer.Calls(xenaauthtest.JWKS) - before; n != 1 {
		t.Errorf("%d fetches of the key set, want 1", n)
	}
	twin := xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{URL: issuer.URL()})
	p.wantAnswer(twin.JWT(xenaauthtest.Token{}), 401, "unknown_key")
	p.waitForLog(`"reason":"unknown_key"`)
	if p.metricValue(`xenaauth_decisions_total{outcome="refused",reason="unknown_key",source=""}`) != 1 {
		t.Error("the refusal is not counted")
	}
	wantAlert(t, "A rotation of keys", "XenaauthUnknownKeys", "unknown_key")
	wantAlert(t, "A rotation of keys", "XenaauthKeySetsDiffer", "xenaauth_key_set_hash")
	p.wantDoctor(0, `kid "`+issuer.KeyID()+`"`, "2 usable keys")

	// At the end of the rotation, the issuer removes the old key from its key set. Then it signs
	// with another new key, so the next token makes the gateway fetch the key set again. After this
	// fetch, the gateway refuses tokens that were signed with the old key.
	issuer.Retire()
	issuer.Rotate()
	eventually(t, "the old key is refused", func() bool {
		sendRequest(t, "GET", p.url("proxy", "/Api/Read"), p.neverShow(issuer.JWT(xenaauthtest.Token{})))
		return sendRequest(t, "GET", p.url("proxy", "/Api/Read"), old).status == 401
	})
}

// The test checks the runbook for an outage of the issuer. During the outage, JWTs and cached
// tokens are accepted, and new opaque tokens get 503. The log, the status and the metrics say which
// call to the issuer fails. After the outage, the gateway works again without a restart. If the
// issuer refuses the gateway's credentials, the log and the metrics say so.
func TestRunbookOutage(t *testing.T) {
	const runbook = "An outage of the issuer"
	issuer := newIssuer(t)
	p := startRehearsal(t, issuer, issuer.APISecret())
	jwt, known := issuer.JWT(xenaauthtest.Token{}), issuer.Opaque(xenaauthtest.Token{})
	p.wantAnswer(jwt, 200, "")
	p.wantAnswer(known, 200, "")
	issuer.Down()
	p.wantAnswer(jwt, 200, "")
	p.wantAnswer(issuer.JWT(xenaauthtest.Token{}), 200, "")
	p.wantAnswer(known, 200, "")
	if a := p.wantAnswer(issuer.Opaque(xenaauthtest.Token{}), 503, "unavailable"); a.header.Get("Retry-After") == "" {
		t.Error("Retry-After is missing")
	}
	p.waitForLog("the issuer fails", `"what":"introspection"`, `"why":`)
	if status := sendRequest(t, "GET", p.url("admin", "/status"), "").body; !strings.Contains(status, `"introspection_error":"introspection: `) {
		t.Errorf("the status does not say that introspection fails: %s", status)
	}
	if p.metricValue(`xenaauth_decisions_total{outcome="unavailable",reason="unavailable",source=""}`) != 1 ||
		p.metricValue(`xenaauth_issuer_failing{document="introspection"}`) != 1 {
		t.Error("the outage is not counted")
	}
	wantAlert(t, runbook, "XenaauthUnavailable", `xenaauth_decisions_total{outcome="unavailable"}`)
	wantAlert(t, runbook, "XenaauthIntrospectionOpen", "xenaauth_introspection_open")
	wantAlert(t, runbook, "XenaauthKeySetOld", `xenaauth_issuer_failing{document="jwks"}`)
	p.wantDoctor(3, "✗ metadata", "Check that the issuer runs")

	issuer.Heal()
	eventually(t, "an opaque token is accepted again", func() bool {
		return sendRequest(t, "GET", p.url("proxy", "/Api/Read"), p.neverShow(issuer.Opaque(xenaauthtest.Token{}))).status == 200
	})
	p.waitForLog("the issuer is back", `"what":"introspection"`)

	p = startRehearsal(t, issuer, "another secret")
	p.wantAnswer(issuer.Opaque(xenaauthtest.Token{}), 503, "unavailable")
	p.waitForLog("the issuer refuses our credentials")
	if p.metricValue(`xenaauth_issuer_calls_total{document="introspection",status="401"}`) < 1 {
		t.Error("the refused call is not counted")
	}
	wantAlert(t, runbook, "XenaauthCredentialsRefused", `xenaauth_issuer_calls_total{document="introspection",status=~"401|403"}`)
	p.wantDoctor(1, "✗ introspection  the issuer refuses the credentials", "→ Check tokens.introspection.client_id")
}

// The test checks the runbook for a revocation. A revocation is immediately in force at the gateway
// that got it. Without Redis, another gateway still accepts the revoked tokens, and so does this
// gateway after a restart.
func TestRunbookRevocation(t *testing.T) {
	issuer := newIssuer(t)
	p, other := startRehearsal(t, issuer, issuer.APISecret()), startRehearsal(t, issuer, issuer.APISecret())
	ann, bob := issuer.JWT(xenaauthtest.Token{Subject: "ann"}), issuer.JWT(xenaauthtest.Token{Subject: "bob"})
	p.wantAnswer(ann, 200, "")
	r, err := http.NewRequest(http.MethodPost, p.url("admin", "/revoke"), strings.NewReader(`{"sub": "ann"}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+p.neverShow(revokeSecret))
	r.Header.Set("Content-Type", "application/json")
	if a := send(t, r); a.status != 200 {
		t.Fatalf("%d: %s", a.status, a.body)
	}
	p.wantAnswer(ann, 401, "revoked")
	p.wantAnswer(bob, 200, "")
	if n := p.metricValue("xenaauth_revocations"); n != 1 {
		t.Errorf("%v revocations are in force", n)
	}
	other.wantAnswer(ann, 200, "")
	p.restart().wantAnswer(ann, 200, "")
}

// The test checks the runbook for a wrong clock. If a token is not valid yet, the log line about
// the refusal contains the time in the token and the time of the gateway. "xenaauth doctor"
// compares the clock of the issuer with the clock of this machine.
func TestRunbookWrongClock(t *testing.T) {
	issuer := newIssuer(t)
	p := startRehearsal(t, issuer, issuer.APISecret())
	const ahead = 10 * time.Minute
	p.wantAnswer(issuer.JWT(xenaauthtest.Token{Claims: map[string]any{
		"nbf": time.Now().Add(ahead).Unix(), "exp": time.Now().Add(ahead + time.Hour).Unix(),
	}}), 401, "not_yet_valid")
	p.waitForLog(`"reason":"not_yet_valid"`, "after the time here")
	if p.metricValue(`xenaauth_decisions_total{outcome="refused",reason="not_yet_valid",source=""}`) != 1 {
		t.Error("the refusal is not counted")
	}
	wantAlert(t, "A wrong clock", "XenaauthClockWrong", "not_yet_valid")
	issuer.Fail(xenaauthtest.All, xenaauthtest.Fault{
		Header: http.Header{"Date": {time.Now().Add(ahead).UTC().Format(http.TimeFormat)}},
	})
	p.wantDoctor(1, "✗ clock", "ahead of the clock here", "not_yet_valid")
}

// The test checks the runbook for a stolen key of the issuer. The issuer has replaced this key. The
// first token that is signed with the new key makes the gateway fetch the key set again. After
// that, the gateway refuses all tokens that are signed with the stolen key, including tokens in its
// cache. The hash of the key set changes, so an operator can see that the gateway has the new key
// set.
func TestRunbookCompromisedKey(t *testing.T) {
	issuer := newIssuer(t)
	p := startRehearsal(t, issuer, issuer.APISecret())
	stolen := issuer.JWT(xenaauthtest.Token{})
	p.wantAnswer(stolen, 200, "")
	before := p.metricValue("xenaauth_key_set_hash")
	issuer.Rotate()
	issuer.Retire()
	p.wantAnswer(issuer.JWT(xenaauthtest.Token{}), 200, "")
	p.wantAnswer(stolen, 401, "unknown_key")
	if after := p.metricValue("xenaauth_key_set_hash"); after == before || after <= 0 {
		t.Errorf("the hash of the key set is %v, and was %v", after, before)
	}
	if !strings.Contains(sendRequest(t, "GET", p.url("admin", "/status"), "").body, `"key_set_hash"`) {
		t.Error("the status has no key_set_hash")
	}
}
