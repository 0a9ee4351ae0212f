package refresh_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth/internal/refresh"
)

func TestKnownNames(t *testing.T) {
	k := refresh.NewKnownCallers(1000)
	require.EqualValues(t, refresh.Stranger, k.FindNumber("ann"))
	k.StoreName("ann")
	k.StoreName("bob")
	require.NotEqualValues(t, refresh.Stranger, k.FindNumber("ann"))
	require.Equal(t, k.FindNumber("ann"), k.FindNumber("ann"))
	require.NotEqual(t, k.FindNumber("ann"), k.FindNumber("bob"))
	require.EqualValues(t, refresh.Stranger, k.FindNumber("cy"))
	// a table for a billion names would need too much memory, but NewKnownCallers limits the size
	// of its table
	refresh.NewKnownCallers(1 << 30).StoreName("ann")
}
