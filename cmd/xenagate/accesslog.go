package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// accessLog writes a line of JSON for each request that the gateway handles, except on the admin
// listener. It does not use log/slog, because log/slog needs several times as long to format a
// line.
type accessLog struct {
	to      io.Writer
	buffers sync.Pool // contains buffers for lines, of the type *[]byte
}

// accessLog.writeLine writes the line about one request into the access log. The line contains the
// path of the request. The line contains no header field except Host, and no query, because these
// can contain secrets. Text from the client is escaped, and shortened if it is long.
func (l *accessLog) writeLine(rec *record, took time.Duration) {
	buffer, ok := l.buffers.Get().(*[]byte)
	if !ok {
		buffer = new(make([]byte, 0, 1024))
	}
	b := append((*buffer)[:0], `{"time":"`...)
	b = time.Now().AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","level":"INFO","msg":"request"`...)
	b = appendMember(b, "door", rec.listener, 16)
	b = appendMember(b, "method", rec.method, 16)
	b = appendMember(b, "host", rec.host, 253)
	b = appendMember(b, "path", rec.path, 512)
	b = appendMember(b, "route", rec.route, 512)
	b = strconv.AppendInt(append(b, `,"status":`...), int64(rec.status), 10)
	b = appendMember(b, "outcome", rec.outcome(), 16)
	b = appendMember(b, "reason", rec.reason, 32)
	b = appendMember(b, "cause", rec.cause, 32)
	if rec.user != nil {
		b = appendMember(b, "sub", rec.user.Subject(), 128)
		b = appendMember(b, "client_id", rec.user.ClientID(), 128)
	}
	b = appendMember(b, "upstream", rec.upstream, 32)
	b = appendMember(b, "peer", rec.peer, 64)
	b = strconv.AppendInt(append(b, `,"bytes":`...), rec.bytes, 10)
	b = strconv.AppendFloat(append(b, `,"ms":`...), float64(took.Microseconds())/1000, 'f', -1, 64)
	b = append(b, "}\n"...)
	// an error of Write needs no action here: the logBuffer counts lost lines of the access log
	_, _ = l.to.Write(b)
	*buffer = b
	l.buffers.Put(buffer)
}

// appendMember appends a member (a name and a value) to a JSON object in the access log. If value
// has more than maxBytes bytes, appendMember cuts it. If value is empty, appendMember appends
// nothing.
func appendMember(b []byte, name, value string, maxBytes int) []byte {
	if value == "" {
		return b
	}
	b = append(append(append(b, `,"`...), name...), `":`...)
	value = cutText(value, maxBytes)
	if strings.ContainsFunc(value, needsEscape) {
		return append(b, jsonString(value)...)
	}
	return append(append(append(b, '"'), value...), '"')
}

func needsEscape(r rune) bool { return r < 0x20 || r > 0x7e || r == '"' || r == '\\' }

// jsonString returns text as a JSON string for the access log. It also escapes characters that can
// control a terminal.
func jsonString(text string) []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(text) // the error is always nil, because every string can be encoded as JSON
	line := bytes.TrimSuffix(b.Bytes(), []byte{'\n'})
	if !bytes.ContainsFunc(line, isControl) {
		return line
	}
	var escaped []byte
	for _, r := range string(line) {
		if !isControl(r) {
			escaped = utf8.AppendRune(escaped, r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			escaped = fmt.Appendf(escaped, `\u%04x`, unit)
		}
	}
	return escaped
}

// isControl reports whether r is a control character or another invisible character, for example a
// character that changes the direction of text.
func isControl(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Cf) }

// cutText returns s. If s is longer than maxBytes bytes, cutText cuts it and adds "…".
func cutText(s string, maxBytes int) string {
	if len(s) <= maxBytes {
		return s
	}
	return strings.ToValidUTF8(s[:maxBytes], "") + "…"
}
