package xenaauth

import (
	"errors"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Challenge sets the header fields of a refusal and returns its status. The fields are
// WWW-Authenticate (RFC 6750, section 3) or Retry-After, Cache-Control: no-store, and Vary. An err
// that is not an [*Error] is an outage: 503.
func (m *Middleware) Challenge(h http.Header, err error) (status int) {
	e := asError(err)
	m.challenge(h, e, m.rendering(e), make([]string, 3))
	return e.StatusCode()
}

// challenge is Challenge with the words at hand. values is where the three fields' values go.
func (m *Middleware) challenge(h http.Header, e *Error, words *rendering, values []string) {
	values[0], values[1] = "no-store", "Authorization"
	h["Cache-Control"] = values[0:1:1]
	if vary := h["Vary"]; len(vary) == 0 {
		h["Vary"] = values[1:2:2]
	} else if !slices.Contains(vary, values[1]) {
		h["Vary"] = append(vary, values[1])
	}
	if words.challenge == "" {
		values[2] = strconv.Itoa(retrySeconds(e.RetryAfter))
		h["Retry-After"] = values[2:3:3]
		return
	}
	values[2] = words.challenge
	if have := h["Www-Authenticate"]; len(have) == 0 {
		h["Www-Authenticate"] = values[2:3:3]
	} else {
		h["Www-Authenticate"] = append(have, words.challenge)
	}
}

// retrySeconds is d as Retry-After has it (RFC 9110, section 10.2.3): whole seconds, at least one.
func retrySeconds(d time.Duration) int { return int(max(1, math.Ceil(d.Seconds()))) }

// errUndecided refuses a request whose check panicked.
var errUndecided = refuse(ReasonUnavailable, errors.New("the check of the request panicked"))

// answerUndecided answers 503 if the check of a request panicked before it was decided. Guards defer it: middleware that
// recovers from the panic and writes nothing would leave 200, which says that the request was allowed. It has no body, so
// that such middleware can write one.
func (m *Middleware) answerUndecided(w http.ResponseWriter, decided *bool) {
	if !*decided {
		w.WriteHeader(m.Challenge(w.Header(), errUndecided))
	}
}

// Deny writes the response to a request that [Middleware.Check] refused. It calls Challenge and
// writes problem details (RFC 9457), or the body that [Options] configure.
func (m *Middleware) Deny(w http.ResponseWriter, r *http.Request, err error) {
	e := asError(err)
	status := e.StatusCode()
	words := m.rendering(e)
	h := w.Header()
	for _, name := range [...]string{"Content-Length", "Etag", "Last-Modified"} {
		delete(h, name) // they describe another body; Content-Encoding stays, since its writer encodes this body too
	}
	values := make([]string, 5)
	m.challenge(h, e, words, values)
	switch {
	case r.Method == http.MethodHead || m.opts.EmptyBody:
		w.WriteHeader(status)
	case m.opts.ErrorBody != nil:
		l := newLockedWriter(w, status)
		defer l.WriteHeader(status) // a hook that writes nothing, or panics, must not turn a refusal into 200
		m.opts.ErrorBody(l, r, e)
	default:
		values[3], values[4] = "application/problem+json", "nosniff"
		h["Content-Type"], h["X-Content-Type-Options"] = values[3:4:4], values[4:5:5]
		w.WriteHeader(status)
		_, _ = w.Write(words.body) // a client that has gone away needs no answer
	}
}
