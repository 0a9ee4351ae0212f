package introspection_test

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// assertionAuth is a ClientAuth for tests. It puts a new client_assertion into each introspection
// request. In practice, an assertion may be valid only once.
type assertionAuth struct {
	secret string
	err    error
	panics bool

	mu   sync.Mutex
	sent []string
}

func (a *assertionAuth) Authenticate(r *http.Request, i xenaauth.Introspection) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.panics {
		panic("no key")
	}
	if a.err != nil {
		return a.err
	}
	assertion := fmt.Sprintf("%d for %s at %s", len(a.sent), i.ClientID, r.URL.Path)
	a.sent = append(a.sent, assertion)
	r.PostForm.Set("client_id", i.ClientID)
	r.PostForm.Set("client_secret", a.secret)
	r.PostForm.Set("client_assertion", assertion)
	r.Header.Set("X-Client", "yes")
	return r.Context().Err()
}

func validatorWithAssertions(t *testing.T, issuer *xenaauthtest.Issuer) (*xenaauth.Validator, *assertionAuth) {
	t.Helper()
	auth := &assertionAuth{secret: issuer.APISecret()}
	cfg := issuer.HybridConfig()
	cfg.Introspection.Auth, cfg.Introspection.ClientSecret = auth, ""
	v, err := xenaauth.NewValidator(cfg)
	require.NoError(t, err, "another ClientAuth needs no ClientSecret")
	return v, auth
}

func TestClientAuthOfTheUser(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	v, auth := validatorWithAssertions(t, issuer)
	token := issuer.Opaque(xenaauthtest.Token{})
	_, err := v.Validate(t.Context(), token)
	require.NoError(t, err)
	header, form := issuer.LastIntrospection()
	require.Equal(t, auth.sent, form["client_assertion"])
	require.Equal(t, "0 for "+issuer.API()+" at /connect/introspect", auth.sent[0])
	require.Equal(t, []string{token}, form["token"])
	require.Equal(t, "yes", header.Get("X-Client"))
	require.Empty(t, header.Get("Authorization"))
	require.Equal(t, "application/x-www-form-urlencoded", header.Get("Content-Type"))
}

// If the library sends an introspection request a second time, it calls the ClientAuth again.
func TestClientAuthOfEachAttempt(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		v, auth := validatorWithAssertions(t, issuer)
		issuer.Fail(xenaauthtest.Introspection, xenaauthtest.Fault{Status: 502})
		_, err := v.Validate(t.Context(), issuer.Opaque(xenaauthtest.Token{}))
		require.Error(t, err)
		require.Equal(t, 2, issuer.Calls(xenaauthtest.Introspection))
		require.Len(t, auth.sent, 2)
		require.NotEqual(t, auth.sent[0], auth.sent[1])
	})
}

// If a ClientAuth fails, the library cannot introspect the token. It does not count this as a
// failure of the issuer. So as soon as the ClientAuth works again, the library calls the issuer.
func TestClientAuthThatFailsIsAnOutage(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	v, auth := validatorWithAssertions(t, issuer)
	cause := errors.New("vault.internal refuses s3cret")
	auth.err = cause
	for range 10 {
		_, err := v.Validate(t.Context(), issuer.Opaque(xenaauthtest.Token{}))
		refusal, ok := errors.AsType[*xenaauth.Error](err)
		require.True(t, ok)
		require.Equal(t, xenaauth.ReasonUnavailable, refusal.Reason)
		require.ErrorIs(t, err, cause)
		require.ErrorContains(t, err, "introspection: the client authentication failed")
		require.NotContains(t, err.Error(), "vault")
	}
	auth.err, auth.panics = nil, true
	for range 10 {
		_, err := v.Validate(t.Context(), issuer.Opaque(xenaauthtest.Token{}))
		refusal, ok := errors.AsType[*xenaauth.Error](err)
		require.True(t, ok)
		require.Equal(t, xenaauth.ReasonUnavailable, refusal.Reason)
		require.ErrorContains(t, err, "introspection: the client authentication panicked")
	}
	auth.panics = false
	require.Zero(t, issuer.Calls(xenaauthtest.Introspection))
	require.Equal(t, "closed", v.Status().Introspection)
	_, err := v.Validate(t.Context(), issuer.Opaque(xenaauthtest.Token{}))
	require.NoError(t, err)
}
