package claims

import (
	"strings"
	"unsafe"
)

// Size is about how many bytes of memory the set takes. The strings in it share the memory of Raw, unless Raw has
// escapes: those that have some are copies.
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
