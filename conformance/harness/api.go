package harness

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
)

// API is a protected resource for tests: a validator, and a middleware in front of the handler
// Hello. It runs on a real server, or without a server, for example in a synctest bubble.
type API struct {
	Validator xenaauth.TokenValidator
	Handler   http.Handler
	Server    *httptest.Server // Server is nil if the API has no server
	// Log is the log of the validator and of the middleware. It stays empty if the Config has a
	// Logger. It is nil if Guard has made the API.
	Log *bytes.Buffer
}

// Serve starts an API on a real server. If the caller passes no requirements, the API requires the
// scope testapi.
func Serve(t testing.TB, cfg xenaauth.Config, rs ...xenaauth.Requirement) *API {
	t.Helper()
	a := Mount(t, cfg, rs...)
	a.Server = httptest.NewServer(a.Handler)
	t.Cleanup(a.Server.Close)
	return a
}

// Mount returns an API without a server. If the caller passes no requirements, the API requires the
// scope testapi.
func Mount(t testing.TB, cfg xenaauth.Config, rs ...xenaauth.Requirement) *API {
	t.Helper()
	log := new(bytes.Buffer)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewTextHandler(&lockedBuffer{b: log}, nil))
	}
	v, err := xenaauth.NewValidator(cfg)
	require.NoError(t, err)
	a := Guard(v, rs...)
	a.Log = log
	return a
}

// Guard returns an API that has no server. The validator v checks the tokens of its requests. If
// the caller passes no requirements, the API requires the scope testapi.
func Guard(v xenaauth.TokenValidator, rs ...xenaauth.Requirement) *API {
	if len(rs) == 0 {
		rs = []xenaauth.Requirement{xenaauth.AllScopes(xenaauth.ScopeTestAPI)}
	}
	m := xenaauth.NewMiddleware(v, nil)
	return &API{Validator: v, Handler: m.Require(rs...)(http.HandlerFunc(Hello))}
}

// Hello is the handler of an API. It writes "hello, " and the subject of the user, or "hello,
// stranger" if the request has no user.
func Hello(w http.ResponseWriter, r *http.Request) {
	user, ok := xenaauth.UserFromContext(r.Context())
	if !ok {
		_, _ = io.WriteString(w, "hello, stranger")
		return
	}
	_, _ = io.WriteString(w, "hello, "+user.Subject())
}

// Get sends a GET request with a bearer token to the API and returns the response.
func (a *API) Get(t testing.TB, token string) *Response {
	t.Helper()
	r := a.Request(t, http.MethodGet)
	r.Header.Set("Authorization", "Bearer "+token)
	return a.Do(t, r)
}

// Request returns a request for the API. The request has no credentials.
func (a *API) Request(t testing.TB, method string) *http.Request {
	t.Helper()
	target := "http://api.example/Api/User/FiscalSetup"
	if a.Server != nil {
		target = a.Server.URL + "/Api/User/FiscalSetup"
	}
	r, err := http.NewRequestWithContext(t.Context(), method, target, nil)
	require.NoError(t, err)
	return r
}

// Do sends the request r to the API and returns the response.
func (a *API) Do(t testing.TB, r *http.Request) *Response {
	t.Helper()
	var resp *http.Response
	if a.Server == nil {
		recorder := httptest.NewRecorder()
		a.Handler.ServeHTTP(recorder, r)
		resp = recorder.Result()
	} else {
		var err error
		resp, err = a.Server.Client().Do(r)
		require.NoError(t, err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return &Response{Status: resp.StatusCode, Proto: resp.Proto, Header: resp.Header, Body: string(body)}
}

// Passes is an assertion: the API must accept a request with the given token.
func (a *API) Passes(t testing.TB, token string) {
	t.Helper()
	got := a.Get(t, token)
	require.Equal(t, 200, got.Status, got.Body)
}

// Refuses is an assertion: the API must refuse a request with the given token. The response must be
// exactly the refusal with the reason wantReason. A token may be too long for the Authorization
// field, or contain a character that the field does not allow. Then Refuses passes the token
// directly to the validator. If the API has a server, and the token has no control characters, the
// response of the server must be the refusal with ReasonMalformedRequest.
func (a *API) Refuses(t testing.TB, token string, wantReason xenaauth.Reason) {
	t.Helper()
	if !isToken68(token) || len(token) > xenaauth.DefaultMaxTokenLength {
		require.Equal(t, wantReason, ReasonOf(t, a.Validator, token))
		if a.Server != nil && !strings.ContainsFunc(token, func(r rune) bool { return r < 0x20 || r == 0x7f }) {
			a.Get(t, token).IsRefusal(t, xenaauth.ReasonMalformedRequest)
		}
		return
	}
	a.Get(t, token).IsRefusal(t, wantReason)
}

// isToken68 reports whether s has the syntax of a token in the Authorization field.
func isToken68(s string) bool {
	const legal = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/"
	s = strings.TrimRight(s, "=")
	return s != "" && strings.Trim(s, legal) == ""
}

// Send sends a request without a body to a handler. The request has an Authorization field unless
// authorization is "".
func Send(h http.Handler, ctx context.Context, method, authorization string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "/", nil).WithContext(ctx)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// Teapot is a handler that responds with status 418.
var Teapot = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
