package auditlog_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/auditlog"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

var key = bytes.Repeat([]byte("k"), 32)

// The audit log has one record for each request, whether the request was allowed or refused. No
// record contains a token, a subject or a scope.
func TestRecords(t *testing.T) {
	issuer := xenaauthtest.NewIssuer(nil)
	v, err := xenaauth.NewValidator(issuer.Config())
	require.NoError(t, err)
	var log bytes.Buffer
	auth := xenaauth.NewMiddleware(v, &xenaauth.Options{
		Event:  auditlog.New(slog.New(slog.NewJSONHandler(&log, nil)), key),
		Logger: slog.New(slog.DiscardHandler),
	})
	mux := http.NewServeMux()
	ok := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	mux.Handle("GET /orders/{id}", auth.Require(xenaauth.AllScopes("orders"))(ok))
	mux.Handle("GET /news", auth.Optional(ok))
	for name, tt := range map[string]struct {
		path  string
		token *xenaauthtest.Token
		want  map[string]any
	}{
		"allowed": {"/orders/7", &xenaauthtest.Token{Subject: "ann-the-user", ClientID: "shop", Scopes: []string{"orders", "s3cret-scope"}}, map[string]any{
			"outcome": "allowed", "method": "GET", "route": "GET /orders/{id}", "source": "jwt",
			"issuer": xenaauth.IssuerProduction, "client_id": "shop",
			"sub_hash": auditlog.SubjectHash(key, xenaauth.IssuerProduction, "ann-the-user"),
		}},
		"no scope": {"/orders/7", &xenaauthtest.Token{Subject: "ann-the-user", ClientID: "shop", Scopes: []string{"other"}}, map[string]any{
			"outcome": "refused", "reason": "insufficient_scope", "status": 403.0, "method": "GET", "route": "GET /orders/{id}", "source": "jwt",
			"issuer": xenaauth.IssuerProduction, "client_id": "shop",
			"sub_hash": auditlog.SubjectHash(key, xenaauth.IssuerProduction, "ann-the-user"),
		}},
		"expired": {"/orders/7", &xenaauthtest.Token{Lifetime: -time.Hour}, map[string]any{
			"outcome": "refused", "reason": "expired", "status": 401.0, "method": "GET", "route": "GET /orders/{id}",
		}},
		"no token": {"/news?access_token=s3cret-query", nil, map[string]any{
			"outcome": "anonymous", "method": "GET", "route": "GET /news", "token_in_query": true,
		}},
	} {
		log.Reset()
		r := httptest.NewRequest("GET", tt.path, nil)
		token := "no token"
		if tt.token != nil {
			token = issuer.JWT(*tt.token)
			r.Header.Set("Authorization", "Bearer "+token)
		}
		mux.ServeHTTP(httptest.NewRecorder(), r)
		text := log.String()
		var have map[string]any
		require.NoError(t, json.Unmarshal([]byte(text), &have), "%s: one record: %s", name, text)
		require.Equal(t, "xenaauth: request checked", have["msg"])
		require.Equal(t, "INFO", have["level"])
		require.Positive(t, have["duration"])
		for _, field := range []string{"time", "level", "msg", "duration", "upstream"} {
			require.Contains(t, have, field)
			delete(have, field)
		}
		require.Equal(t, tt.want, have, name)
		for _, secret := range []string{token, "ann-the-user", "s3cret", "/orders/7"} {
			require.NotContains(t, text, secret)
		}
	}
}

// In an audit record, the hash of a user's subject depends on the key, on the issuer and on the
// subject. The form of the hash must not change, because operators keep old records and compare
// their hashes with new ones.
func TestSubjectHash(t *testing.T) {
	const hash = "f7e39663496e08cc45ce04f5a7346b72301988afe06ad704e9e304a86c910758"
	have := auditlog.SubjectHash(key, "https://login.xena.biz", "ann")
	require.Equal(t, hash, have)
	other := bytes.Repeat([]byte("l"), 32)
	for _, differs := range []string{
		auditlog.SubjectHash(other, "https://login.xena.biz", "ann"),
		auditlog.SubjectHash(key, "https://login.example", "ann"),
		auditlog.SubjectHash(key, "https://login.xena.biz", "bob"),
	} {
		require.NotEqual(t, have, differs)
	}
}

// A client can choose some texts in an audit record. Such a text can't end the record or add a
// field to it. If the text is long, it is shortened.
func TestForeignTexts(t *testing.T) {
	var log bytes.Buffer
	event := auditlog.New(slog.New(slog.NewTextHandler(&log, nil)), key)
	event(t.Context(), xenaauth.Event{Outcome: "refused", Method: "GET\nlevel=ERROR\x1b[31m" + strings.Repeat("x", 1000)})
	require.Equal(t, 1, strings.Count(log.String(), "\n"))
	require.NotContains(t, log.String(), "\x1b")
	require.Less(t, log.Len(), 600)
	// A service can write its own TokenValidator, which may return the zero User. The audit log
	// must not panic when it writes the record about this User.
	event(t.Context(), xenaauth.Event{Outcome: "allowed", User: new(xenaauth.User)})
}

// The function auditlog.New copies the key. So the hashes stay the same if the caller later changes
// the slice that it has passed. New panics if the logger is nil or the key is too short.
func TestNew(t *testing.T) {
	require.Panics(t, func() { auditlog.New(nil, key) })
	require.Panics(t, func() { auditlog.New(slog.Default(), key[:31]) })
	var log bytes.Buffer
	mine := bytes.Clone(key)
	event := auditlog.New(slog.New(slog.NewTextHandler(&log, nil)), mine)
	clear(mine)
	user := xenaauthtest.User(xenaauthtest.Token{Subject: "ann"})
	event(context.Background(), xenaauth.Event{Outcome: "allowed", User: user, Issuer: "https://login.xena.biz"})
	require.Contains(t, log.String(), "sub_hash="+auditlog.SubjectHash(key, "https://login.xena.biz", "ann"))
}
