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

// A networkFailure says how the network between the API and the issuer fails.
type networkFailure int32

const (
	_ networkFailure = iota // the value 0 of a networkFailure says that the network works
	// With failError, each request of the API fails with an error. The text of the error contains
	// the whole request, and the URL and the IP address of the issuer.
	failError
	// With failStatus500, each response has status 500. The response contains the whole request of
	// the API, with the name of the internal host.
	failStatus500
	// With failNotJSON, each response has status 200, but its body is not JSON. The body contains
	// the whole request of the API.
	failNotJSON
	// With failRedirect, each response is a redirect to another internal URL. The query of this URL
	// contains the body of the API's request.
	failRedirect
	// With failStatus401, each response says that the credentials of the API are wrong. The
	// response also contains these credentials.
	failStatus401
)

// issuerTransport is the HTTP transport between the API and the issuer. It sends requests for the
// internal host to the issuer. If currentFailure is not 0, the transport fails instead.
type issuerTransport struct {
	issuer *xenaauthtest.Issuer
	// currentFailure contains a networkFailure as a number; 0 means that the network works
	currentFailure atomic.Int32
}

// issuerTransport.useInternalURLs changes the configuration cfg so that the issuer's endpoints have
// URLs on the internal host.
func (n *issuerTransport) useInternalURLs(cfg *xenaauth.Config) {
	cfg.HTTPClient = &http.Client{Transport: n}
	cfg.JWKSURL = internalURL + "/.well-known/openid-configuration/jwks"
	cfg.Introspection.Endpoint = internalURL + "/connect/introspect"
}

func (n *issuerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
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
	switch networkFailure(n.currentFailure.Load()) {
	case failError:
		return nil, errors.New("dial: " + all)
	case failStatus500:
		return respond(http.StatusInternalServerError, "Retry-After", all)
	case failNotJSON:
		return respond(http.StatusOK, "X-Debug", all)
	case failRedirect:
		return respond(http.StatusFound, "Location", internalURL+"/elsewhere?"+string(body))
	case failStatus401:
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
