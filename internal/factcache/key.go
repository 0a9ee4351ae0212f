package factcache

import (
	"crypto/sha256"
	"encoding/binary"
	"sync"
)

// buffers contains memory that KeyOf uses again and again, so that KeyOf allocates nothing for its
// input.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// maxBuffer is the largest buffer that is kept for the next use.
const maxBuffer = 64 << 10

// KeyOf returns a hash of all parts, for an entry that depends on all of them. KeyOf also hashes
// the length of each part, so that "ab", "c" and "a", "bc" have different keys.
func KeyOf(parts ...string) Key {
	buffer := buffers.Get().(*[]byte)
	b := (*buffer)[:0]
	for _, part := range parts {
		b = binary.BigEndian.AppendUint64(b, uint64(len(part)))
		b = append(b, part...)
	}
	sum := sha256.Sum256(b)
	if cap(b) <= maxBuffer {
		*buffer = b
		buffers.Put(buffer)
	}
	return sum
}
