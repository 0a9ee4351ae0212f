package claims

import (
	"strings"
	"unsafe"
)

// Size returns about how many bytes of memory the Set takes. Most strings of the Set share the
// memory of Raw; strings with escapes have memory of their own.
func (set *Set) Size() int {
	n := int(unsafe.Sizeof(*set)) + len(set.Raw)
	if strings.IndexByte(set.Raw, '\\') >= 0 {
		n += len(set.Raw)
	}
	const header = int(unsafe.Sizeof(""))
	for _, list := range [][]string{set.Audience, set.Scopes} {
		if cap(list) > len(set.listMemory) {
			n += header * cap(list)
		}
	}
	return n
}
