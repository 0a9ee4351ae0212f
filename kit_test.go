package xenaauth_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// outcome is how a refusal has to look from outside, written down apart from the library's own table.
type outcome struct {
	status       int
	code, detail string
}

var outcomes = map[xenaauth.Reason]outcome{
	xenaauth.ReasonMissingToken:      {401, "", "This resource needs an access token."},
	xenaauth.ReasonMalformedRequest:  {400, "invalid_request", "The Authorization field is malformed."},
	xenaauth.ReasonMalformedToken:    {401, "invalid_token", "The access token is malformed."},
	xenaauth.ReasonTokenType:         {401, "invalid_token", "The token is not an access token."},
	xenaauth.ReasonAlgorithm:         {401, "invalid_token", "The access token is signed in a way that is not accepted."},
	xenaauth.ReasonUnknownKey:        {401, "invalid_token", "The access token is signed with an unknown key."},
	xenaauth.ReasonSignature:         {401, "invalid_token", "The signature of the access token does not verify."},
	xenaauth.ReasonIssuer:            {401, "invalid_token", "The access token is from another issuer."},
	xenaauth.ReasonAudience:          {401, "invalid_token", "The access token is for another audience."},
	xenaauth.ReasonExpired:           {401, "invalid_token", "The access token has expired."},
	xenaauth.ReasonNotYetValid:       {401, "invalid_token", "The access token is not valid yet."},
	xenaauth.ReasonLifetime:          {401, "invalid_token", "The access token is valid for too long."},
	xenaauth.ReasonClaims:            {401, "invalid_token", "The access token lacks a claim or has an unusable one."},
	xenaauth.ReasonSubject:           {401, "invalid_token", "The access token stands for no user."},
	xenaauth.ReasonConfirmation:      {401, "invalid_token", "The access token is bound to a key that was not shown."},
	xenaauth.ReasonInactive:          {401, "invalid_token", "The access token is not active."},
	xenaauth.ReasonRevoked:           {401, "invalid_token", "The access token was revoked."},
	xenaauth.ReasonInsufficientScope: {403, "insufficient_scope", "The access token lacks a scope."},
	xenaauth.ReasonForbidden:         {403, "insufficient_scope", "The access token does not allow this."},
	xenaauth.ReasonAmbiguousTarget:   {400, "invalid_request", "The request target is ambiguous."},
	xenaauth.ReasonNoRule:            {403, "", "No rule allows this request."},
	xenaauth.ReasonUnavailable:       {503, "", "Access tokens can't be checked just now."},
}

// api is a protected resource: a Validator and a Middleware before a handler that names the user, on a real server or,
// inside a synctest bubble, without one.
type api struct {
	validator xenaauth.TokenValidator
	handler   http.Handler
	server    *httptest.Server
	log       *bytes.Buffer
}

// serve starts an api on a real server. Without requirements the route requires the scope testapi.
func serve(t testing.TB, cfg xenaauth.Config, rs ...xenaauth.Requirement) *api {
	t.Helper()
	a := mount(t, cfg, rs...)
	a.server = httptest.NewServer(a.handler)
	t.Cleanup(a.server.Close)
	return a
}

// mount makes an api without a server.
func mount(t testing.TB, cfg xenaauth.Config, rs ...xenaauth.Requirement) *api {
	t.Helper()
	log := new(bytes.Buffer)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewTextHandler(&lockedBuffer{b: log}, nil))
	}
	v, err := xenaauth.NewValidator(cfg)
	require.NoError(t, err)
	a := guard(v, rs...)
	a.log = log
	return a
}

// guard makes an api without a server over any TokenValidator.
func guard(v xenaauth.TokenValidator, rs ...xenaauth.Requirement) *api {
	if len(rs) == 0 {
		rs = []xenaauth.Requirement{xenaauth.AllScopes(xenaauth.ScopeTestAPI)}
	}
	m := xenaauth.NewMiddleware(v, nil)
	return &api{validator: v, handler: m.Require(rs...)(http.HandlerFunc(hello))}
}

func hello(w http.ResponseWriter, r *http.Request) {
	user, ok := xenaauth.UserFromContext(r.Context())
	if !ok {
		_, _ = io.WriteString(w, "hello, stranger")
		return
	}
	_, _ = io.WriteString(w, "hello, "+user.Subject())
}

type lockedBuffer struct {
	mu sync.Mutex
	b  *bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// answer is a response, read whole.
type answer struct {
	status int
	proto  string
	header http.Header
	body   string
}

// get asks the api with a token.
func (a *api) get(t testing.TB, token string) *answer {
	t.Helper()
	r := a.request(t, http.MethodGet)
	r.Header.Set("Authorization", "Bearer "+token)
	return a.do(t, r)
}

func (a *api) request(t testing.TB, method string) *http.Request {
	t.Helper()
	target := "http://api.example/Api/User/FiscalSetup"
	if a.server != nil {
		target = a.server.URL + "/Api/User/FiscalSetup"
	}
	r, err := http.NewRequestWithContext(t.Context(), method, target, nil)
	require.NoError(t, err)
	return r
}

func (a *api) do(t testing.TB, r *http.Request) *answer {
	t.Helper()
	var resp *http.Response
	if a.server == nil {
		recorder := httptest.NewRecorder()
		a.handler.ServeHTTP(recorder, r)
		resp = recorder.Result()
	} else {
		var err error
		resp, err = a.server.Client().Do(r)
		require.NoError(t, err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return &answer{status: resp.StatusCode, proto: resp.Proto, header: resp.Header, body: string(body)}
}

// passes requires that a token is let through.
func (a *api) passes(t testing.TB, token string) {
	t.Helper()
	got := a.get(t, token)
	require.Equal(t, 200, got.status, got.body)
}

// refuses requires that a token is refused for this reason, in every detail of the answer. A token that no request can
// carry is shown to the validator itself.
func (a *api) refuses(t testing.TB, token string, reason xenaauth.Reason) {
	t.Helper()
	if !token68(token) || len(token) > xenaauth.DefaultMaxTokenLength {
		require.Equal(t, reason, reasonOf(t, a.validator, token))
		if a.server != nil && !strings.ContainsFunc(token, func(r rune) bool { return r < 0x20 || r == 0x7f }) {
			a.get(t, token).is(t, xenaauth.ReasonMalformedRequest)
		}
		return
	}
	a.get(t, token).is(t, reason)
}

// is requires that the answer is the refusal for this reason, of a route that requires the scope testapi.
func (got *answer) is(t testing.TB, reason xenaauth.Reason) {
	t.Helper()
	scope := xenaauth.ScopeTestAPI
	switch reason {
	case xenaauth.ReasonForbidden, xenaauth.ReasonUnavailable, xenaauth.ReasonAmbiguousTarget, xenaauth.ReasonNoRule:
		scope = ""
	}
	got.refused(t, reason, scope)
}

// refused requires that the answer is the refusal for this reason, of a route that requires this scope.
func (got *answer) refused(t testing.TB, reason xenaauth.Reason, scope string) {
	t.Helper()
	want, ok := outcomes[reason]
	require.True(t, ok, reason)
	var body struct {
		Title, Detail, Error, Scope string
		Status                      int
		Reason                      xenaauth.Reason
	}
	require.Equal(t, "application/problem+json", got.header.Get("Content-Type"), got.body)
	require.NoError(t, json.Unmarshal([]byte(got.body), &body), got.body)
	require.Equal(t, reason, body.Reason, got.body)
	require.Equal(t, want.status, got.status)
	require.Equal(t, want.status, body.Status)
	require.Equal(t, http.StatusText(want.status), body.Title)
	require.Equal(t, want.detail, body.Detail)
	require.Equal(t, want.code, body.Error)
	require.Equal(t, scope, body.Scope)
	got.closed(t, reason, scope)
}

// closed requires the header fields of a refusal.
func (got *answer) closed(t testing.TB, reason xenaauth.Reason, scope string) {
	t.Helper()
	want := outcomes[reason]
	require.Equal(t, []string{"no-store"}, got.header.Values("Cache-Control"))
	require.Contains(t, got.header.Values("Vary"), "Authorization")
	if want.status == http.StatusServiceUnavailable {
		require.Empty(t, got.header.Values("WWW-Authenticate"))
		require.Regexp(t, `^[1-9][0-9]*$`, got.header.Get("Retry-After"))
		return
	}
	require.Empty(t, got.header.Values("Retry-After"))
	require.Equal(t, []string{challenge(want, scope)}, got.header.Values("WWW-Authenticate"))
}

func challenge(o outcome, scope string) string {
	c := `Bearer realm="xena"`
	if o.code != "" {
		c += `, error="` + o.code + `", error_description="` + o.detail + `"`
	}
	if scope != "" {
		c += `, scope="` + scope + `"`
	}
	return c
}

func token68(s string) bool {
	const legal = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/"
	s = strings.TrimRight(s, "=")
	return s != "" && strings.Trim(s, legal) == ""
}

// reasonOf is why a validator refuses a token, "" if it doesn't.
func reasonOf(t testing.TB, v xenaauth.TokenValidator, token string) xenaauth.Reason {
	t.Helper()
	user, err := v.Validate(t.Context(), token)
	if err == nil {
		require.NotNil(t, user)
		return ""
	}
	require.Nil(t, user)
	var e *xenaauth.Error
	require.True(t, errors.As(err, &e), "%v", err)
	return e.Reason
}

// userOf is the user of a token that must be valid.
func userOf(t testing.TB, v xenaauth.TokenValidator, token string) *xenaauth.User {
	t.Helper()
	user, err := v.Validate(t.Context(), token)
	require.NoError(t, err)
	return user
}

type validatorFunc func(context.Context, string) (*xenaauth.User, error)

func (f validatorFunc) Validate(ctx context.Context, token string) (*xenaauth.User, error) {
	return f(ctx, token)
}

// newIssuer is an issuer in memory whose keys are made quickly.
func newIssuer() *xenaauthtest.Issuer {
	return xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256"})
}

// rsaIssuer is one issuer for all tests that only have it sign and publish: making an RSA key takes long.
var rsaIssuer = sync.OnceValue(func() *xenaauthtest.Issuer { return xenaauthtest.NewIssuer(nil) })

// bubble runs a test in fake time, and at its end waits for the fetches that it left under way.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		defer time.Sleep(time.Minute)
		f(t)
	})
}
