package main

import (
	"bufio"
	"encoding/json"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
)

// The type response is the response writer for a client's request. It stores the status and the
// size of the response in the record of the request. While the gateway drains, it makes net/http
// close the connection after each response.
type response struct {
	http.ResponseWriter
	control http.ResponseController
	rec     *record
	// body is the body of the request; nil if the request has none
	body   *requestBody
	http10 bool
	// length is the Content-Length of the response, or -1 if the response has no valid one;
	// WriteHeader sets it
	length   int64
	draining *atomic.Bool
}

// WriteHeader sends the status and the header of the response. It implements [http.ResponseWriter].
// If the gateway has not yet read the whole body of the request, the connection is closed after the
// response: the rest of the body may never come, and must not be read as another request.
func (w *response) WriteHeader(status int) {
	switch {
	case status == http.StatusContinue:
		// If an upstream sends the response 100, it is for the gateway and not for the client.
		// net/http itself sends 100 to the client when the gateway begins to read the client's
		// body.
		return
	case status < 200 && w.http10:
		// this is a 1xx response, which a client with HTTP/1.0 does not understand (RFC 9110,
		// section 15.2)
		return
	}
	if status >= 200 && (w.draining.Load() || w.body != nil && !w.body.hasEnded()) {
		w.Header().Set("Connection", "close")
	}
	if status >= 200 && w.rec.status == 0 {
		w.rec.status = status
		w.length = contentLength(w.Header())
	}
	w.ResponseWriter.WriteHeader(status)
}

// contentLength returns the value of the header field Content-Length. It returns -1 if the field is
// missing or has no valid value.
func contentLength(h http.Header) int64 {
	if v := h["Content-Length"]; len(v) == 1 {
		if n, err := strconv.ParseInt(v[0], 10, 64); err == nil {
			return n
		}
	}
	return -1
}

// Write writes a piece of the response's body. It implements [http.ResponseWriter]. If the header
// contains the length of the body, Write sends each piece except the last to the client
// immediately. net/http sends the last piece when the handler returns. So the header and the body
// of a short response need only one write to the connection.
func (w *response) Write(p []byte) (int, error) {
	if w.rec.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	n, err := w.ResponseWriter.Write(p)
	w.rec.bytes += int64(n)
	if err == nil && w.rec.bytes < w.length {
		err = w.control.Flush()
	}
	return n, err
}

// FlushError sends the part of the response that was written until now. It implements the interface
// that [http.ResponseController] uses to flush.
func (w *response) FlushError() error {
	if w.rec.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	return w.control.Flush()
}

// Hijack gives the connection to the caller, for example for a WebSocket. It implements the
// interface that [http.ResponseController] uses for upgrades. An upgraded connection to a client
// has no timeouts.
func (w *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := w.control.Hijack()
	if err == nil {
		w.rec.status = http.StatusSwitchingProtocols
	}
	return conn, buffered, err
}

// response.refuse responds with a refusal: problem details (RFC 9457) in the form that xenaauth
// uses. It stores the reason in the record of the request.
func (w *response) refuse(status int, reason, detail string) {
	w.rec.reason = reason
	w.problem(status, reason, detail)
}

func (w *response) problem(status int, reason, detail string) {
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Del("Content-Length")
	w.WriteHeader(status)
	// An error here means that the client has closed the connection.
	_ = json.NewEncoder(w).Encode(map[string]any{
		"title": http.StatusText(status), "status": status, "detail": detail, "reason": reason,
	})
}
