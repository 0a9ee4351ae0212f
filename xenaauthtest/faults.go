package xenaauthtest

import (
	"net/http"
	"slices"
	"time"
)

// Endpoint names an endpoint of an [Issuer].
type Endpoint string

// The endpoints that have their own faults and counters.
const (
	// Metadata is the metadata document. Requests to both of its well-known URLs count, also to the
	// URL that answers 404.
	Metadata Endpoint = "metadata"
	// JWKS is the key set.
	JWKS Endpoint = "JWKS"
	// Introspection is the introspection endpoint.
	Introspection Endpoint = "introspection"
	// All means every endpoint above.
	All Endpoint = "all"
)

// Fault says how an endpoint fails. The zero value changes nothing in a response.
type Fault struct {
	// Status replaces the response by a response with this status and Body. If Status is 0 and Body is
	// set, the status is 200. If both are zero, the response stays as it is.
	Status int

	// Body is the body of the response that Status or Body sets.
	Body string

	// ContentType is the media type of that response. "" means "application/json; charset=UTF-8", as
	// IdentityServer writes it.
	ContentType string

	// Header has further header fields. They replace the fields of the response.
	Header http.Header

	// Delay is how long the response is delayed. The content of the response is that of the time of
	// the request. If Delay is 0 or negative, there is no delay.
	Delay time.Duration

	// Break closes the connection after the header and half of the body.
	Break bool
}

// apply changes the response of an issuer without a fault.
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

// Fail makes an endpoint answer every request with the fault f, until [Issuer.Heal]. It replaces an
// earlier fault of the endpoint.
func (i *Issuer) Fail(e Endpoint, f Fault) {
	f.Header = f.Header.Clone()
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, e := range e.each() {
		i.faults[e] = f
	}
}

// Down makes every endpoint unreachable, until [Issuer.Heal]. An issuer in memory refuses
// connections with an error that wraps [syscall.ECONNREFUSED]. A listener closes every connection
// when a request arrives.
func (i *Issuer) Down() {
	i.mu.Lock()
	i.down = true
	i.mu.Unlock()
	if i.server != nil {
		// If the server closes a connection that was idle, clients send the request again.
		i.server.SetKeepAlivesEnabled(false)
	}
}

// Slow delays every response by d, until [Issuer.Heal]. The delay of a fault is added to it.
func (i *Issuer) Slow(d time.Duration) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.slow = d
}

// Heal ends the effects of Fail, Down and Slow. Responses that are already delayed stay delayed.
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

// Calls returns how often an endpoint was called, including refused connections. For All it returns
// the sum.
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

// admit counts a request and returns the fault of its response.
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
