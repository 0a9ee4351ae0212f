package harness

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// AnsweringClient returns an HTTP client that uses no network. For each request, the client calls
// the function makeResponse. It makes the response from the status, the header and the body that
// the function returns.
func AnsweringClient(makeResponse func(r *http.Request) (status int, header http.Header, body string)) *http.Client {
	return &http.Client{Transport: RoundTripper(func(r *http.Request) (*http.Response, error) {
		status, header, body := makeResponse(r)
		return &http.Response{
			StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body)), Request: r,
			Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, ContentLength: int64(len(body)),
		}, nil
	})}
}

// UnknownKeyToken returns a token whose kid is not in the JWKS of the issuer. Tokens with different
// numbers i have different kids and different subjects.
func UnknownKeyToken(issuer *xenaauthtest.Issuer, i int) string {
	return issuer.JWT(xenaauthtest.Token{Subject: fmt.Sprint("stranger", i), Header: map[string]any{"kid": fmt.Sprint("junk", i), "x5t": nil}})
}

// SetIntrospectionResponse makes the introspection endpoint of the issuer respond with the given
// body.
func SetIntrospectionResponse(issuer *xenaauthtest.Issuer, body string) {
	issuer.Fail(xenaauthtest.Introspection, xenaauthtest.Fault{Body: body})
}

// RetryAfter returns a fault for an endpoint of the issuer. With this fault, the endpoint responds
// with the given status and with the given seconds in the Retry-After field.
func RetryAfter(status, seconds int) xenaauthtest.Fault {
	return xenaauthtest.Fault{Status: status, Header: http.Header{"Retry-After": {strconv.Itoa(seconds)}}}
}

// NewIssuer returns an issuer that needs no network. It signs with an ES256 key, because making
// this key takes little time.
func NewIssuer() *xenaauthtest.Issuer {
	return xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256"})
}

// RSAIssuer returns an issuer with an RSA key. Making the key is slow, so all tests of a package
// share this issuer and must not change it.
var RSAIssuer = sync.OnceValue(func() *xenaauthtest.Issuer { return xenaauthtest.NewIssuer(nil) })

// RoundTripper is a function that implements http.RoundTripper.
type RoundTripper func(*http.Request) (*http.Response, error)

// RoundTrip calls the function f and returns its results.
func (f RoundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Intercept returns an HTTP client that calls f for each request to the issuer. The issuer gets the
// request only if f calls next.RoundTrip.
func Intercept(issuer *xenaauthtest.Issuer, f func(r *http.Request, next http.RoundTripper) (*http.Response, error)) *http.Client {
	next := issuer.Client().Transport
	return &http.Client{Transport: RoundTripper(func(r *http.Request) (*http.Response, error) { return f(r, next) })}
}

// IsJWKSRequest reports whether r is a request for the JWKS.
func IsJWKSRequest(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/jwks") }
