package claims

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// Names that look alike must not get the same hash more often than other names. Otherwise the time
// to read a JSON text could grow faster than the length of the text.
func TestTableIsLinear(t *testing.T) {
	for format, n := range map[string]int{"%d": 512, "%09d": 512, "Client_%02x": 512, "%08daaaaaaaaaaaaaaaa": 512, "%c": 4096, "%d ": 4096} {
		table := &nameTable{slots: make([]uint16, firstSlots)}
		for i := range n {
			require.True(t, table.add(1, fmt.Sprintf(format, i+'a')))
		}
		for i := range n {
			require.False(t, table.add(1, fmt.Sprintf(format, i+'a')))
		}
		require.GreaterOrEqual(t, table.comparisonCount, n, "%q: each name was looked at again", format)
		require.LessOrEqual(t, table.comparisonCount, 8*n, "%q", format)
		require.LessOrEqual(t, len(table.slots), 4*n)
	}
	// A JSON text may contain many objects with the same member name. The hash of this name must be
	// different for each object. Otherwise all these names would be in one part of the table, and
	// look-ups would take long.
	same := &nameTable{slots: make([]uint16, firstSlots)}
	for i := range 512 {
		require.True(t, same.add(uint32(i), "a"))
	}
	require.LessOrEqual(t, same.comparisonCount, 8*512)
}

// A table contains the member names of the JSON text that was read last. When the table goes back
// into the pool, it must not contain these names any more.
func TestTableIsEmptyInThePool(t *testing.T) {
	used := &nameTable{slots: make([]uint16, firstSlots)}
	for i := range 512 {
		used.add(1, fmt.Sprint(i))
	}
	used.free()
	require.Empty(t, used.entries)
	for _, e := range used.entries[:512] {
		require.Zero(t, e)
	}
	require.True(t, used.add(1, "1"))
}
