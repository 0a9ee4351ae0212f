package jwt_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// The library has two ways of looking for the API in the claim aud: one for a long list of
// audiences, and one for a short list. Both ways give the same result.
func TestManyAudiences(t *testing.T) {
	issuer := harness.NewIssuer()
	for _, n := range []int{1, 2, 15, 16, 17, 100} {
		cfg := issuer.Config()
		cfg.Audiences = nil
		for i := range n {
			cfg.Audiences = append(cfg.Audiences, fmt.Sprint("api", i))
		}
		v := harness.NewValidator(t, cfg)
		logout := v.LogoutHandler(cfg.Audiences...)
		for i := range n {
			require.Empty(t, harness.ReasonOf(t, v, issuer.JWT(xenaauthtest.Token{Claims: map[string]any{"aud": []string{"x", fmt.Sprint("api", i)}}})))
			status, _ := harness.Logout(t, logout, issuer.LogoutToken(xenaauthtest.Token{Claims: map[string]any{"aud": fmt.Sprint("api", i)}}))
			require.Equal(t, 200, status)
		}
		for _, aud := range []string{"", "api", fmt.Sprint("api", n), "API0"} {
			require.Equal(t, xenaauth.ReasonAudience, harness.ReasonOf(t, v, issuer.JWT(xenaauthtest.Token{Claims: map[string]any{"aud": []string{aud, "x"}}})), aud)
			_, reason := harness.Logout(t, logout, issuer.LogoutToken(xenaauthtest.Token{Claims: map[string]any{"aud": aud}}))
			require.Equal(t, xenaauth.ReasonAudience, reason, aud)
		}
	}
}
