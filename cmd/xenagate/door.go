package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/xenaauth/xenaauth/gateway/routes"
)

// door is what every HTTP request passes first: it keeps a record, and sees to it that neither side waits for ever.
func (g *gateway) door(name string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.active.Add(1)
		defer g.active.Add(-1)
		rec := &record{
			door: name, start: time.Now(), peer: r.RemoteAddr,
			method: r.Method, host: r.Host, path: r.URL.Path,
		}
		control := http.NewResponseController(w)
		writer := &recorder{
			ResponseWriter: w, control: control, rec: rec, old: !r.ProtoAtLeast(1, 1),
			draining: &g.draining,
		}
		r = r.WithContext(withRecord(r.Context(), rec)) // a copy: net/http looks at the body of its own
		if r.Body != nil && r.Body != http.NoBody {
			b := &body{ReadCloser: r.Body, control: control, timeout: g.cfg.Timeouts.Read, rec: rec}
			b.extend()
			defer b.leave()
			r.Body, writer.body = b, b
		}
		defer func() {
			p := recover()
			if p != nil {
				g.panicked(writer, rec, p)
			} else if rec.status == 0 {
				writer.WriteHeader(http.StatusOK) // as net/http would
			}
			g.finish(rec)
			if p != nil {
				panic(http.ErrAbortHandler) // net/http ends the connection, and logs nothing
			}
		}()
		next.ServeHTTP(writer, r)
	})
}

// panicked notes why a handler ended early. What it panicked with may hold anything, so it isn't logged.
func (g *gateway) panicked(w *recorder, rec *record, p any) {
	if p == http.ErrAbortHandler {
		rec.reason = reasonAborted
		return
	}
	rec.reason = reasonPanic
	g.log.Error("panic", slog.String("type", fmt.Sprintf("%T", p)), slog.String("stack", string(debug.Stack())))
	if rec.status == 0 {
		problem(w, http.StatusInternalServerError, reasonPanic, "The gateway made a mistake.")
	}
}

// finish writes down what became of a request.
func (g *gateway) finish(rec *record) {
	took := time.Since(rec.start)
	g.metrics.requests.observe(rec, took.Seconds())
	g.access.line(rec, took)
}

// recorder notes the status and the size of an answer. While the gateway drains, it makes each answer the last one on its
// connection.
type recorder struct {
	http.ResponseWriter
	control  *http.ResponseController
	rec      *record
	body     *body // nil if there is none
	old      bool  // HTTP/1.0
	length   int64 // of the answer, -1 if it isn't known
	draining *atomic.Bool
}

// WriteHeader implements [http.ResponseWriter]. An answer doesn't wait for the rest of the request's body, of which
// nobody can tell then whether it will come: the connection must not be used for another request after it.
func (w *recorder) WriteHeader(status int) {
	switch {
	case status == http.StatusContinue:
		return // an upstream's, for us: net/http sends ours when the client's body is read
	case status < 200 && w.old:
		return // to HTTP/1.0 it would be the answer (RFC 9110, section 15.2)
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

// contentLength is what a header says of its message's length, or -1.
func contentLength(h http.Header) int64 {
	if v := h["Content-Length"]; len(v) == 1 {
		if n, err := strconv.ParseInt(v[0], 10, 64); err == nil {
			return n
		}
	}
	return -1
}

// Write implements [http.ResponseWriter]. A piece of an answer that isn't its end goes to the client at once. The end is
// sent when the handler returns, and so the whole of a short answer, header and body, by one write to the connection.
func (w *recorder) Write(p []byte) (int, error) {
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

// FlushError is for [http.ResponseController].
func (w *recorder) FlushError() error {
	if w.rec.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	return w.control.Flush()
}

// Hijack is for [http.ResponseController]: an upgraded connection has no timeouts any more.
func (w *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := w.control.Hijack()
	if err == nil {
		w.rec.status = http.StatusSwitchingProtocols
	}
	return conn, buffered, err
}

// problem answers with problem details (RFC 9457), as refusals by xenaauth are.
func problem(w http.ResponseWriter, status int, reason, detail string) {
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Del("Content-Length")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{ // a client that has gone away needs no answer
		"title": http.StatusText(status), "status": status, "detail": detail, "reason": reason,
	})
}

// find is the table of routes, as the doors ask it.
func (g *gateway) find(r *http.Request) (routes.Rule, error) {
	t := g.table.Load()
	rule, err := t.Find(r)
	if rec := recordOf(r.Context()); rec != nil {
		rec.table, rec.rule = t, rule
		rec.method, rec.host, rec.route = r.Method, r.Host, rule.Pattern
		if r.URL != nil {
			rec.path = r.URL.Path
		}
	}
	return rule, err
}
