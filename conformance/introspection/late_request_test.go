package introspection_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// hookContext is a context that runs a function when its method Err is called.
type hookContext struct {
	context.Context
	hook func()
}

func (c *hookContext) Err() error {
	if hook := c.hook; hook != nil {
		c.hook = nil
		hook()
	}
	return c.Context.Err()
}

// A first request finds no introspection response in the cache. Before the first request calls the
// issuer, a second request with the same token puts an introspection response into the cache. The
// first request then uses this response and does not call the issuer. This is also true if the
// response says that the token is inactive.
func TestIntrospectionIsNotRepeatedForALateRequest(t *testing.T) {
	t.Parallel()
	for _, revoked := range []bool{false, true} {
		issuer := harness.NewIssuer()
		v := harness.IntrospectingValidator(t, issuer, nil)
		token := issuer.Opaque(xenaauthtest.Token{})
		if revoked {
			token = "unknown"
		}
		other := ""
		hooked := false
		ctx := &hookContext{Context: t.Context(), hook: func() {
			hooked = true
			other = string(harness.ReasonOf(t, v, token))
		}}
		_, err := v.Validate(ctx, token)
		require.True(t, hooked, "the request did not call Err of its context")
		require.Equal(t, revoked, err != nil, "%v", err)
		require.Equal(t, revoked, other != "")
		require.Equal(t, 1, issuer.Calls(xenaauthtest.Introspection), "revoked=%t", revoked)
	}
}
