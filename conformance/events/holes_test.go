package events_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// If a request passes two guards of one middleware, it has only one event (Options.Event). This is
// also true if a guard of another middleware is between the two guards, or if CheckPublic is called
// after a guard.
func TestOneEventAroundAnotherGuard(t *testing.T) {
	l := newEventRecorder(new(harness.ScopeValidator))
	user := l.Require(xenaauth.AnyUser())
	other := newEventRecorder(new(harness.ScopeValidator)).Require(xenaauth.AnyUser())
	require.Equal(t, []string{"allowed ann"}, l.send(t, user(other(user(harness.Teapot))), "Bearer a"))
	public := user(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		l.CheckPublic(l.CheckPublic(r))
	}))
	require.Equal(t, []string{"allowed ann"}, l.send(t, public, "Bearer a"))
}

// If a policy panics, the event of the request (Options.Event) reports the outcome "unavailable".
// The status of the response is 503.
func TestEventOfPanickingPolicy(t *testing.T) {
	l := newEventRecorder(new(harness.ScopeValidator))
	guarded := l.Require(xenaauth.Where("panics", func(context.Context, *xenaauth.User) error { panic("boom") }))(harness.Teapot)
	status := 0
	h := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		w := httptest.NewRecorder()
		defer func() {
			require.Equal(t, "boom", recover(), "the guard passes the panic on")
			status = w.Result().StatusCode
		}()
		guarded.ServeHTTP(w, r)
	})
	require.Equal(t, []string{"unavailable unavailable"}, l.send(t, h, "Bearer a"))
	require.Equal(t, http.StatusServiceUnavailable, status)
}

// Options.Event gets an event for each request. If the token of the request is revoked, the event
// does not name the user. Its field Source, which says how the library checked a token, is empty.
func TestEventOfRevokedToken(t *testing.T) {
	issuer := harness.NewIssuer()
	v := harness.NewValidator(t, issuer.Config())
	l, token := newEventRecorder(v), issuer.JWT(xenaauthtest.Token{})
	require.NoError(t, v.Revoke(t.Context(), xenaauth.Revocation{TokenHash: xenaauth.HashToken(token)}))
	l.send(t, l.Require(xenaauth.AnyUser())(harness.Teapot), "Bearer "+token)
	require.Len(t, l.events, 1)
	require.Nil(t, l.events[0].User)
	require.Empty(t, l.events[0].Source)
}

// Options.Event is a function that gets the event of a request. If the function changes the event,
// the response does not change.
func TestEventIsACopy(t *testing.T) {
	m := xenaauth.NewMiddleware(new(harness.ScopeValidator), &xenaauth.Options{
		Event: func(_ context.Context, e xenaauth.Event) {
			if e.Err != nil {
				e.Err.Reason, e.Err.Scopes[0] = xenaauth.ReasonMissingToken, "changed"
			}
		},
	})
	w := harness.Send(m.Require(xenaauth.AllScopes("b"))(harness.Teapot), t.Context(), http.MethodGet, "Bearer a")
	require.Equal(t, 403, w.Code)
	require.Contains(t, w.Header().Get("Www-Authenticate"), `scope="b"`)
}

// hedgingWrapper is a wrapper around a Validator. It calls the Validator in two goroutines at the
// same time and returns the result that comes first.
type hedgingWrapper struct{ xenaauth.TokenValidator }

func (h hedgingWrapper) Unwrap() xenaauth.TokenValidator { return h.TokenValidator }

func (h hedgingWrapper) Validate(ctx context.Context, token string) (*xenaauth.User, error) {
	type result struct {
		user *xenaauth.User
		err  error
	}
	results := make(chan result, 2)
	for range 2 {
		go func() {
			u, err := h.TokenValidator.Validate(ctx, token)
			results <- result{u, err}
		}()
	}
	first := <-results
	return first.user, first.err
}

// A wrapper around a Validator may call the Validator in several goroutines. With the race
// detector, this test shows that this is safe.
func TestEventOfValidatorInGoroutines(t *testing.T) {
	issuer := harness.NewIssuer()
	l := newEventRecorder(hedgingWrapper{harness.NewValidator(t, issuer.Config())})
	h := l.Require(xenaauth.AnyUser())(harness.Teapot)
	for range 20 {
		require.Len(t, l.send(t, h, "Bearer "+issuer.JWT(xenaauthtest.Token{})), 1)
	}
}

// A policy may return an error of another package that wraps an Error of this library. The error
// that Check returns contains the text of the policy's error, because the log shows this text.
func TestPolicyErrorKeepsItsText(t *testing.T) {
	err := xenaauth.Where("x", func(context.Context, *xenaauth.User) error {
		return fmt.Errorf("the database says no: %w", &xenaauth.Error{Reason: xenaauth.ReasonForbidden})
	}).Check(t.Context(), xenaauthtest.User(xenaauthtest.Token{}))
	require.ErrorContains(t, err, "the database says no")
}

// recordingWrapper is a wrapper around a Validator. It accepts every text as a token and records
// the text.
type recordingWrapper struct {
	xenaauth.TokenValidator
	got *[]string
}

func (v recordingWrapper) Unwrap() xenaauth.TokenValidator { return v.TokenValidator }

func (v recordingWrapper) Validate(_ context.Context, token string) (*xenaauth.User, error) {
	*v.got = append(*v.got, token)
	return xenaauth.NewUser(map[string]any{"sub": "ann"})
}

// A middleware refuses a text that cannot be a token, and does not pass it to a wrapper around the
// Validator.
func TestWrapperGetsTokensOnly(t *testing.T) {
	var got []string
	v := recordingWrapper{harness.NewValidator(t, harness.NewIssuer().Config()), &got}
	l := newEventRecorder(v)
	h := l.Require(xenaauth.AnyUser())(harness.Teapot)
	for _, authorization := range []string{"Bearer a b", "Bearer a,Bearer b", "Bearer \x00", "Bearer a\r\nX: y"} {
		require.Equal(t, []string{"refused malformed_request"}, l.send(t, h, authorization), authorization)
	}
	require.Empty(t, got)
}
