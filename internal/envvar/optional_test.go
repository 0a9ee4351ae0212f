package envvar_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/internal/envvar"
)

// If the environment asks for DPoP, a program without package dpop must not ignore this. The
// program of this test does not contain package dpop.
func TestSupport(t *testing.T) {
	read := func(value string) error {
		t.Setenv("XENA_DPOP", value)
		_, err := xenaauth.ConfigFromEnv()
		return err
	}
	for _, value := range []string{"required", "accepted", "Off", "hunter2"} {
		require.EqualError(t, read(value),
			"xenaauth: XENA_DPOP is set, but has no effect: the program does not call dpop.FromEnv")
	}
	require.NoError(t, read("off"))
	require.NoError(t, read(""))
	envvar.Support("XENA_DPOP")
	require.NoError(t, read("required"))
}
