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

// The issuer's endpoints are on a host inside the network of the API. These constants are the name,
// the IP address and the URL of that host.
const (
	internalHost = "auth-7.backend.corp"
	internalIP   = "10.20.30.40"
	internalURL  = "https://" + internalHost + ":8443"
)

// A value of the type failure says how the network between the API and the issuer fails.
type failure int32

const (
	_ failure = iota // with this value, the network does not fail
	// The constant refused stands for a network in which each request fails with an error. The text
	// of the error contains the URL, the IP address and the whole request.
	refused
	// The constant echoed stands for a network in which each response has status 500 and repeats
	// the request, with the name of the internal host.
	echoed
	// The constant notJSON stands for a network in which each response has status 200 and repeats
	// the request, but is not JSON.
	notJSON
	// The constant moved stands for a network in which each response is a redirect to another
	// internal URL. The query of this URL contains the request.
	moved
	// The constant unauthorized stands for a network in which each response says that the API's
	// credentials are wrong, and repeats them.
	unauthorized
)

// The type network is the HTTP transport between the API and the issuer. It sends requests for the
// internal host to the issuer, unless the field fails says that the network fails.
type network struct {
	issuer *xenaauthtest.Issuer
	fails  atomic.Int32 // the field fails contains a value of the type failure
}

// network.rename changes the configuration cfg so that the issuer's endpoints have URLs on the
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
