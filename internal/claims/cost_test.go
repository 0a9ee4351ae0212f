//go:build !race

package claims_test

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth/internal/claims"
)

// This test parses introspection responses of the largest allowed length. Parsing must take few
// allocations, and memory in proportion to the length. In the response "objects", the parser reads
// more than a thousand member names before it refuses the response. It allocates a table of these
// names, and does not reuse a table of that size for later responses.
func TestParsingAResponseIsCheap(t *testing.T) {
	const length = 256 << 10
	fill := func(begin, part, end string) string {
		return begin + strings.Repeat(part, (length-len(begin)-len(end))/len(part)) + end
	}
	members := func(format string) string {
		return objectOf(length/40, func(i int) string { return fmt.Sprintf(format, i) })
	}
	for name, text := range map[string]string{
		"names":             members("name%08d"),
		"capitals":          members("CLIENT_ID%08d"),
		"beyond ASCII":      members("ſu%08d"),
		"one string":        fill(`{"a":"`, "a", `"}`),
		"escapes":           fill(`{"iss":"`, `\u0041`, `"}`),
		"scopes":            fill(`{"scope":"`, " a", `"}`),
		"audiences":         fill(`{"aud":["a"`, `,"b"`, `]}`),
		"escaped audiences": fill(`{"aud":["a"`, `,"\n"`, `]}`),
		"objects":           fill(`{"a":[0`, `,{"":0,"a":0,"b":0,"c":0,"d":0,"e":0,"f":0,"g":0,"h":0,"i":0,"j":0,"k":0,"l":0}`, `]}`),
		"empty objects":     fill(`{"a":[0`, `,{}`, `]}`),
		"arrays":            fill(`{"a":[0`, ","+strings.Repeat("[", 29)+"0"+strings.Repeat("]", 29), `]}`),
		"a long time":       fill(`{"exp":1.`, "1", "e1}"),
		"broken":            fill(`{"a":`, "[", ""),
	} {
		t.Run(name, func(t *testing.T) {
			bytes, objects := leastAllocated(9, func() { _, _ = claims.Parse(text, claims.Answer) })
			require.LessOrEqual(t, objects, uint64(60), "objects for %d bytes of text", len(text))
			require.LessOrEqual(t, bytes, uint64(16<<10+20*len(text)), "bytes for %d bytes of text", len(text))
		})
	}
}

// leastAllocated calls the function f n times and returns the least memory and the fewest
// allocations of one call. The garbage collector is off, because it would throw away the memory
// that f keeps for its next call.
func leastAllocated(n int, f func()) (bytes, objects uint64) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	bytes, objects = 1<<62, 1<<62
	for range n {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		bytes, objects = min(bytes, after.TotalAlloc-before.TotalAlloc), min(objects, after.Mallocs-before.Mallocs)
	}
	return bytes, objects
}
