package factcache

import (
	"crypto/sha256"
	"encoding/binary"
	"sync"
)

// buffers hold the input of KeyOf, so that a token is not copied to the heap.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// maxBuffer is the largest buffer that is used again.
const maxBuffer = 64 << 10

// KeyOf returns the key of an entry that is about all of parts. It hashes the length of each part
// too, so different parts never give the same input.
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
