package xenaauthtest

import (
	"net/http"
	"slices"
	"time"
)

// Endpoint names an endpoint of an [Issuer].
type Endpoint string

// The endpoints that faults and counters tell apart.
const (
	// Metadata is the discovery document. Requests count under both its
	// well-known addresses, also under the one that is answered 404.
	Metadata Endpoint = "metadata"
	// JWKS is the JWKS document.
	JWKS Endpoint = "JWKS"
	// Introspection is the introspection endpoint.
	Introspection Endpoint = "introspection"
	// All stands for each of the above.
	All Endpoint = "all"
)

// Fault says how an endpoint misbehaves. The zero value changes nothing about
// an answer.
type Fault struct {
	// Status replaces the answer by one with this status and Body. Zero is
	// 200 if there is a Body, and else leaves the answer as it is.
	Status int

	// Body is the content of the answer that Status or Body itself asks for.
	Body string

	// ContentType is the media type of that answer. Empty is IdentityServer's
	// "application/json; charset=UTF-8".
	ContentType string

	// Header has further fields, which replace those the answer has.
	Header http.Header

	// Delay is how long the answer is kept back. Zero, or negative, is not at
	// all. The answer is that of the time of the request.
	Delay time.Duration

	// Break closes the connection when the header and half the body are sent.
	Break bool
}

// apply changes the answer of an issuer in good health.
func (f Fault) apply(r *reply) {
	if f.Status != 0 || f.Body != "" {
		r.status = f.Status
		if r.status == 0 {
			r.status = http.StatusOK
		}
		r.body = []byte(f.Body)
		r.header = make(http.Header)
		if f.ContentType != "" {
			r.header.Set("Content-Type", f.ContentType)
		} else if f.Body != "" {
			r.header.Set("Content-Type", jsonType)
		}
	}
	for name, values := range f.Header {
		r.header[http.CanonicalHeaderKey(name)] = slices.Clone(values)
	}
	r.cut = f.Break
}

// Fail answers every request to an endpoint as f says until [Issuer.Heal]. It
// replaces an earlier fault of the endpoint.
func (i *Issuer) Fail(e Endpoint, f Fault) {
	f.Header = f.Header.Clone()
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, e := range e.each() {
		i.faults[e] = f
	}
}

// Down makes every endpoint unreachable until [Issuer.Heal]: in memory,
// connections are refused with an error that wraps [syscall.ECONNREFUSED]; a
// listener drops every connection once a request arrives.
func (i *Issuer) Down() {
	i.mu.Lock()
	i.down = true
	i.mu.Unlock()
	if i.server != nil {
		// On a kept connection, clients would take a dropped request for one
		// that came too late, and repeat it.
		i.server.SetKeepAlivesEnabled(false)
	}
}

// Slow makes every endpoint answer d later until [Issuer.Heal], in addition
// to the delay of a fault.
func (i *Issuer) Slow(d time.Duration) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.slow = d
}

// Heal ends what Fail, Down and Slow have begun. Answers that are already
// delayed stay so.
func (i *Issuer) Heal() {
	i.mu.Lock()
	i.down = false
	i.slow = 0
	clear(i.faults)
	i.mu.Unlock()
	if i.server != nil {
		i.server.SetKeepAlivesEnabled(true)
	}
}

// Calls returns how often an endpoint was called, refused connections
// included; for All, the sum.
func (i *Issuer) Calls(e Endpoint) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	sum := 0
	for _, e := range e.each() {
		sum += i.calls[e]
	}
	return sum
}

// ResetCalls sets every counter to zero.
func (i *Issuer) ResetCalls() {
	i.mu.Lock()
	defer i.mu.Unlock()
	clear(i.calls)
}

// admit counts a request and returns the fault it is to meet.
func (i *Issuer) admit(e Endpoint) (Fault, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.calls[e]++
	if i.down || i.closed {
		return Fault{}, errRefused
	}
	f := i.faults[e]
	f.Delay += i.slow
	return f, nil
}

func (e Endpoint) each() []Endpoint {
	if e == All {
		return []Endpoint{Metadata, JWKS, Introspection}
	}
	return []Endpoint{e}
}
