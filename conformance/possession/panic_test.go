package possession_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/gateway/forwardauth"
	"github.com/xenaauth/xenaauth/gateway/identity"
	"github.com/xenaauth/xenaauth/gateway/routes"
)

// panickingProof is a proof of possession whose method Respond panics. It counts the calls of
// Respond.
type panickingProof struct {
	*fieldProof
	responds *int
}

func (p panickingProof) Respond(http.Header, *http.Request, error) {
	*p.responds++
	panic("a secret of the proof")
}

// recoverPanics is a middleware that recovers from panics and writes no response, so net/http sends
// 200.
func recoverPanics(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { _ = recover() }()
		h.ServeHTTP(w, r)
	})
}

// The method Respond of a proof of possession may panic. A refusal then keeps its status and its
// challenge, and a request that would have been accepted gets 503. No response has status 200,
// because a proxy would treat 200 as permission and let the request pass.
func TestPanicInRespondAllowsNothing(t *testing.T) {
	s := start(t, nil)
	log, responds := new(bytes.Buffer), 0
	m := xenaauth.NewMiddleware(s.validator, &xenaauth.Options{
		Proofs: []xenaauth.Proof{panickingProof{newKeyProof(), &responds}},
		Logger: slog.New(slog.NewTextHandler(log, nil)),
	})
	table, err := routes.New([]routes.Rule{{Pattern: "/", Access: routes.Require(xenaauth.AnyUser())}}, nil)
	require.NoError(t, err)
	id, err := identity.New(identity.Config{})
	require.NoError(t, err)
	forward, err := forwardauth.New(forwardauth.Config{
		Middleware: m, Find: table.Find, Dialect: forwardauth.Traefik, TrustedPeers: forwardauth.Loopback(), Identity: id,
	})
	require.NoError(t, err)
	token := s.token(map[string]any{"key": "k1"})
	optionalToken, guardToken := s.token(map[string]any{"key": "k2"}), s.token(map[string]any{"key": "k3"})
	forwardToken := s.token(map[string]any{"key": "k4"})
	for name, c := range map[string]struct {
		handler    http.Handler
		token, key string
	}{
		"Require":     {m.Require(xenaauth.AnyUser())(harness.Teapot), token, "k1"},
		"Optional":    {m.Optional(harness.Teapot), optionalToken, "k2"},
		"Guard":       {routes.NewGuard(m, table.Find).Handler(harness.Teapot), guardToken, "k3"},
		"forwardauth": {forward, forwardToken, "k4"},
	} {
		ask := func(authorization, key string) *httptest.ResponseRecorder {
			r := httptest.NewRequest(http.MethodGet, "/verify", nil)
			r.RemoteAddr = "127.0.0.1:5"
			for field, value := range map[string]string{
				"X-Forwarded-Method": "GET", "X-Forwarded-Host": "a.example", "X-Forwarded-Uri": "/secret",
				"Authorization": authorization, "Proof": key,
			} {
				if value != "" {
					r.Header.Set(field, value)
				}
			}
			responds = 0
			return send(recoverPanics(c.handler), r)
		}
		if name != "Optional" {
			w := ask("", "")
			require.Equal(t, 401, w.Code, name)
			require.NotEmpty(t, w.Header()["Www-Authenticate"], name)
			require.Contains(t, w.Body.String(), "missing_token", name)
		}
		require.Equal(t, 401, ask("Bearer nonsense", "").Code, name)
		require.Equal(t, 401, ask("Key "+c.token, "wrong").Code, name)
		require.Equal(t, 1, responds, name)
		w := ask("Key "+c.token, c.key)
		require.Equal(t, 503, w.Code, name)
		require.Equal(t, []string{"1"}, w.Header()["Retry-After"], name)
		require.Equal(t, 1, responds, "%s: Respond is called for the outage that it caused", name)
	}
	require.Contains(t, log.String(), "Respond of a Proof panicked")
	require.NotContains(t, log.String(), "a secret of the proof")
}
