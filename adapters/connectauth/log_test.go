package connectauth_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/connectauth"
	"github.com/xenaauth/xenaauth/gateway/routes"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// TestRefusalsAreLogged requires that the log names the rule of a refused request, or its procedure
// if no rule matches.
func TestRefusalsAreLogged(t *testing.T) {
	v, err := xenaauth.NewValidator(xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256"}).Config())
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	m := xenaauth.NewMiddleware(v, &xenaauth.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	guard := connectauth.New(m, table(t, routes.Rule{Pattern: "/t.T/", Access: routes.Require(xenaauth.AnyUser())}).Find)
	for path, want := range map[string]string{
		"/t.T/Get": "reason=missing_token status=401 method=POST route=/t.T/ why=\"the Authorization field is missing\" realm=xena\n",
		"/u.U/Get": `reason=no_rule status=403 method=POST path=/u.U/Get why="no rule matches \"/u.U/Get\": `,
	} {
		log.Reset()
		r := httptest.NewRequest(http.MethodPost, path, nil)
		r.Header.Set("Content-Type", "application/json")
		guard.Handler(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), r)
		if strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), want) {
			t.Errorf("%s: the log is %s", path, &log)
		}
	}
}

// TestALongNameCostsLittleToLog sends a path of 1 MiB that no rule matches. The client chooses the
// length of the path, so the memory for the log record must not grow with it.
func TestALongNameCostsLittleToLog(t *testing.T) {
	v, err := xenaauth.NewValidator(xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256"}).Config())
	if err != nil {
		t.Fatal(err)
	}
	m := xenaauth.NewMiddleware(v, &xenaauth.Options{Logger: slog.New(slog.DiscardHandler)})
	guarded := connectauth.New(m, table(t).Find).Handler(http.NotFoundHandler())
	r := httptest.NewRequest(http.MethodPost, "/"+strings.Repeat("a", 1<<20), nil)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	guarded.ServeHTTP(httptest.NewRecorder(), r)
	runtime.ReadMemStats(&after)
	if bytes := after.TotalAlloc - before.TotalAlloc; bytes > 1<<18 {
		t.Errorf("%d bytes", bytes)
	}
}
