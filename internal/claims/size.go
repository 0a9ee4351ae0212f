package claims

import (
	"strings"
	"unsafe"
)

// Size returns about how many bytes the set takes. Its strings share the memory of Raw. Strings
// with escapes are copies.
func (set *Set) Size() int {
	n := int(unsafe.Sizeof(*set)) + len(set.Raw)
	if strings.IndexByte(set.Raw, '\\') >= 0 {
		n += len(set.Raw)
	}
	const header = int(unsafe.Sizeof(""))
	for _, list := range [][]string{set.Audience, set.Scopes} {
		if cap(list) > len(set.lists) {
			n += header * cap(list)
		}
	}
	return n
}
