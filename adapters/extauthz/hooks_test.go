package extauthz_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// TestHooks sets the hook Options.ErrorBody, which writes the bodies of refusals. Whatever the hook
// writes, the client gets the status and the challenge of the refusal.
func TestHooks(t *testing.T) {
	hook := func(w http.ResponseWriter, r *http.Request, e *xenaauth.Error) {
		switch r.URL.Path {
		case "/panic":
			panic("the secret list")
		case "/nothing":
			w.WriteHeader(http.StatusOK)
			return
		case "/latin":
			_, _ = io.WriteString(w, "f\xfchrt nirgends hin")
			return
		}
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Content-Length", "1")
		w.Header().Add("Www-Authenticate", `Bearer realm="another"`)
		w.Header()["Link"] = []string{"</a>", "</b>"}
		w.Header()["Date"] = nil
		_, _ = fmt.Fprintf(w, "%s: ", e.Reason)
		_, _ = io.WriteString(w, r.URL.Path)
	}
	s := startService(t, &xenaauth.Options{ErrorBody: hook}, nil)
	got := s.check(t, get("/any").envoyMessage(true)).GetDeniedResponse()
	h := headerOfRefusal(got)
	if got.GetStatus().GetCode() != 401 || got.GetBody() != "missing_token: /any" ||
		h.Get("Content-Type") != "text/plain" || !slices.Equal(h["Link"], []string{"</a>", "</b>"}) ||
		h["Content-Length"] != nil || h["Date"] != nil || len(h["Www-Authenticate"]) != 1 {
		t.Errorf("%v", got)
	}
	got = s.check(t, get("/nothing").envoyMessage(true)).GetDeniedResponse()
	if got.GetStatus().GetCode() != 403 || got.GetBody() != "" {
		t.Errorf("%v", got)
	}
	// For this path, the hook ErrorBody writes a body that is not UTF-8. A message of gRPC can
	// contain only UTF-8, but the gRPC call must succeed nevertheless.
	got = s.check(t, get("/latin").envoyMessage(true)).GetDeniedResponse()
	if got.GetStatus().GetCode() != 403 || got.GetBody() != "f\uFFFDhrt nirgends hin" ||
		!strings.HasPrefix(headerOfRefusal(got).Get("Content-Type"), "text/plain") {
		t.Errorf("%v", got)
	}
	if got := s.check(t, get("/panic").envoyMessage(true)).GetDeniedResponse(); got.GetStatus().GetCode() != 503 {
		t.Errorf("%v", got)
	}
}

// TestPanic sends a request whose policy panics. The request is refused, the response and the log
// do not contain the value of the panic, and the process continues to work.
func TestPanic(t *testing.T) {
	var log lockedBuilder
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	s := startService(t, nil, nil)
	good := bearer(s.token("a", "b"))
	out := s.check(t, get("/panic", good).envoyMessage(true))
	denied := out.GetDeniedResponse()
	if denied.GetStatus().GetCode() != 503 || headerOfRefusal(denied).Get("Retry-After") == "" ||
		strings.Contains(out.String(), "secret") {
		t.Errorf("%v", out)
	}
	if text := log.String(); !strings.Contains(text, "panicked") || !strings.Contains(text, "stack") ||
		strings.Contains(text, "secret") || strings.Contains(text, good[1]) {
		t.Errorf("log: %s", text)
	}
	if s.check(t, get("/any", good).envoyMessage(true)).GetOkResponse() == nil {
		t.Error("afterwards a good request is refused")
	}
}

// panickingProof is a proof of possession that panics when it sets the header of a response.
type panickingProof struct{}

func (panickingProof) Scheme() string                              { return "Key" }
func (panickingProof) Member() string                              { return "key" }
func (panickingProof) Params() map[string]string                   { return nil }
func (panickingProof) Confirm(*http.Request, string, string) error { return nil }
func (panickingProof) Respond(http.Header, *http.Request, error)   { panic("the secret list") }

// In TestPanicOfProof, a proof panics when it sets the fields of a response. A request that is
// refused still gets its refusal, and a request that would be allowed gets 503.
func TestPanicOfProof(t *testing.T) {
	s := startService(t, &xenaauth.Options{
		Proofs: []xenaauth.Proof{panickingProof{}}, Logger: slog.New(slog.DiscardHandler),
	}, nil)
	bound := "Key " + s.issuer.JWT(xenaauthtest.Token{Claims: map[string]any{"cnf": map[string]any{"key": "k"}}})
	for authorization, want := range map[string]int{"Bearer nonsense": 401, bound: 503} {
		out := s.check(t, get("/any", [2]string{"Authorization", authorization}).envoyMessage(true))
		if got := int(out.GetDeniedResponse().GetStatus().GetCode()); got != want {
			t.Errorf("%d, want %d", got, want)
		}
	}
}

type lockedBuilder struct {
	mu sync.Mutex
	strings.Builder
}

func (b *lockedBuilder) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Builder.Write(p)
}
