package harness

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// IntrospectingValidator returns a validator that knows the introspection endpoint and has fetched
// neither metadata nor keys.
func IntrospectingValidator(t testing.TB, issuer *xenaauthtest.Issuer, change func(*xenaauth.Config)) *xenaauth.Validator {
	t.Helper()
	cfg := issuer.HybridConfig()
	cfg.Introspection.Endpoint = issuer.URL() + "/connect/introspect"
	if change != nil {
		change(&cfg)
	}
	return NewValidator(t, cfg)
}

// ErrorOf returns the error for a token that must be refused.
func ErrorOf(t testing.TB, v *xenaauth.Validator, ctx context.Context, token string) *xenaauth.Error {
	t.Helper()
	user, err := v.Validate(ctx, token)
	require.Nil(t, user)
	var e *xenaauth.Error
	require.ErrorAs(t, err, &e)
	return e
}

// ReasonOf returns the reason for which v refuses a token, or "" if v accepts it.
func ReasonOf(t testing.TB, v xenaauth.TokenValidator, token string) xenaauth.Reason {
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

// UserOf returns the user of a token that must be valid.
func UserOf(t testing.TB, v xenaauth.TokenValidator, token string) *xenaauth.User {
	t.Helper()
	user, err := v.Validate(t.Context(), token)
	require.NoError(t, err)
	return user
}

// ValidatorFunc is a function that implements xenaauth.TokenValidator.
type ValidatorFunc func(context.Context, string) (*xenaauth.User, error)

// Validate calls f.
func (f ValidatorFunc) Validate(ctx context.Context, token string) (*xenaauth.User, error) {
	return f(ctx, token)
}

// FixedValidator is a TokenValidator that gives the same result for each token.
type FixedValidator struct {
	User *xenaauth.User
	Err  error
}

// Validate returns o.User and o.Err.
func (o FixedValidator) Validate(context.Context, string) (*xenaauth.User, error) {
	return o.User, o.Err
}

// ValidateNewToken validates a token that v has not seen before. The token must be accepted.
// ValidateNewToken then waits for fetches that it started. It must be called in a synctest bubble.
func ValidateNewToken(t testing.TB, v *xenaauth.Validator, issuer *xenaauthtest.Issuer) {
	t.Helper()
	require.Empty(t, ReasonOf(t, v, issuer.JWT(xenaauthtest.Token{})))
	synctest.Wait()
}

// NewValidator returns a validator that logs nothing unless cfg has a Logger.
func NewValidator(t testing.TB, cfg xenaauth.Config) *xenaauth.Validator {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	v, err := xenaauth.NewValidator(cfg)
	require.NoError(t, err)
	return v
}

// Revoke applies a revocation that v must accept.
func Revoke(t testing.TB, v *xenaauth.Validator, r xenaauth.Revocation) {
	t.Helper()
	require.NoError(t, v.Revoke(t.Context(), r))
}

// ScopeValidator is a TokenValidator that accepts each token and takes its text as the scopes of
// the user. It counts its calls.
type ScopeValidator struct{ Calls int }

// Validate returns the user "ann" with the scopes of token.
func (s *ScopeValidator) Validate(_ context.Context, token string) (*xenaauth.User, error) {
	s.Calls++
	return xenaauth.NewUser(map[string]any{"sub": "ann", "client_id": "app", "scp": token})
}

// ScopeListValidator is a TokenValidator that accepts each token and takes its text as the scopes
// of the user, with a slash before each: "/a/b" has the scopes a and b.
type ScopeListValidator struct{}

// Validate returns the user "ann" with the scopes of token.
func (ScopeListValidator) Validate(_ context.Context, token string) (*xenaauth.User, error) {
	scopes := strings.Split(token, "/")[1:]
	return xenaauth.NewUser(map[string]any{"sub": "ann", "client_id": "app", "scope": scopes})
}

// OneOfScopes returns a requirement of one of n scopes whose names begin with prefix.
func OneOfScopes(prefix string, n int) xenaauth.Requirement {
	scopes := make([]string, n)
	for i := range scopes {
		scopes[i] = fmt.Sprint(prefix, i)
	}
	return xenaauth.AnyScope(scopes...)
}
