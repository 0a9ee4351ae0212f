package promauth_test

import (
	"context"
	"errors"
	"fmt"
	"go/doc/comment"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/promauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// testService.sendEverything sends requests with every possible outcome to the API, and returns the
// tokens of these requests.
func (s *testService) sendEverything() (tokens []string) {
	s.t.Helper()
	jwt := s.issuer.JWT(xenaauthtest.Token{Subject: "secret-user"})
	opaque := s.issuer.Opaque(xenaauthtest.Token{Subject: "secret-user"})
	expired := s.issuer.JWT(xenaauthtest.Token{Lifetime: -time.Hour})
	s.get(200, "/users/secret-path", jwt)
	s.get(200, "/users/secret-path?access_token="+jwt, jwt)
	s.get(200, "/users/secret-path", opaque)
	s.get(200, "/users/secret-path", opaque)
	s.get(200, "/news", "")
	s.get(401, "/users/secret-path", "")
	s.get(401, "/users/secret-path", expired)
	s.get(401, "/users/secret-path", "secret-junk")
	s.get(403, "/admin", jwt)
	s.issuer.Down()
	fresh := s.issuer.Opaque(xenaauthtest.Token{})
	s.get(503, "/users/secret-path", fresh)
	return []string{jwt, opaque, expired, fresh}
}

func TestDecisions(t *testing.T) {
	s := startService(t, nil, nil)
	s.sendEverything()
	s.wantLines(
		`xenaauth_decisions_total{outcome="allowed",reason="",source="jwt"} 1`,
		`xenaauth_decisions_total{outcome="allowed",reason="",source="introspection"} 1`,
		`xenaauth_decisions_total{outcome="allowed",reason="",source="cache"} 2`,
		`xenaauth_decisions_total{outcome="anonymous",reason="",source=""} 1`,
		`xenaauth_decisions_total{outcome="refused",reason="missing_token",source=""} 1`,
		`xenaauth_decisions_total{outcome="refused",reason="insufficient_scope",source="cache"} 1`,
		`xenaauth_check_duration_seconds_count{outcome="allowed"} 4`,
		`xenaauth_check_duration_seconds_count{outcome="refused"} 4`,
		`xenaauth_check_duration_seconds_count{outcome="unavailable"} 1`,
		`xenaauth_query_tokens_total 1`,
	)
	text := s.scrape()
	for _, want := range []string{
		`xenaauth_decisions_total{outcome="refused",reason="expired",source=`,
		`xenaauth_decisions_total{outcome="refused",reason="inactive",source=`,
		`xenaauth_decisions_total{outcome="unavailable",reason="unavailable",source=`,
		`xenaauth_check_upstream_seconds_count{outcome="allowed"}`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	if strings.Contains(text, "route") {
		t.Error("the metrics count by route, although Options.Routes is not set")
	}
}

func TestIssuerCallsAndState(t *testing.T) {
	before := float64(time.Now().Unix())
	s := startService(t, nil, nil)
	s.wantLines(`xenaauth_issuer_ready 0`, `xenaauth_issuer_keys 0`)
	if text := s.scrape(); strings.Contains(text, "timestamp_seconds{") || strings.Contains(text, "key_set_hash ") {
		t.Error("the metrics tell a time or a hash before the first call to the issuer")
	}
	revocation := xenaauth.Revocation{Subject: "gone"}
	if err := s.validator.Revoke(t.Context(), revocation); err != nil {
		t.Fatal(err)
	}
	s.sendEverything()
	s.wantLines(
		`xenaauth_issuer_calls_total{document="metadata",status="200"} 1`,
		`xenaauth_issuer_calls_total{document="jwks",status="200"} 1`,
		`xenaauth_issuer_calls_total{document="introspection",status="200"} 2`,
		`xenaauth_issuer_call_duration_seconds_count{document="jwks"} 1`,
		`xenaauth_issuer_ready 1`,
		`xenaauth_issuer_keys 1`,
		`xenaauth_issuer_failing{document="metadata"} 0`,
		`xenaauth_issuer_failing{document="jwks"} 0`,
		`xenaauth_issuer_failing{document="introspection"} 1`,
		`xenaauth_introspection_open 0`,
		`xenaauth_revocations 1`,
		`xenaauth_cache_entries{cache="active"} 1`,
		`xenaauth_cache_hits_total{cache="active"} 1`,
		`xenaauth_shared_cache_lookups_total{result="hit"} 0`,
	)
	hash := 0.0
	if _, err := fmt.Sscanf(regexp.MustCompile(`\nxenaauth_key_set_hash (\S+)`).FindString(s.scrape()),
		"\nxenaauth_key_set_hash %g", &hash); err != nil || fmt.Sprintf("%012x", int64(hash)) != s.validator.Status().KeySetHash {
		t.Errorf("hash %g, Status has %s: %v", hash, s.validator.Status().KeySetHash, err)
	}
	for _, name := range []string{"last_call", "last_success"} {
		at := 0.0
		line := regexp.MustCompile(`xenaauth_issuer_` + name + `_timestamp_seconds\{document="jwks"\} (\S+)`).FindStringSubmatch(s.scrape())
		if line == nil {
			t.Errorf("%s is missing", name)
			continue
		}
		if _, err := fmt.Sscan(line[1], &at); err != nil || at < before || at > before+60 {
			t.Errorf("%s is %s, want about %f", name, line[1], before)
		}
	}
	if !regexp.MustCompile(`xenaauth_issuer_calls_total\{document="introspection",status="none"\} [1-9]`).MatchString(s.scrape()) {
		t.Error("calls without a response are not counted")
	}
}

// If a Validator does not introspect tokens, the metrics of introspection do not exist. If the
// service has not called Watch, the metrics about the state of the Validator do not exist.
func TestMetricsOfWhatIsThere(t *testing.T) {
	s := startService(t, nil, func(c *xenaauth.Config) { c.Introspection = nil })
	s.get(200, "/news", s.issuer.JWT(xenaauthtest.Token{}))
	for _, absent := range []string{"introspection", `"active"`, "shared"} {
		if strings.Contains(s.scrape(), absent) {
			t.Errorf("the metrics contain %s", absent)
		}
	}
	s.metrics.Watch(nil)
	if strings.Contains(s.scrape(), "xenaauth_issuer_ready") {
		t.Error("the metrics have the state of a Validator that is not watched")
	}
}

// The number of Prometheus series with the label route is limited. When the limit is reached,
// requests on further routes are counted together, as the route "other".
func TestRoutes(t *testing.T) {
	s := startService(t, &promauth.Options{Routes: true}, nil)
	s.sendEverything()
	s.wantLines(
		`xenaauth_route_decisions_total{outcome="allowed",route="GET /users/{name}"} 4`,
		`xenaauth_route_decisions_total{outcome="anonymous",route="GET /news"} 1`,
		`xenaauth_route_decisions_total{outcome="refused",route="GET /admin"} 1`,
	)
	const n = 3000
	var wg sync.WaitGroup
	for part := range 4 {
		wg.Go(func() {
			for i := range n / 4 {
				route := fmt.Sprintf("/%d/%d\xff", part, i)
				s.metrics.Event(context.Background(), xenaauth.Event{Outcome: xenaauth.OutcomeAllowed, Route: route})
			}
		})
	}
	wg.Wait()
	families, err := s.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "xenaauth_route_decisions_total" {
			continue
		}
		sum := 0.0
		for _, series := range f.GetMetric() {
			sum += series.GetCounter().GetValue()
		}
		if len(f.GetMetric()) > 1000+4 || sum != n+10 {
			t.Errorf("%d series, %v requests, want at most 1004 series and %d requests", len(f.GetMetric()), sum, n+10)
		}
	}
}

// A service can write its own TokenValidator, which may return any text as the reason of a refusal.
// This text must not become the value of a Prometheus label.
func TestForeignReason(t *testing.T) {
	s := startService(t, nil, nil)
	for _, reason := range []string{"secret-text", "user-104711", ""} {
		s.metrics.Event(t.Context(), xenaauth.Event{Outcome: xenaauth.OutcomeUnavailable,
			Err: &xenaauth.Error{Reason: xenaauth.Reason(reason), Err: errors.New("x")}})
	}
	s.wantLines(`xenaauth_decisions_total{outcome="unavailable",reason="unavailable",source=""} 3`)
}

// No metric contains a token, a secret, a URL, or another text from a request.
func TestNothingSecretInMetrics(t *testing.T) {
	check := func(s *testService, never ...string) {
		t.Helper()
		text := s.scrape()
		never = append(never, "secret", "://", "/users", "login.xena", "example",
			s.issuer.URL(), s.issuer.APISecret(), s.issuer.API())
		for _, n := range never {
			if strings.Contains(text, n) {
				t.Errorf("the metrics contain %q", n)
			}
		}
	}
	s := startService(t, nil, nil)
	check(s, s.sendEverything()...)
	for _, e := range []xenaauthtest.Endpoint{xenaauthtest.Introspection, xenaauthtest.JWKS, xenaauthtest.Metadata} {
		for _, fault := range []xenaauthtest.Fault{{Status: 500, Body: "secret-body"}, {Body: "<html>https://secret"}} {
			s := startService(t, nil, nil)
			s.issuer.Fail(e, fault)
			token := s.issuer.JWT(xenaauthtest.Token{ClientID: "secret-client"})
			if e == xenaauthtest.Introspection {
				token = s.issuer.Opaque(xenaauthtest.Token{ClientID: "secret-client"})
			}
			s.get(503, "/users/secret-path", token)
			s.wantLines(`xenaauth_issuer_failing{document="` + strings.ToLower(string(e)) + `"} 1`)
			check(s, token)
		}
	}
}

// promtool, a program of Prometheus, finds no mistake in the names, types and descriptions of the
// metrics.
func TestPromtoolAcceptsMetrics(t *testing.T) {
	s := startService(t, &promauth.Options{Routes: true}, nil)
	s.sendEverything()
	out, err := runPromtool(t, t.TempDir(), strings.NewReader(s.scrape()), "check", "metrics")
	if err != nil || strings.TrimSpace(out) != "" {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err = runPromtool(t, t.TempDir(), strings.NewReader("# TYPE a counter\na 1\n"), "check", "metrics"); err == nil {
		t.Errorf("promtool accepts a counter without help: %s", out)
	}
}

// The documentation of package promauth lists exactly the metrics that exist.
func TestDocumentedMetrics(t *testing.T) {
	s := startService(t, &promauth.Options{Routes: true}, nil)
	s.sendEverything()
	source, err := os.ReadFile("promauth.go")
	if err != nil {
		t.Fatal(err)
	}
	text, _, _ := strings.Cut(string(source), "\npackage ")
	text = strings.ReplaceAll(strings.ReplaceAll(text, "//\t", "\t"), "// ", "")
	var documented []string
	for _, block := range new(comment.Parser).Parse(text).Content {
		if code, ok := block.(*comment.Code); ok {
			documented = append(documented, regexp.MustCompile(`(?m)^xenaauth_\w+`).FindAllString(code.Text, -1)...)
		}
	}
	slices.Sort(documented)
	if names := familyNames(s.scrape()); !slices.Equal(documented, names) {
		t.Errorf("documented\n%v\ncollected\n%v", documented, names)
	}
}
