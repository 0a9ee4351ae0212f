package main

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// stage is a function that processes a request. It writes the response, and adds data about the
// request to the record rec.
type stage func(w *response, r *http.Request, rec *record)

// activity is the state that all listeners share while the gateway runs.
type activity struct {
	// requests is the number of requests that have not ended, including upgraded connections
	requests atomic.Int64
	draining atomic.Bool
}

// listenerHandler is the first stage in the processing of each HTTP request. It makes the record
// for the access log and the metrics. It also limits how long the client may take to send each
// piece of the request's body.
type listenerHandler struct {
	name        string
	next        stage
	readTimeout time.Duration
	activity    *activity
	recorder    *recorder
	log         *slog.Logger
}

// ServeHTTP implements [http.Handler].
func (l *listenerHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.activity.requests.Add(1)
	defer l.activity.requests.Add(-1)
	// with this struct, one allocation is enough for all values that a request needs
	var state struct {
		record   record
		response response
		context  recordContext
	}
	rec, res := &state.record, &state.response
	*rec = record{
		listener: l.name, start: time.Now(), peer: r.RemoteAddr,
		method: r.Method, host: r.Host, path: r.URL.Path,
	}
	*res = response{
		ResponseWriter: w, control: *http.NewResponseController(w), rec: rec,
		http10: !r.ProtoAtLeast(1, 1), draining: &l.activity.draining,
	}
	state.context = recordContext{r.Context(), rec}
	// the request is copied, because net/http later reads the Body of the original
	r = r.WithContext(&state.context)
	if r.Body != nil && r.Body != http.NoBody {
		b := &requestBody{ReadCloser: r.Body, control: &res.control, timeout: l.readTimeout}
		b.extend()
		defer b.leave()
		r.Body, res.body = b, b
	}
	defer func() {
		p := recover()
		if p != nil {
			l.panicked(res, rec, p)
		} else if rec.status == 0 {
			// net/http sends this status if the handler sends no status
			res.WriteHeader(http.StatusOK)
		}
		l.recorder.done(rec)
		if p != nil {
			// this panic makes net/http close the connection without a log record
			panic(http.ErrAbortHandler)
		}
	}()
	l.next(res, r, rec)
}

// The method panicked records why a handler ended early. The value of a panic is not logged,
// because the value can contain secrets.
func (l *listenerHandler) panicked(w *response, rec *record, p any) {
	if p == http.ErrAbortHandler {
		rec.reason = reasonAborted
		return
	}
	rec.reason = reasonPanic
	l.log.Error("panic", slog.String("type", fmt.Sprintf("%T", p)), slog.String("stack", string(debug.Stack())))
	if rec.status == 0 {
		w.problem(http.StatusInternalServerError, reasonPanic, "The gateway made a mistake.")
	}
}
