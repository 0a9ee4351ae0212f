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

// The issuer's endpoints are on a host inside the network of the service.
const (
	internalHost = "auth-7.backend.corp"
	internalIP   = "10.20.30.40"
	internalURL  = "https://" + internalHost + ":8443"
)

// failure says how the network fails.
type failure int32

const (
	_ failure = iota // with this value, the network does not fail
	// refused is an error whose text has the URL, the address and the whole request.
	refused
	// echoed is a response with status 500 that repeats the request and names the host.
	echoed
	// notJSON is a response with status 200 that repeats the request and is no JSON.
	notJSON
	// moved is a redirect to another internal URL, with the request in its query.
	moved
	// unauthorized is the response to wrong credentials. It repeats them.
	unauthorized
)

// network is the transport of the service. It knows the internal host, and fails as it is told.
type network struct {
	issuer *xenaauthtest.Issuer
	fails  atomic.Int32 // fails is a value of the type failure
}

// The method rename moves the issuer's endpoints to the internal host.
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
