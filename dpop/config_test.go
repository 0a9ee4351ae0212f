package dpop_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/dpop"
	"github.com/xenaauth/xenaauth/replay"
)

func TestConfig(t *testing.T) {
	good := func() dpop.Config { return dpop.Config{PublicOrigins: []string{"https://api.example"}} }
	for name, tt := range map[string]struct {
		change func(*dpop.Config)
		want   string
	}{
		"no origin":             {func(c *dpop.Config) { c.PublicOrigins = nil }, "PublicOrigins is empty"},
		"an origin with a path": {func(c *dpop.Config) { c.PublicOrigins = []string{"https://a/b"} }, `PublicOrigins holds "https://a/b"`},
		"a host":                {func(c *dpop.Config) { c.PublicOrigins = []string{"api.example"} }, "PublicOrigins holds"},
		"a query":               {func(c *dpop.Config) { c.PublicOrigins = []string{"https://a?b"} }, "PublicOrigins holds"},
		"a user":                {func(c *dpop.Config) { c.PublicOrigins = []string{"https://u@a"} }, "PublicOrigins holds"},
		"another scheme":        {func(c *dpop.Config) { c.PublicOrigins = []string{"wss://a"} }, "PublicOrigins holds"},
		"a wildcard":            {func(c *dpop.Config) { c.PublicOrigins = []string{"https://*.example"} }, "PublicOrigins holds"},
		"a prefix of no path":   {func(c *dpop.Config) { c.PathPrefix = "api" }, `PathPrefix is "api"`},
		"a slash at the end":    {func(c *dpop.Config) { c.PathPrefix = "/api/" }, `PathPrefix is "/api/"`},
		"only a slash":          {func(c *dpop.Config) { c.PathPrefix = "/" }, `PathPrefix is "/"`},
		"dots in a prefix":      {func(c *dpop.Config) { c.PathPrefix = "/a/../b" }, "PathPrefix is"},
		"a query in a prefix":   {func(c *dpop.Config) { c.PathPrefix = "/a?b" }, "PathPrefix is"},
		"two answers on replay": {func(c *dpop.Config) { c.Replay, c.ReplayCheckedElsewhere = replay.NewLocal(replay.Options{}), true }, "Replay and ReplayCheckedElsewhere exclude"},
		"an unknown algorithm":  {func(c *dpop.Config) { c.Algorithms = []string{"ES256", "HS256"} }, `Algorithms holds "HS256"`},
		"alg none":              {func(c *dpop.Config) { c.Algorithms = []string{"none"} }, `Algorithms holds "none"`},
		"a curve for issuers":   {func(c *dpop.Config) { c.Algorithms = []string{"ES512"} }, `Algorithms holds "ES512"`},
		"no algorithms":         {func(c *dpop.Config) { c.Algorithms = []string{} }, "Algorithms is an empty list"},
		"a short window":        {func(c *dpop.Config) { c.Window = time.Millisecond }, "Window is not within"},
		"a long window":         {func(c *dpop.Config) { c.Window = time.Hour }, "Window is not within"},
		"a negative window":     {func(c *dpop.Config) { c.Window = -time.Minute }, "Window is not within"},
		"a long skew":           {func(c *dpop.Config) { c.ClockSkew = time.Hour }, "ClockSkew is not within"},
		"a short skew":          {func(c *dpop.Config) { c.ClockSkew = time.Millisecond }, "ClockSkew is not within"},
		"a short secret":        {func(c *dpop.Config) { c.NonceSecrets = [][]byte{secret("a"), []byte("s3cret")} }, "NonceSecrets has a secret of fewer than 32 bytes: number 2"},
		"no secrets":            {func(c *dpop.Config) { c.NonceSecrets = [][]byte{} }, "NonceSecrets has 0 secrets"},
		"many secrets":          {func(c *dpop.Config) { c.NonceSecrets = make([][]byte, 5) }, "NonceSecrets has 5 secrets"},
		"a lifetime of nothing": {func(c *dpop.Config) { c.NonceLifetime = time.Minute }, "NonceLifetime needs NonceSecrets"},
		"a short lifetime":      {func(c *dpop.Config) { c.NonceSecrets, c.NonceLifetime = [][]byte{secret("a")}, time.Second }, "NonceLifetime is not within"},
		"a long lifetime":       {func(c *dpop.Config) { c.NonceSecrets, c.NonceLifetime = [][]byte{secret("a")}, 2*time.Hour }, "NonceLifetime is not within"},
	} {
		c := good()
		tt.change(&c)
		p, err := dpop.New(c)
		require.Nil(t, p, name)
		require.ErrorContains(t, err, "dpop: Config."+tt.want, name)
		require.NotContains(t, err.Error(), "s3cret")
	}
	_, err := dpop.New(dpop.Config{Window: time.Hour, ClockSkew: time.Hour})
	require.Len(t, strings.Split(err.Error(), "\n"), 3, "all mistakes are reported: %v", err)
}

// If a Proof is printed with package fmt, the text contains no secret.
func TestPrintedProof(t *testing.T) {
	p := newProof(t, func(c *dpop.Config) { c.NonceSecrets = [][]byte{secret("q")} })
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		require.Equal(t, "DPoP proofs for [https://api.example]", fmt.Sprintf(format, p))
	}
}

// NewMiddleware panics if a challenge can't contain the parameters of a Proof. It must not panic
// for the parameters of the Proof of package dpop.
func TestProofOfAMiddleware(t *testing.T) {
	m := xenaauth.NewMiddleware(noTokens{}, &xenaauth.Options{Proofs: []xenaauth.Proof{newProof(t, nil)}, RequireProof: true})
	h := make(http.Header)
	_, err := m.Check(requestWith())
	require.Equal(t, 401, m.Challenge(h, requestWith(), err))
	require.Equal(t, []string{`DPoP realm="xena", algs="ES256 Ed25519 EdDSA ES384 PS256 PS384 PS512 RS256 RS384 RS512"`},
		h.Values("WWW-Authenticate"))
}

type noTokens struct{ xenaauth.TokenValidator }

func TestFromEnv(t *testing.T) {
	for name, tt := range map[string]struct {
		mode, origins string
		base          dpop.Config
		proofs        int
		required      bool
		want          string // want is a part of the error, or "" if FromEnv returns none
	}{
		"nothing is set":        {"", "", dpop.Config{}, 0, false, ""},
		"off":                   {"off", "https://api.example", dpop.Config{}, 0, false, ""},
		"accepted":              {"accepted", "https://api.example", dpop.Config{}, 1, false, ""},
		"required":              {"required", "https://api.example,http://localhost:8080", dpop.Config{}, 1, true, ""},
		"origins of the code":   {"accepted", "", dpop.Config{PublicOrigins: []string{"https://a"}}, 1, false, ""},
		"another word":          {"yes", "https://api.example", dpop.Config{}, 0, false, "XENA_DPOP is none of: accepted, off, required"},
		"no origins":            {"required", "", dpop.Config{}, 0, false, "XENA_PUBLIC_ORIGINS is missing"},
		"no origin":             {"accepted", "https://a,secret.example", dpop.Config{}, 0, false, "XENA_PUBLIC_ORIGINS has an element that is not an origin such as https://api.example: number 2"},
		"no origin, and off":    {"", "secret.example", dpop.Config{}, 0, false, "XENA_PUBLIC_ORIGINS has"},
		"a mistake in the code": {"accepted", "https://a", dpop.Config{Window: -1}, 0, false, "Config.Window"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("XENA_DPOP", tt.mode)
			t.Setenv("XENA_PUBLIC_ORIGINS", tt.origins)
			var opts xenaauth.Options
			err := dpop.FromEnv(&opts, tt.base)
			if tt.want == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, tt.want)
				require.NotContains(t, err.Error(), "secret")
			}
			require.Len(t, opts.Proofs, tt.proofs)
			require.Equal(t, tt.required, opts.RequireProof)
		})
	}
	// FromEnv adds its Proof to the Proofs that the Options of the middleware already contain.
	t.Setenv("XENA_DPOP", "accepted")
	t.Setenv("XENA_PUBLIC_ORIGINS", "https://api.example")
	opts := xenaauth.Options{Proofs: []xenaauth.Proof{nil}, RequireProof: true}
	require.NoError(t, dpop.FromEnv(&opts, dpop.Config{}))
	require.Len(t, opts.Proofs, 2)
	require.Equal(t, "jkt", opts.Proofs[1].Member())
	require.True(t, opts.RequireProof)
}
