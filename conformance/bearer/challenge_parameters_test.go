package bearer_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
)

// challengeOf returns the WWW-Authenticate field that the method Challenge of a middleware writes
// for the error err.
func challengeOf(m *xenaauth.Middleware, err error) string {
	h := make(http.Header)
	m.Challenge(h, nil, err)
	return h.Get("WWW-Authenticate")
}

func TestChallengeParams(t *testing.T) {
	m := xenaauth.NewMiddleware(new(harness.ScopeValidator), nil)
	const start = `Bearer realm="xena", error="insufficient_scope", error_description="The access token does not allow this."`
	for name, tt := range map[string]struct {
		params map[string]string
		want   string
	}{
		"in the order of their names": {map[string]string{"max_age": "300", "acr_values": "urn:a urn:b"}, start + `, acr_values="urn:a urn:b", max_age="300"`},
		"parameters of the middleware stay": {
			map[string]string{"realm": "evil", "scope": "evil", "resource_metadata": "https://evil.example", "x": "1"}, start + `, x="1"`,
		},
		"illegal names": {map[string]string{"": "1", "a b": "1", "a=": "1", `a"`: "1", "a\r\nb": "1", "Realm": "1", "é": "1", strings.Repeat("a", 65): "1"}, start},
		"illegal values": {
			map[string]string{"a": "", "b": `1"`, "c": `\`, "d": "1\r\nX-Evil: 1", "e": "é", "f": strings.Repeat("a", 513)}, start,
		},
		"error code and description": {
			map[string]string{"error": "insufficient_user_authentication", "error_description": "Log in again."},
			`Bearer realm="xena", error="insufficient_user_authentication", error_description="Log in again."`,
		},
		"illegal error code": {map[string]string{"error": "a\"b", "error_description": "a\nb"}, start},
	} {
		// In the second round the middleware reads the challenge from its cache.
		for range 2 {
			require.Equal(t, tt.want, challengeOf(m, &xenaauth.Error{Reason: xenaauth.ReasonForbidden, Params: tt.params}), name)
		}
	}

	many := make(map[string]string)
	for c := 'a'; c <= 'z'; c++ {
		many[string(c)] = "1"
	}
	got := challengeOf(m, &xenaauth.Error{Reason: xenaauth.ReasonForbidden, Params: many})
	require.Equal(t, start+`, a="1", b="1", c="1", d="1", e="1", f="1", g="1", h="1"`, got)

	missing := &xenaauth.Error{Reason: xenaauth.ReasonMissingToken, Params: map[string]string{"error": "invalid_token", "acr_values": "gold"}}
	require.Equal(t, `Bearer realm="xena", acr_values="gold"`, challengeOf(m, missing))
	require.Empty(t, missing.Code())
}

// A policy of the service can return an error with parameters for the challenge. Options.ErrorBody
// cannot change these parameters.
func TestPolicyParams(t *testing.T) {
	stepUp := &xenaauth.Error{
		Reason: xenaauth.ReasonForbidden,
		Params: map[string]string{"error": "insufficient_user_authentication", "acr_values": "gold"},
		Err:    errors.New("acr is silver"),
	}
	requirement := xenaauth.Where("step-up", func(context.Context, *xenaauth.User) error { return stepUp })
	var told *xenaauth.Error
	m := xenaauth.NewMiddleware(new(harness.ScopeValidator), &xenaauth.Options{ErrorBody: func(w http.ResponseWriter, _ *http.Request, e *xenaauth.Error) {
		told = e
		body, err := json.Marshal(e)
		require.NoError(t, err)
		e.Params["acr_values"] = "changed"
		_, _ = w.Write(body)
	}})
	for range 2 {
		w := harness.Send(m.Require(requirement)(harness.Teapot), t.Context(), "GET", "Bearer a")
		require.Equal(t, 403, w.Code)
		require.Contains(t, w.Header().Get("WWW-Authenticate"), `error="insufficient_user_authentication"`)
		require.Contains(t, w.Header().Get("WWW-Authenticate"), `acr_values="gold"`)
		require.Contains(t, w.Body.String(), `"error":"insufficient_user_authentication"`)
		require.NotContains(t, w.Header().Get("WWW-Authenticate")+w.Body.String(), "silver")
		require.EqualError(t, told.Err, "acr is silver")
	}
	require.Equal(t, "gold", stepUp.Params["acr_values"])
}
