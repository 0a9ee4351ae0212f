package proxies

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"strings"
)

// These constants are the types of HTTP/2 frames that the tests use (RFC 9113, section 6).
const (
	frameData    = 0
	frameHeaders = 1
	frameReset   = 3
	frameGoAway  = 7
)

// connectionPreface is the beginning of an HTTP/2 connection, together with an empty SETTINGS
// frame.
const connectionPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + "\x00\x00\x00\x04\x00\x00\x00\x00\x00"

// headersFrame returns an HTTP/2 HEADERS frame. Each string in lines is a name, a space and a
// value. Pseudo-header fields come first. If endStream is true, the request has no body.
func headersFrame(stream uint32, endStream bool, lines ...string) string {
	var block bytes.Buffer
	for _, line := range lines {
		name, value, _ := strings.Cut(line, " ")
		// this byte begins a header field that is not compressed (RFC 7541, section 6.2.2)
		block.WriteByte(0)
		for _, text := range []string{name, value} {
			if len(text) > 126 {
				panic("a text that needs a longer prefix: " + text)
			}
			block.WriteByte(byte(len(text)))
			block.WriteString(text)
		}
	}
	flags := byte(4) // the flag 4 is END_HEADERS
	if endStream {
		flags |= 1
	}
	frame := binary.BigEndian.AppendUint32(nil, uint32(block.Len())<<8|frameHeaders)
	frame = binary.BigEndian.AppendUint32(append(frame, flags), stream)
	return string(frame) + block.String()
}

// readResponse reads HTTP/2 frames from a connection until a response on the given stream begins,
// or until the server closes the stream or the connection. It reports whether a response began, and
// returns the payload of its first frame.
func readResponse(c net.Conn, stream uint32) (bool, []byte) {
	for {
		head := make([]byte, 9)
		if _, err := io.ReadFull(c, head); err != nil {
			return false, nil
		}
		rest := make([]byte, binary.BigEndian.Uint32(head)>>8)
		if _, err := io.ReadFull(c, rest); err != nil {
			return false, nil
		}
		kind, of := head[3], binary.BigEndian.Uint32(head[5:])
		switch {
		case kind == frameGoAway, kind == frameReset && of == stream:
			return false, nil
		case of == stream && (kind == frameHeaders || kind == frameData):
			return true, rest
		}
	}
}
