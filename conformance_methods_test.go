package xenaauth_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

func TestB10_NotCached(t *testing.T) {
	t.Parallel()
	issuer := newIssuer()
	a := mount(t, issuer.Config())
	inner := a.handler
	a.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=3600") // what is set for all responses ends at a refusal
		w.Header().Set("Etag", `"v1"`)
		w.Header().Set("Vary", "Origin")
		inner.ServeHTTP(w, r)
	}))
	defer a.server.Close()
	for _, token := range []string{"x", "", issuer.JWT(xenaauthtest.Token{Claims: map[string]any{"scope": "email"}})} {
		got := a.get(t, token)
		require.Equal(t, []string{"no-store"}, got.header.Values("Cache-Control"))
		require.Equal(t, []string{"Origin", "Authorization"}, got.header.Values("Vary"))
		require.Empty(t, got.header.Get("Etag"))
	}
	issuer.Down()
	b := serve(t, issuer.Config())
	b.get(t, issuer.JWT(xenaauthtest.Token{})).is(t, xenaauth.ReasonUnavailable)
}

func TestB11_EveryMethod(t *testing.T) {
	t.Parallel()
	issuer := newIssuer()
	a := serve(t, issuer.Config())
	token := issuer.JWT(xenaauthtest.Token{})
	poor := issuer.JWT(xenaauthtest.Token{Claims: map[string]any{"scope": "email"}})
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "HEAD"} {
		for field, reason := range map[string]xenaauth.Reason{
			"": xenaauth.ReasonMissingToken, "Bearer": xenaauth.ReasonMalformedRequest, "Bearer x": xenaauth.ReasonMalformedToken,
			"Bearer " + poor: xenaauth.ReasonInsufficientScope, "Bearer " + token: "",
		} {
			r := a.request(t, method)
			if field != "" {
				r.Header.Set("Authorization", field)
			}
			r.Header.Set("Origin", "https://app.example")
			r.Header.Set("Access-Control-Request-Method", "GET")
			r.Header.Set("X-Http-Method-Override", "OPTIONS")
			got := a.do(t, r)
			switch {
			case reason == "":
				require.Equal(t, 200, got.status)
			case method == "HEAD":
				require.Empty(t, got.body)
				require.Equal(t, outcomes[reason].status, got.status)
				got.closed(t, reason, "testapi")
			default:
				got.is(t, reason)
			}
		}
	}
}

// raw sends bytes to the server of an api and reads one response.
func (a *api) raw(t *testing.T, request, method string) *answer {
	t.Helper()
	conn, err := net.Dial("tcp", a.server.Listener.Addr().String())
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	_, err = io.WriteString(conn, request)
	require.NoError(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return &answer{status: resp.StatusCode, proto: resp.Proto, header: resp.Header, body: string(body)}
}

func TestB11_OtherWaysToAsk(t *testing.T) {
	t.Parallel()
	issuer := newIssuer()
	a := serve(t, issuer.Config())
	token := issuer.JWT(xenaauthtest.Token{})
	t.Run("HTTP/1.0", func(t *testing.T) {
		got := a.raw(t, "GET / HTTP/1.0\r\n\r\n", "GET")
		require.Equal(t, "HTTP/1.0", got.proto)
		got.is(t, xenaauth.ReasonMissingToken)
		require.Equal(t, 200, a.raw(t, "GET / HTTP/1.0\r\nauthorization: bearer "+token+"\r\n\r\n", "GET").status)
	})
	t.Run("CONNECT", func(t *testing.T) {
		a.raw(t, "CONNECT api.example:443 HTTP/1.1\r\nHost: api.example:443\r\n\r\n", "GET").is(t, xenaauth.ReasonMissingToken)
	})
	t.Run("upgrade", func(t *testing.T) {
		const upgrade = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
		a.raw(t, upgrade+"\r\n", "GET").is(t, xenaauth.ReasonMissingToken)
		a.raw(t, upgrade+"Authorization: Bearer x\r\n\r\n", "GET").is(t, xenaauth.ReasonMalformedToken)
		require.Equal(t, 200, a.raw(t, upgrade+"Authorization: Bearer "+token+"\r\n\r\n", "GET").status)
	})
	t.Run("trailer", func(t *testing.T) {
		a.raw(t, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: Authorization\r\n\r\n0\r\nAuthorization: Bearer "+
			token+"\r\n\r\n", "POST").is(t, xenaauth.ReasonMissingToken)
	})
	t.Run("HTTP/2", func(t *testing.T) {
		h2 := mount(t, issuer.Config())
		h2.server = httptest.NewUnstartedServer(h2.handler)
		h2.server.EnableHTTP2 = true
		h2.server.StartTLS()
		defer h2.server.Close()
		got := h2.do(t, h2.request(t, http.MethodGet))
		require.Equal(t, "HTTP/2.0", got.proto)
		got.is(t, xenaauth.ReasonMissingToken)
		h2.passes(t, token)
		h2.refuses(t, "x", xenaauth.ReasonMalformedToken)
		r := h2.request(t, http.MethodHead)
		head := h2.do(t, r)
		require.Empty(t, head.body)
		head.closed(t, xenaauth.ReasonMissingToken, "testapi")
		r = h2.request(t, http.MethodGet)
		r.Header["Authorization"] = []string{"Bearer " + token, "Bearer " + token}
		h2.do(t, r).is(t, xenaauth.ReasonMalformedRequest)
	})
}
