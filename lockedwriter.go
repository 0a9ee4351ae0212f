package xenaauth

import "net/http"

// lockedWriter lets a hook choose the body of a refusal and nothing that a client's safety rests on. It has no Unwrap:
// through it the status could be reached.
type lockedWriter struct {
	w      http.ResponseWriter
	status int
	wrote  bool
	fixed  http.Header
}

// fixedFields are the header fields that say why and for how long a request was refused.
var fixedFields = []string{"Www-Authenticate", "Retry-After", "Cache-Control"}

func newLockedWriter(w http.ResponseWriter, status int) *lockedWriter {
	l := &lockedWriter{w: w, status: status, fixed: make(http.Header)}
	for _, name := range fixedFields {
		l.fixed[name] = append([]string(nil), w.Header()[name]...)
	}
	return l
}

func (l *lockedWriter) Header() http.Header { return l.w.Header() }

// WriteHeader sends the status of the refusal, whatever it is asked for.
func (l *lockedWriter) WriteHeader(int) {
	if l.wrote {
		return
	}
	l.wrote = true
	for name, values := range l.fixed {
		if len(values) == 0 {
			l.w.Header().Del(name)
			continue
		}
		l.w.Header()[name] = values
	}
	l.w.WriteHeader(l.status)
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.WriteHeader(l.status)
	return l.w.Write(p)
}

// Flush sends what was written so far, where the server can.
func (l *lockedWriter) Flush() {
	l.WriteHeader(l.status)
	if f, ok := l.w.(http.Flusher); ok {
		f.Flush()
	}
}
