package availability_test

import (
	"net/http"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// A monitoring agent may replace http.DefaultTransport by a RoundTripper of another type. The
// library must still work.
func TestReplacedDefaultTransport(t *testing.T) {
	const child = "XENA_TEST_TRANSPORT"
	if os.Getenv(child) == "" {
		t.Parallel()
		self, err := os.Executable()
		require.NoError(t, err)
		cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestReplacedDefaultTransport$")
		cmd.Env = append(os.Environ(), child+"=1")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%.600s", out)
		return
	}
	http.DefaultTransport = harness.RoundTripper(func(r *http.Request) (*http.Response, error) {
		return new(http.Transport).RoundTrip(r)
	})
	for _, client := range []*http.Client{nil, {}} {
		issuer := xenaauthtest.StartIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256"})
		cfg := issuer.HybridConfig()
		cfg.HTTPClient = client
		v, err := xenaauth.NewValidator(cfg)
		require.NoError(t, err)
		require.Empty(t, harness.ReasonOf(t, v, issuer.JWT(xenaauthtest.Token{})))
		require.Empty(t, harness.ReasonOf(t, v, issuer.Opaque(xenaauthtest.Token{})))
		issuer.Close()
	}
}
