package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/xenaauth/xenaauth/xenaauthtest"
)

func TestTour(t *testing.T) {
	var tokens []string
	var out bytes.Buffer
	err := demoProgram{addr: "127.0.0.1:0", tourOnly: true, out: &out, plan: func(issuer *xenaauthtest.Issuer) []tourSection {
		places := planTour(issuer)
		for _, p := range places {
			for _, s := range p.steps {
				tokens = append(tokens, s.authorization...)
				if s.client != nil {
					tokens = append(tokens, "DPoP "+s.client.Token)
				}
			}
		}
		return places
	}}.run(t.Context())
	if err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	if !regexp.MustCompile(`\n(\d+) of (\d+) answers are as expected\.\n$`).Match(out.Bytes()) {
		t.Errorf("no summary at the end of\n%s", &out)
	}
	rows := regexp.MustCompile(`(?m)^(ok|NO) .*$`).FindAllString(out.String(), -1)
	bad := slices.ContainsFunc(rows, func(r string) bool { return strings.HasPrefix(r, "NO") })
	if bad || len(rows) < 25 {
		t.Errorf("%d rows, or one that is not as expected:\n%s", len(rows), &out)
	}
	for line := range strings.Lines(out.String()) {
		if len(line) > 111 || strings.TrimRight(line, " \n")+"\n" != line {
			t.Errorf("%d columns, or blanks at the end: %q", len(line)-1, line)
		}
	}
	for _, row := range []string{
		`ok  JWT, bound +200 +104711`, `ok  the same, without its proof +401 +DPoP error="invalid_dpop_proof", scope="testapi"`,
	} {
		if !regexp.MustCompile(`(?m)^` + row + `$`).Match(out.Bytes()) {
			t.Errorf("no row %q in\n%s", row, &out)
		}
	}
	checked := 0
	for _, line := range tokens {
		_, token, _ := strings.Cut(line, " ")
		for part := range strings.SplitSeq(token, ".") {
			if len(part) < 20 {
				continue
			}
			checked++
			if strings.Contains(out.String(), part[:20]) {
				t.Errorf("the output holds %q of a token", part[:20])
			}
		}
	}
	if checked < 20 {
		t.Errorf("only %d parts of tokens were looked for", checked)
	}
}

func TestTourWithWrongExpectations(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(*tourAnswer)
		shown string
	}{
		{"status", func(a *tourAnswer) { a.status = 201 }, "expected 201, user 104711"},
		{"user", func(a *tourAnswer) { a.user = "1" }, "expected 200, user 1\n"},
		{"challenge", func(a *tourAnswer) { a.detail = "Bearer" }, "expected 200, with Bearer, user 104711"},
		{"reason", func(a *tourAnswer) { a.reason = "expired" }, "expected 200, reason expired, user 104711"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out, stderr bytes.Buffer
			err := demoProgram{addr: "127.0.0.1:0", tourOnly: true, out: &out, plan: func(issuer *xenaauthtest.Issuer) []tourSection {
				one := newStep("JWT", bearerField(issuer.JWT(xenaauthtest.Token{})), tourAnswer{status: 200, user: demoUser})
				other := newStep("JWT", one.authorization, one.want)
				c.spoil(&other.want)
				return []tourSection{{"/Api/User/FiscalSetup", "about it", []tourStep{one, other}}}
			}}.run(t.Context())
			if !errors.Is(err, errUnexpected) || reportError(&stderr, err) != exitFailed {
				t.Errorf("error %v", err)
			}
			for _, text := range []string{"\nok  JWT", "\nNO  JWT", c.shown, "not      200, user 104711", "1 of 2 answers"} {
				if !strings.Contains(out.String(), text) {
					t.Errorf("no %q in\n%s", text, &out)
				}
			}
		})
	}
}

func TestOnce(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	setenv(t, map[string]string{"ADDR": busy.Addr().String()})
	var stdout, stderr bytes.Buffer
	if got := runProgram(t.Context(), []string{"-once"}, &stdout, &stderr); got != exitOK || stderr.Len() > 0 {
		t.Errorf("status %d\n%s\n%s", got, &stdout, &stderr)
	}
	if strings.Contains(stdout.String(), busy.Addr().String()) {
		t.Errorf("the tour used the port of another program:\n%s", &stdout)
	}
}

func TestOnceInterrupted(t *testing.T) {
	setenv(t, nil)
	ctx, interrupt := context.WithCancel(t.Context())
	var out, stderr bytes.Buffer
	err := demoProgram{addr: "127.0.0.1:0", tourOnly: true, out: &out, plan: func(issuer *xenaauthtest.Issuer) []tourSection {
		return []tourSection{{"/healthz", "", []tourStep{newStep("no token", nil, tourAnswer{status: 200}).prepareWith(interrupt)}}}
	}}.run(ctx)
	if reportError(&stderr, err) != exitFailed {
		t.Errorf("error %v", err)
	}
}

func TestAddressInUse(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	setenv(t, map[string]string{"ADDR": busy.Addr().String()})
	var stdout, stderr bytes.Buffer
	if got := runProgram(t.Context(), nil, &stdout, &stderr); got != exitFailed || stdout.Len() > 0 ||
		!strings.Contains(stderr.String(), "in use: ADDR is the address to listen on\n") {
		t.Errorf("status %d\n%s\n%s", got, &stdout, &stderr)
	}
}

// After its tour of the API, the demo program prints curl commands, with which the user can send
// requests to the API. TestServingOn sends the same requests. The API must still be running.
func TestServingOn(t *testing.T) {
	setenv(t, nil)
	p := startProgram(t)
	p.stdout.waitFor(t, `(until Ctrl-C)`)
	text := p.stdout.String()
	tokens := make(map[string]string)
	for _, match := range regexp.MustCompile(`(?m)^(\w+)='(\S+)'$`).FindAllStringSubmatch(text, -1) {
		tokens[match[1]] = match[2]
	}
	var statuses []int
	line := regexp.MustCompile(`(?m)^curl -i (\S+)(?: -H "Authorization: Bearer \$(\w+)")?$`)
	for _, match := range line.FindAllStringSubmatch(text, -1) {
		if match[2] != "" && tokens[match[2]] == "" {
			t.Fatalf("%q is not set in\n%s", match[2], text)
		}
		response, _ := sendGet(t, match[1], tokens[match[2]])
		statuses = append(statuses, response.StatusCode)
	}
	if want := []int{200, 401, 200, 200, 200, 200, 403}; !slices.Equal(statuses, want) {
		t.Errorf("%v, not %v, for\n%s", statuses, want, text)
	}
	response, body := sendGet(t, p.base+"/Api/User/Profile", tokens["JWT"])
	if response.Header.Get("Cache-Control") != "no-store" ||
		!strings.Contains(body, `"path":"/Api/User/Profile","user":{"sub":"104711"`) {
		t.Errorf("%v\n%s", response.Header, body)
	}
	if got := p.stop(); got != exitOK || p.stderr.String() != "" {
		t.Errorf("status %d\n%s", got, p.stderr)
	}
	if _, err := http.Get(p.base + "/healthz"); err == nil { //nolint:bodyclose // no response is expected
		t.Error("it still answers")
	}
}
