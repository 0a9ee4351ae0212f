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

// IntrospectingValidator returns a validator for an issuer whose introspection endpoint is
// configured and not read from the metadata. The validator has not yet fetched any metadata or
// keys.
func IntrospectingValidator(t testing.TB, issuer *xenaauthtest.Issuer, change func(*xenaauth.Config)) *xenaauth.Validator {
	t.Helper()
	cfg := issuer.HybridConfig()
	cfg.Introspection.Endpoint = issuer.URL() + "/connect/introspect"
	if change != nil {
		change(&cfg)
	}
	return NewValidator(t, cfg)
}

// ErrorOf requires that the validator v refuses a token, and returns the error of Validate.
func ErrorOf(t testing.TB, v *xenaauth.Validator, ctx context.Context, token string) *xenaauth.Error {
	t.Helper()
	user, err := v.Validate(ctx, token)
	require.Nil(t, user)
	var e *xenaauth.Error
	require.ErrorAs(t, err, &e)
	return e
}

// ReasonOf returns the reason for which the validator v refuses a token, or "" if v accepts the
// token.
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

// UserOf requires that the validator v accepts a token, and returns the user of the token.
func UserOf(t testing.TB, v xenaauth.TokenValidator, token string) *xenaauth.User {
	t.Helper()
	user, err := v.Validate(t.Context(), token)
	require.NoError(t, err)
	return user
}

// ValidatorFunc is a function that implements xenaauth.TokenValidator.
type ValidatorFunc func(context.Context, string) (*xenaauth.User, error)

// Validate calls the function f and returns its results.
func (f ValidatorFunc) Validate(ctx context.Context, token string) (*xenaauth.User, error) {
	return f(ctx, token)
}

// FixedValidator is a TokenValidator that returns the same user and error for each token.
type FixedValidator struct {
	User *xenaauth.User
	Err  error
}

// Validate returns the fields User and Err of the FixedValidator o.
func (o FixedValidator) Validate(context.Context, string) (*xenaauth.User, error) {
	return o.User, o.Err
}

// ValidateNewToken requires that the validator v accepts a new token of the issuer. Then it waits
// until the fetches of keys that the token started have ended. The caller must run in a synctest
// bubble.
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

// Revoke requires that the validator v accepts the revocation r.
func Revoke(t testing.TB, v *xenaauth.Validator, r xenaauth.Revocation) {
	t.Helper()
	require.NoError(t, v.Revoke(t.Context(), r))
}

// ScopeValidator is a TokenValidator that accepts each token. The text of the token becomes the
// scope of the user. ScopeValidator counts its calls.
type ScopeValidator struct{ Calls int }

// Validate returns the user "ann", whose scope is the text of the token.
func (s *ScopeValidator) Validate(_ context.Context, token string) (*xenaauth.User, error) {
	s.Calls++
	return xenaauth.NewUser(map[string]any{"sub": "ann", "client_id": "app", "scp": token})
}

// ScopeListValidator is a TokenValidator that accepts each token. The text of the token lists the
// scopes of the user, each after a slash: the token "/a/b" has the scopes a and b.
type ScopeListValidator struct{}

// Validate returns the user "ann" with the scopes that the token lists.
func (ScopeListValidator) Validate(_ context.Context, token string) (*xenaauth.User, error) {
	scopes := strings.Split(token, "/")[1:]
	return xenaauth.NewUser(map[string]any{"sub": "ann", "client_id": "app", "scope": scopes})
}

// OneOfScopes returns a requirement that accepts any one of n scopes. The names of the scopes begin
// with prefix.
func OneOfScopes(prefix string, n int) xenaauth.Requirement {
	scopes := make([]string, n)
	for i := range scopes {
		scopes[i] = fmt.Sprint(prefix, i)
	}
	return xenaauth.AnyScope(scopes...)
}
