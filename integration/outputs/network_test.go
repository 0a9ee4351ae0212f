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

// A failure says how the network between the API and the issuer fails.
type failure int32

const (
	_ failure = iota // with this value, the network does not fail
	// failError makes each request fail with an error. The text of the error contains the URL, the
	// IP address and the whole request.
	failError
	// failStatus500 makes each response have status 500 and repeat the request, with the name of
	// the internal host.
	failStatus500
	// failNotJSON makes each response have status 200 and repeat the request, but the response is
	// not JSON.
	failNotJSON
	// failRedirect makes each response a redirect to another internal URL. The query of this URL
	// contains the request.
	failRedirect
	// failStatus401 makes each response say that the API's credentials are wrong, and repeat them.
	failStatus401
)

// issuerTransport is the HTTP transport between the API and the issuer. It sends requests for the
// internal host to the issuer. If currentFailure is set, it fails instead.
type issuerTransport struct {
	issuer         *xenaauthtest.Issuer
	currentFailure atomic.Int32 // a value of the type failure
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
	switch failure(n.currentFailure.Load()) {
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
