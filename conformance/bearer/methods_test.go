package bearer_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

func TestB10_NotCached(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	a := harness.Mount(t, issuer.Config())
	inner := a.Handler
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The service writes these three header fields into all responses. In a refusal, the
		// library must replace the value of Cache-Control by no-store, remove Etag, and add
		// Authorization to Vary.
		w.Header().Set("Cache-Control", "public, max-age=3600")
		w.Header().Set("Etag", `"v1"`)
		w.Header().Set("Vary", "Origin")
		inner.ServeHTTP(w, r)
	}))
	defer a.Server.Close()
	for _, token := range []string{"x", "", issuer.JWT(xenaauthtest.Token{Claims: map[string]any{"scope": "email"}})} {
		got := a.Get(t, token)
		require.Equal(t, []string{"no-store"}, got.Header.Values("Cache-Control"))
		require.Equal(t, []string{"Origin", "Authorization"}, got.Header.Values("Vary"))
		require.Empty(t, got.Header.Get("Etag"))
	}
	issuer.Down()
	b := harness.Serve(t, issuer.Config())
	b.Get(t, issuer.JWT(xenaauthtest.Token{})).IsRefusal(t, xenaauth.ReasonUnavailable)
}

func TestB11_EveryMethod(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	a := harness.Serve(t, issuer.Config())
	token := issuer.JWT(xenaauthtest.Token{})
	poor := issuer.JWT(xenaauthtest.Token{Claims: map[string]any{"scope": "email"}})
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "HEAD"} {
		for field, reason := range map[string]xenaauth.Reason{
			"": xenaauth.ReasonMissingToken, "Bearer": xenaauth.ReasonMalformedRequest, "Bearer x": xenaauth.ReasonMalformedToken,
			"Bearer " + poor: xenaauth.ReasonInsufficientScope, "Bearer " + token: "",
		} {
			r := a.Request(t, method)
			if field != "" {
				r.Header.Set("Authorization", field)
			}
			r.Header.Set("Origin", "https://app.example")
			r.Header.Set("Access-Control-Request-Method", "GET")
			r.Header.Set("X-Http-Method-Override", "OPTIONS")
			got := a.Do(t, r)
			switch {
			case reason == "":
				require.Equal(t, 200, got.Status)
			case method == "HEAD":
				require.Empty(t, got.Body)
				require.Equal(t, harness.Refusals[reason].Status, got.Status)
				got.HasRefusalHeader(t, reason, "testapi")
			default:
				got.IsRefusal(t, reason)
			}
		}
	}
}

// sendRaw sends bytes to the server of an API and reads one response.
func sendRaw(t *testing.T, a *harness.API, request, method string) *harness.Response {
	t.Helper()
	conn, err := net.Dial("tcp", a.Server.Listener.Addr().String())
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	_, err = io.WriteString(conn, request)
	require.NoError(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return &harness.Response{Status: resp.StatusCode, Proto: resp.Proto, Header: resp.Header, Body: string(body)}
}

func TestB11_UnusualRequests(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	a := harness.Serve(t, issuer.Config())
	token := issuer.JWT(xenaauthtest.Token{})
	t.Run("HTTP/1.0", func(t *testing.T) {
		got := sendRaw(t, a, "GET / HTTP/1.0\r\n\r\n", "GET")
		require.Equal(t, "HTTP/1.0", got.Proto)
		got.IsRefusal(t, xenaauth.ReasonMissingToken)
		require.Equal(t, 200, sendRaw(t, a, "GET / HTTP/1.0\r\nauthorization: bearer "+token+"\r\n\r\n", "GET").Status)
	})
	t.Run("CONNECT", func(t *testing.T) {
		sendRaw(t, a, "CONNECT api.example:443 HTTP/1.1\r\nHost: api.example:443\r\n\r\n", "GET").IsRefusal(t, xenaauth.ReasonMissingToken)
	})
	t.Run("upgrade", func(t *testing.T) {
		const upgrade = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
		sendRaw(t, a, upgrade+"\r\n", "GET").IsRefusal(t, xenaauth.ReasonMissingToken)
		sendRaw(t, a, upgrade+"Authorization: Bearer x\r\n\r\n", "GET").IsRefusal(t, xenaauth.ReasonMalformedToken)
		require.Equal(t, 200, sendRaw(t, a, upgrade+"Authorization: Bearer "+token+"\r\n\r\n", "GET").Status)
	})
	t.Run("trailer", func(t *testing.T) {
		sendRaw(t, a, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: Authorization\r\n\r\n0\r\nAuthorization: Bearer "+
			token+"\r\n\r\n", "POST").IsRefusal(t, xenaauth.ReasonMissingToken)
	})
	t.Run("HTTP/2", func(t *testing.T) {
		h2 := harness.Mount(t, issuer.Config())
		h2.Server = httptest.NewUnstartedServer(h2.Handler)
		h2.Server.EnableHTTP2 = true
		h2.Server.StartTLS()
		defer h2.Server.Close()
		got := h2.Do(t, h2.Request(t, http.MethodGet))
		require.Equal(t, "HTTP/2.0", got.Proto)
		got.IsRefusal(t, xenaauth.ReasonMissingToken)
		h2.Passes(t, token)
		h2.Refuses(t, "x", xenaauth.ReasonMalformedToken)
		r := h2.Request(t, http.MethodHead)
		head := h2.Do(t, r)
		require.Empty(t, head.Body)
		head.HasRefusalHeader(t, xenaauth.ReasonMissingToken, "testapi")
		r = h2.Request(t, http.MethodGet)
		r.Header["Authorization"] = []string{"Bearer " + token, "Bearer " + token}
		h2.Do(t, r).IsRefusal(t, xenaauth.ReasonMalformedRequest)
	})
}
