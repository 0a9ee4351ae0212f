package main

import (
	"bufio"
	"encoding/json"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
)

// response writes a response, and stores the status and the size of the response in the record.
// While the gateway drains, it makes net/http close the connection after each response.
type response struct {
	http.ResponseWriter
	control  http.ResponseController
	rec      *record
	body     *requestBody // body is nil if the request has no body
	http10   bool
	length   int64 // length is the Content-Length of the response, or -1 if the field is missing
	draining *atomic.Bool
}

// WriteHeader implements [http.ResponseWriter]. If the client has not yet sent the whole body of
// the request, the connection is closed after the response: the rest of the body may never come,
// and must not be read as another request.
func (w *response) WriteHeader(status int) {
	switch {
	case status == http.StatusContinue:
		// If an upstream sends a response 100, this response is for the gateway and not for the
		// client. net/http itself sends 100 to the client when the gateway reads the client's body.
		return
	case status < 200 && w.http10:
		// a client that uses HTTP/1.0 does not understand a 1xx response (RFC 9110, section 15.2)
		return
	}
	if status >= 200 && (w.draining.Load() || w.body != nil && !w.body.ended()) {
		w.Header().Set("Connection", "close")
	}
	if status >= 200 && w.rec.status == 0 {
		w.rec.status = status
		w.length = contentLength(w.Header())
	}
	w.ResponseWriter.WriteHeader(status)
}

// contentLength returns the value of Content-Length. It returns -1 if there is no valid value.
func contentLength(h http.Header) int64 {
	if v := h["Content-Length"]; len(v) == 1 {
		if n, err := strconv.ParseInt(v[0], 10, 64); err == nil {
			return n
		}
	}
	return -1
}

// Write implements [http.ResponseWriter]. It flushes each piece of a response except the last, so
// that the client gets the piece without delay. net/http sends the last piece when the handler
// returns. So the header and the body of a short response need only one write to the connection.
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

// FlushError implements the interface that [http.ResponseController] uses to flush.
func (w *response) FlushError() error {
	if w.rec.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	return w.control.Flush()
}

// Hijack implements the interface that [http.ResponseController] uses for upgrades. An upgraded
// connection has no timeouts.
func (w *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := w.control.Hijack()
	if err == nil {
		w.rec.status = http.StatusSwitchingProtocols
	}
	return conn, buffered, err
}

// The method refuse responds with problem details (RFC 9457), in the form of xenaauth, and records
// the reason.
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
	// A write fails only if the client has closed the connection.
	_ = json.NewEncoder(w).Encode(map[string]any{
		"title": http.StatusText(status), "status": status, "detail": detail, "reason": reason,
	})
}
