package outputs

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// The issuer's endpoints are on a host inside the network of the service. These constants are the
// addresses of that host.
const (
	internalHost = "auth-7.backend.corp"
	internalIP   = "10.20.30.40"
	internalURL  = "https://" + internalHost + ":8443"
)

// failure says how the network fails.
type failure int32

const (
	_ failure = iota // with this value, the network does not fail
	// refused: each request fails with an error. The text of the error contains the URL, the
	// address and the whole request.
	refused
	// echoed: each response has status 500, repeats the request and names the host.
	echoed
	// notJSON: each response has status 200, repeats the request and is not JSON.
	notJSON
	// moved: each response is a redirect to another internal URL. The query of this URL contains
	// the request.
	moved
	// unauthorized: each response says that the credentials are wrong, and repeats them.
	unauthorized
)

// network is the HTTP transport of the service. It sends requests for the internal host to the
// issuer, and fails in the way that the field fails names.
type network struct {
	issuer *xenaauthtest.Issuer
	fails  atomic.Int32 // fails is a value of the type failure
}

// The method rename changes the configuration so that the issuer's endpoints have addresses on the
// internal host.
func (n *network) rename(cfg *xenaauth.Config) {
	cfg.HTTPClient = &http.Client{Transport: n}
	cfg.JWKSURL = internalURL + "/.well-known/openid-configuration/jwks"
	cfg.Introspection.Endpoint = internalURL + "/connect/introspect"
}

func (n *network) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
	}
	form, _ := url.QueryUnescape(string(body))
	all := fmt.Sprintf("%s %s at %s: %s %s", r.Method, r.URL, internalIP, r.Header, form)
	respond := func(status int, field, value string) (*http.Response, error) {
		return &http.Response{
			StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
			Header: http.Header{field: {value}, "Content-Type": {"application/json"}},
			Body:   io.NopCloser(strings.NewReader(all)), ContentLength: int64(len(all)),
		}, nil
	}
	switch failure(n.fails.Load()) {
	case refused:
		return nil, errors.New("dial: " + all)
	case echoed:
		return respond(http.StatusInternalServerError, "Retry-After", all)
	case notJSON:
		return respond(http.StatusOK, "X-Debug", all)
	case moved:
		return respond(http.StatusFound, "Location", internalURL+"/elsewhere?"+string(body))
	case unauthorized:
		return respond(http.StatusUnauthorized, "WWW-Authenticate", all)
	}
	name, err := url.Parse(n.issuer.URL())
	if err != nil {
		return nil, err
	}
	inside := r.Clone(r.Context())
	inside.URL.Scheme, inside.URL.Host, inside.Host = name.Scheme, name.Host, name.Host
	inside.Body = io.NopCloser(strings.NewReader(string(body)))
	return n.issuer.Client().Transport.RoundTrip(inside)
}
