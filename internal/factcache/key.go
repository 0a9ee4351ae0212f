package factcache

import (
	"crypto/sha256"
	"encoding/binary"
	"sync"
)

// buffers contains memory that KeyOf uses again and again, so that KeyOf needs no new memory for
// its input.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// maxBuffer is the largest size of a buffer that KeyOf keeps for its next call.
const maxBuffer = 64 << 10

// KeyOf returns the key of a cache entry that depends on several parts: a hash of all parts. KeyOf
// also hashes the length of each part, so that "ab", "c" and "a", "bc" have different keys.
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
