package xenaauthtest

import (
	"net/http"
	"slices"
	"time"
)

// Endpoint names an endpoint of a test [Issuer], for example its key set.
type Endpoint string

// These are the endpoints of the test issuer. [Issuer.Fail] and [Issuer.Calls] work for each of
// them separately.
const (
	// Metadata is the metadata document at its two well-known URLs. Requests to both URLs are
	// counted, also requests to a URL whose response is 404.
	Metadata Endpoint = "metadata"
	// JWKS is the endpoint that serves the key set.
	JWKS Endpoint = "JWKS"
	// Introspection is the introspection endpoint.
	Introspection Endpoint = "introspection"
	// All means all endpoints above together.
	All Endpoint = "all"
)

// Fault says how an endpoint of the test issuer fails. The zero value means that it does not fail.
type Fault struct {
	// Status is the status of a response that replaces the real response. The body of this response
	// is Body. If Status is 0 and Body is not "", the status is 200. If Status is 0 and Body is "",
	// the endpoint sends its real response.
	Status int

	// Body is the body of the response that replaces the real response.
	Body string

	// ContentType is the media type of Body. "" means "application/json; charset=UTF-8", as in the
	// responses of IdentityServer.
	ContentType string

	// Header contains further header fields for the response. If the response already has a field
	// of the same name, the field in Header replaces it.
	Header http.Header

	// Delay delays the response. The content of the response is made when the request arrives,
	// before the delay. If Delay is 0 or negative, there is no delay.
	Delay time.Duration

	// Break makes the issuer close the connection after the header and half of the body of the
	// response.
	Break bool
}

// Fault.apply changes r, the real response of the issuer, in the way that the fault f describes.
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
	r.breakInBody = f.Break
}

// Fail makes an endpoint answer every request with the fault f, until [Issuer.Heal]. f replaces a
// fault that the endpoint already has.
func (i *Issuer) Fail(e Endpoint, f Fault) {
	f.Header = f.Header.Clone()
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, e := range e.each() {
		i.faults[e] = f
	}
}

// Down makes every endpoint unreachable, until [Issuer.Heal]. [Issuer.Client] then gets an error
// that wraps [syscall.ECONNREFUSED]. A listener closes every connection when a request arrives.
func (i *Issuer) Down() {
	i.mu.Lock()
	i.down = true
	i.mu.Unlock()
	if i.server != nil {
		// When the issuer is down, the server closes connections. If it closed an idle connection,
		// the client would only send the request again. So connections are not kept, and each
		// closed connection is an error for the client.
		i.server.SetKeepAlivesEnabled(false)
	}
}

// Slow delays every response by d, until [Issuer.Heal]. If an endpoint also has a fault with a
// Delay, its responses are delayed by the sum of d and Delay.
func (i *Issuer) Slow(d time.Duration) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.slow = d
}

// Heal ends the effects of Fail, Down and Slow. A response whose delay has already begun is still
// sent late.
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

// Calls returns how many requests an endpoint got, including requests that were refused because the
// issuer was down. Calls(All) returns the sum over all endpoints.
func (i *Issuer) Calls(e Endpoint) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	sum := 0
	for _, e := range e.each() {
		sum += i.calls[e]
	}
	return sum
}

// ResetCalls sets all counters of requests to zero. [Issuer.Calls] then returns 0 for every
// endpoint.
func (i *Issuer) ResetCalls() {
	i.mu.Lock()
	defer i.mu.Unlock()
	clear(i.calls)
}

// Issuer.admit counts a request to an endpoint. It returns the fault that the response must have,
// and an error while the issuer is down and after Close.
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
