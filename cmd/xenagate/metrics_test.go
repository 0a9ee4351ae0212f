package main_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// The program promtool, which is part of Prometheus, must find no fault in the names, types and
// help texts of the gateway's metrics.
func TestPromtoolAcceptsMetrics(t *testing.T) {
	program, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("promtool is missing: install Debian's package prometheus")
		}
		t.Skip("promtool is missing: install Debian's package prometheus")
	}
	issuer, service := newIssuer(t), newService(t)
	p := startGateway(t, commonConfig(issuer, service), nil)
	sendRequest(t, "GET", p.url("proxy", "/Api/Read"), issuer.JWT(xenaauthtest.Token{}))
	sendRequest(t, "GET", p.url("proxy", "/Api/Read"), "")
	cmd := exec.CommandContext(t.Context(), program, "check", "metrics")
	cmd.Stdin = strings.NewReader(sendRequest(t, "GET", p.url("admin", "/metrics"), "").body)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}
