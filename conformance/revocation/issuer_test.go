// Package revocation_test tests which tokens are refused because of a revocation. The tests use
// only exported functions.
package revocation_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// messageBus is a RevocationBus for tests. It records each revocation that the library publishes,
// as JSON. It delivers only the messages in toDeliver, which the test sets.
type messageBus struct {
	published []string
	toDeliver []string
}

func (m *messageBus) Publish(_ context.Context, r xenaauth.Revocation) error {
	text, err := json.Marshal(r)
	m.published = append(m.published, string(text))
	return err
}

func (m *messageBus) Subscribe(_ context.Context, apply func(xenaauth.Revocation)) error {
	for _, text := range m.toDeliver {
		var r xenaauth.Revocation
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			return err
		}
		apply(r)
	}
	return nil
}

func validator(t *testing.T, cfg xenaauth.Config) *xenaauth.Validator {
	t.Helper()
	cfg.Logger = slog.New(slog.DiscardHandler)
	v, err := xenaauth.NewValidator(cfg)
	require.NoError(t, err)
	return v
}

func reason(t *testing.T, v *xenaauth.Validator, token string) xenaauth.Reason {
	t.Helper()
	_, err := v.Validate(t.Context(), token)
	if err == nil {
		return ""
	}
	var e *xenaauth.Error
	require.ErrorAs(t, err, &e)
	return e.Reason
}

// Two issuers may use the same subject for different users. Revoke returns an error for a
// revocation of another issuer, and the tokens of the trusted issuer stay valid.
func TestRevokeRefusesAnotherIssuer(t *testing.T) {
	t.Parallel()
	issuer := xenaauthtest.NewIssuer(nil)
	bus := new(messageBus)
	cfg := issuer.Config()
	cfg.RevocationBus = bus
	v := validator(t, cfg)
	token := issuer.JWT(xenaauthtest.Token{Subject: "U1"})
	for _, other := range []string{"https://other.example", cfg.Issuer + "/", strings.ToUpper(cfg.Issuer)} {
		err := v.Revoke(t.Context(), xenaauth.Revocation{Issuer: other, Subject: "U1"})
		require.ErrorContains(t, err, "Revocation.Issuer is not Config.Issuer")
		require.NotErrorIs(t, err, xenaauth.ErrNotPublished)
	}
	require.Empty(t, bus.published)
	require.Zero(t, v.Status().Revocations)
	require.Empty(t, reason(t, v, token))
	require.NoError(t, v.Revoke(t.Context(), xenaauth.Revocation{Issuer: cfg.Issuer, Subject: "U1"}))
	require.Equal(t, xenaauth.ReasonRevoked, reason(t, v, token))
}

// If a Revocation names no issuer, it applies to the configured issuer. The library publishes it on
// the RevocationBus with the name of that issuer, so that all instances store equal revocations.
func TestRevokePublishesTheIssuer(t *testing.T) {
	t.Parallel()
	issuer := xenaauthtest.NewIssuer(nil)
	bus := new(messageBus)
	cfg := issuer.Config()
	cfg.RevocationBus = bus
	v := validator(t, cfg)
	until := time.Now().Add(time.Hour)
	for _, name := range []string{"", cfg.Issuer} {
		r := xenaauth.Revocation{Issuer: name, SessionID: "S1", Until: until}
		require.NoError(t, v.Revoke(t.Context(), r))
	}
	require.Len(t, bus.published, 2)
	require.Equal(t, bus.published[0], bus.published[1])
	require.Contains(t, bus.published[0], `"issuer":"`+cfg.Issuer+`"`)
	require.Equal(t, 1, v.Status().Revocations)
}

// Instances of an older version of the library publish revocations that name no issuer. When an
// instance receives such a revocation, the revocation is in force. When it receives a revocation of
// another issuer, it ignores the revocation.
func TestFollowRevocationsOfSeveralIssuers(t *testing.T) {
	t.Parallel()
	issuer := xenaauthtest.NewIssuer(nil)
	until := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	cfg := issuer.Config()
	cfg.RevocationBus = &messageBus{toDeliver: []string{
		`{"sub":"old","until":"` + until + `"}`,
		`{"issuer":"` + cfg.Issuer + `","sub":"new","until":"` + until + `"}`,
		`{"issuer":"` + cfg.Issuer + `","sub":"old","until":"` + until + `"}`,
		`{"issuer":"https://other.example","sub":"other","until":"` + until + `"}`,
		`{"issuer":"https://other.example","issued_before":"` + until + `","until":"` + until + `"}`,
	}}
	v := validator(t, cfg)
	require.NoError(t, v.FollowRevocations(t.Context()))
	require.Equal(t, 2, v.Status().Revocations, "equal revocations count once")
	for subject, want := range map[string]xenaauth.Reason{
		"old": xenaauth.ReasonRevoked, "new": xenaauth.ReasonRevoked, "other": "",
	} {
		require.Equal(t, want, reason(t, v, issuer.JWT(xenaauthtest.Token{Subject: subject})), subject)
	}
}

// The method User.Revocation returns a Revocation that names the issuer of the token, even if the
// introspection response has no iss.
func TestRevocationOfUserNamesTheIssuer(t *testing.T) {
	t.Parallel()
	issuer := xenaauthtest.NewIssuer(nil)
	cfg := issuer.HybridConfig()
	for name, token := range map[string]string{
		"JWT":                 issuer.JWT(xenaauthtest.Token{}),
		"opaque":              issuer.Opaque(xenaauthtest.Token{}),
		"opaque, without iss": issuer.Opaque(xenaauthtest.Token{Claims: map[string]any{"iss": nil}}),
		"without sid":         issuer.JWT(xenaauthtest.Token{Claims: map[string]any{"sid": nil}}),
	} {
		v := validator(t, cfg)
		u, err := v.Validate(t.Context(), token)
		require.NoError(t, err, name)
		require.Equal(t, cfg.Issuer, u.Issuer(), name)
		require.Equal(t, cfg.Issuer, u.Revocation().Issuer, name)
		require.NoError(t, v.Revoke(t.Context(), u.Revocation()), name)
		require.Equal(t, xenaauth.ReasonRevoked, reason(t, v, token), name)
	}
	u, err := xenaauth.NewUser(map[string]any{"iss": cfg.Issuer})
	require.NoError(t, err)
	require.Zero(t, u.Revocation(), "an issuer alone names no tokens")
}

// A logout token causes a revocation. This revocation names the issuer of the logout token, whether
// the logout token has a sid or not.
func TestLogoutPublishesTheIssuer(t *testing.T) {
	t.Parallel()
	issuer := xenaauthtest.NewIssuer(nil)
	bus := new(messageBus)
	cfg := issuer.Config()
	cfg.RevocationBus = bus
	logout := validator(t, cfg).LogoutHandler("app")
	for _, claims := range []map[string]any{{"sid": "S1"}, {"sid": nil}} {
		token := issuer.LogoutToken(xenaauthtest.Token{ClientID: "app", Claims: claims})
		form := url.Values{"logout_token": {token}}.Encode()
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(form))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		logout.ServeHTTP(w, r)
		require.Equal(t, http.StatusOK, w.Code, w.Body)
	}
	require.Len(t, bus.published, 2)
	for _, text := range bus.published {
		require.Contains(t, text, `"issuer":"`+cfg.Issuer+`"`)
	}
}
