package refresh_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth/internal/refresh"
)

func TestKnownNames(t *testing.T) {
	k := refresh.NewKnown(1000)
	require.EqualValues(t, refresh.Stranger, k.Name("ann"))
	k.Note("ann")
	k.Note("bob")
	require.NotEqualValues(t, refresh.Stranger, k.Name("ann"))
	require.Equal(t, k.Name("ann"), k.Name("ann"))
	require.NotEqual(t, k.Name("ann"), k.Name("bob"))
	require.EqualValues(t, refresh.Stranger, k.Name("cy"))
	// NewKnown limits the memory of a Known, so this huge number of names is no problem
	refresh.NewKnown(1 << 30).Note("ann")
}
