package connectauth_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/connectauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// TestRefusalsAreLogged finds the procedure in the log, also of one that no rule names.
func TestRefusalsAreLogged(t *testing.T) {
	v, err := xenaauth.NewValidator(xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256"}).Config())
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	m := xenaauth.NewMiddleware(v, &xenaauth.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	guard := connectauth.New(m, connectauth.Rules{Require: map[string]xenaauth.Requirement{"/t.T/*": xenaauth.AnyUser()}})
	for path, want := range map[string]string{
		"/t.T/Get": "reason=missing_token status=401 method=POST route=/t.T/Get why=\"the Authorization field is missing\" realm=xena\n",
		"/u.U/Get": `reason=forbidden status=403 method=POST why="no rule names \"/u.U/Get\": `,
	} {
		log.Reset()
		r := httptest.NewRequest(http.MethodPost, path, nil)
		r.Header.Set("Content-Type", "application/json")
		guard.Wrap(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), r)
		if strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), want) {
			t.Errorf("%s: the log is %s", path, &log)
		}
	}
}
