package forwardauth

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/internal/target"
)

// origin is what a proxy says about the original request, or the names of the fields in which it
// says it.
type origin struct{ method, host, uri string }

const (
	maxURI    = 16 << 10 // of the original request, in bytes: proxies accept 8 to 16 KiB
	maxMethod = 64
)

// The names of the fields in which proxies describe the original request, as in http.Header. A proxy
// that uses one family of fields passes the other family on as the client sent it.
var (
	originalFields  = origin{"X-Original-Method", "X-Original-Host", "X-Original-Uri"}
	forwardedFields = origin{"X-Forwarded-Method", "X-Forwarded-Host", "X-Forwarded-Uri"}
)

// readOriginal reads a subrequest of nginx or HAProxy.
func readOriginal(r *http.Request) (origin, error) { return readFields(r.Header, originalFields) }

// readForwarded reads a subrequest of Traefik or Caddy.
func readForwarded(r *http.Request) (origin, error) { return readFields(r.Header, forwardedFields) }

// readEnvoy reads a subrequest of Envoy, which has the method, host and target of the original
// request.
func (h *handler) readEnvoy(r *http.Request) (origin, error) {
	uri, ok := strings.CutPrefix(r.RequestURI, h.PathPrefix)
	if !ok {
		return origin{}, errors.New("the target does not begin with Config.PathPrefix")
	}
	return origin{r.Method, r.Host, uri}, nil
}

func readFields(h http.Header, names origin) (o origin, err error) {
	for _, f := range []struct {
		value *string
		name  string
	}{{&o.method, names.method}, {&o.host, names.host}, {&o.uri, names.uri}} {
		lines := h[f.name]
		if len(lines) != 1 {
			return origin{}, fmt.Errorf("%s: %d fields instead of one", f.name, len(lines))
		}
		*f.value = lines[0]
	}
	return o, nil
}

// originalRequest returns the original request, as far as the proxy describes it. Its header is the
// header of the subrequest without the fields that name the user.
func (h *handler) originalRequest(r *http.Request) (*http.Request, error) {
	o, err := h.read(r)
	if err == nil {
		err = o.check(r.Header)
	}
	var u *url.URL
	if err == nil {
		if u, err = url.ParseRequestURI(o.uri); err != nil {
			err = errors.New("the original URI is malformed") // a url.Error contains the URI
		}
	}
	if err != nil {
		return nil, &xenaauth.Error{
			Reason: xenaauth.ReasonAmbiguousTarget, Err: fmt.Errorf("forwardauth: %w", err),
		}
	}
	header := maps.Clone(r.Header)
	if header == nil {
		header = make(http.Header)
	}
	h.Identity.Strip(header)
	original := &http.Request{
		Method: o.method, Host: o.host, URL: u, RequestURI: o.uri,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Body: http.NoBody, RemoteAddr: r.RemoteAddr,
	}
	return original.WithContext(r.Context()), nil
}

// check refuses an original request that is malformed, and fields that contradict it.
func (o origin) check(h http.Header) error {
	if err := target.CheckMethod(o.method); err != nil {
		return err
	}
	if len(o.method) > maxMethod {
		return errors.New("the method is too long")
	}
	host, err := target.Host(o.host)
	switch {
	case err != nil:
		return err
	case host == "":
		return errors.New("the host is missing")
	case len(o.uri) > maxURI:
		return errors.New("the URI is too long")
	}
	if err := target.CheckOrigin(o.uri); err != nil {
		return err
	}
	if len(h["Forwarded"]) > 0 {
		return errors.New("the subrequest has a Forwarded field")
	}
	for _, names := range [...]origin{originalFields, forwardedFields} {
		switch {
		case contradicts(h[names.method], o.method, same):
			return fmt.Errorf("%s contradicts the original method", names.method)
		case contradicts(h[names.host], host, sameHost):
			return fmt.Errorf("%s contradicts the original host", names.host)
		case contradicts(h[names.uri], o.uri, same):
			return fmt.Errorf("%s contradicts the original URI", names.uri)
		}
	}
	return nil
}

// contradicts reports whether a field is there and does not have exactly this value.
func contradicts(field []string, value string, same func(a, b string) bool) bool {
	return field != nil && (len(field) != 1 || !same(field[0], value))
}

func same(a, b string) bool { return a == b }

// sameHost reports whether the host of a field is host. It ignores the case and the port: some
// proxies write a port and others don't.
func sameHost(field, host string) bool {
	got, err := target.Host(field)
	return err == nil && got == host
}
