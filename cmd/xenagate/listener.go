package main

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// A stage is a function that does one step in the processing of a request. It may write the
// response, and it adds data about the request to rec, the record for the access log.
type stage func(w *response, r *http.Request, rec *record)

// The type activity is the state of the running gateway that all its listeners share.
type activity struct {
	// requests is the number of requests that are running; an upgraded connection counts as a
	// request, and requests on the admin listener do not count
	requests atomic.Int64
	draining atomic.Bool
}

// listenerHandler is the first handler of each HTTP request, except on the admin listener. It makes
// the record of the request for the access log and the metrics, and calls the next stage. It also
// limits how long the client may take to send each piece of the request's body.
type listenerHandler struct {
	name        string
	nextStage   stage
	readTimeout time.Duration
	activity    *activity
	recorder    *recorder
	log         *slog.Logger
}

// ServeHTTP handles an HTTP request to one of the gateway's listeners. It implements
// [http.Handler].
func (l *listenerHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.activity.requests.Add(1)
	defer l.activity.requests.Add(-1)
	// state contains the record, the response and the context of the request, so that one
	// allocation is enough for all three
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
	// WithContext returns a copy of the request. The code below replaces the Body of the copy,
	// because net/http itself still uses the Body of the original request.
	r = r.WithContext(&state.context)
	if r.Body != nil && r.Body != http.NoBody {
		b := &requestBody{ReadCloser: r.Body, control: &res.control, timeout: l.readTimeout}
		b.extendDeadline()
		defer b.endReading()
		r.Body, res.body = b, b
	}
	defer func() {
		p := recover()
		if p != nil {
			l.handlePanic(res, rec, p)
		} else if rec.status == 0 {
			// if the handler has sent no status, net/http sends this status
			res.WriteHeader(http.StatusOK)
		}
		l.recorder.finish(rec)
		if p != nil {
			// net/http recovers this panic and closes the connection. It does not write a panic
			// with the value http.ErrAbortHandler into its log.
			panic(http.ErrAbortHandler)
		}
	}()
	l.nextStage(res, r, rec)
}

// listenerHandler.handlePanic handles a panic in the handler of a request. The access log has a
// field that says why a request failed. handlePanic sets this field in rec, the record of the
// request. It responds with 500 if no response was sent. It does not log the value of the panic,
// because this value can contain secrets. The value http.ErrAbortHandler only means that the
// response broke off.
func (l *listenerHandler) handlePanic(w *response, rec *record, p any) {
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
