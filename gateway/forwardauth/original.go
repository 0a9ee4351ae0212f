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

// requestParts contains the method, the host and the URI of an original request. The variables
// originalFields and forwardedFields also have this type. They contain the names of the header
// fields in which a proxy sends the method, the host and the URI.
type requestParts struct{ method, host, uri string }

const (
	// maxURI is the largest length of the original URI in bytes. With their default settings, nginx
	// accepts a request line of at most 8 KiB, and HAProxy a header of at most 16 KiB.
	maxURI    = 16 << 10
	maxMethod = 64
)

// These are the two groups of fields in which proxies describe the original request: X-Original and
// X-Forwarded. Envoy writes neither of them; each other proxy writes the fields of one group. A
// proxy may forward the fields that it does not write as the client sent them. The names are
// spelled as in http.Header.
var (
	originalFields  = requestParts{"X-Original-Method", "X-Original-Host", "X-Original-Uri"}
	forwardedFields = requestParts{"X-Forwarded-Method", "X-Forwarded-Host", "X-Forwarded-Uri"}
)

// readOriginal reads the description of the original request in a subrequest of nginx or HAProxy.
func readOriginal(r *http.Request) (requestParts, error) { return readFields(r.Header, originalFields) }

// readForwarded reads the description of the original request in a subrequest of Traefik or Caddy.
func readForwarded(r *http.Request) (requestParts, error) {
	return readFields(r.Header, forwardedFields)
}

// handler.readEnvoy reads the description of the original request in a subrequest of Envoy. Envoy
// sends the subrequest with the method, the host and the target of the original request. It writes
// Config.PathPrefix before the target, and readEnvoy removes it again.
func (h *handler) readEnvoy(r *http.Request) (requestParts, error) {
	uri, ok := strings.CutPrefix(r.RequestURI, h.PathPrefix)
	if !ok {
		return requestParts{}, errors.New("the target does not begin with Config.PathPrefix")
	}
	return requestParts{r.Method, r.Host, uri}, nil
}

func readFields(h http.Header, names requestParts) (o requestParts, err error) {
	for _, f := range []struct {
		value *string
		name  string
	}{{&o.method, names.method}, {&o.host, names.host}, {&o.uri, names.uri}} {
		lines := h[f.name]
		if len(lines) != 1 {
			return requestParts{}, fmt.Errorf("%s: %d fields instead of one", f.name, len(lines))
		}
		*f.value = lines[0]
	}
	return o, nil
}

// handler.originalRequest builds the original request from the description in the subrequest r. The
// original request gets the header of the subrequest, without the fields that name the user.
func (h *handler) originalRequest(r *http.Request) (*http.Request, error) {
	o, err := h.read(r)
	if err == nil {
		err = o.check(r.Header)
	}
	var u *url.URL
	if err == nil {
		if u, err = url.ParseRequestURI(o.uri); err != nil {
			// This error does not contain the text of the url.Error, because that text contains the
			// URI, which must not be logged.
			err = errors.New("the original URI is malformed")
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

// requestParts.check returns an error if the description of the original request is malformed, if a
// field of the header h contradicts the description, or if h has a Forwarded field.
func (o requestParts) check(h http.Header) error {
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
	for _, names := range [...]requestParts{originalFields, forwardedFields} {
		switch {
		case fieldContradicts(h[names.method], o.method, sameText):
			return fmt.Errorf("%s contradicts the original method", names.method)
		case fieldContradicts(h[names.host], host, sameHost):
			return fmt.Errorf("%s contradicts the original host", names.host)
		case fieldContradicts(h[names.uri], o.uri, sameText):
			return fmt.Errorf("%s contradicts the original URI", names.uri)
		}
	}
	return nil
}

// fieldContradicts reports whether a header field of a subrequest contradicts wantValue, which is
// the method, the host or the URI of the original request. lines are the values of the field. A
// field contradicts wantValue if it is repeated, or if its value is different. A field that is
// missing contradicts nothing.
func fieldContradicts(lines []string, wantValue string, same func(a, b string) bool) bool {
	return lines != nil && (len(lines) != 1 || !same(lines[0], wantValue))
}

func sameText(a, b string) bool { return a == b }

// sameHost reports whether a header field names the given host. sameHost ignores case and port,
// because some proxies write the port and others leave it out.
func sameHost(field, host string) bool {
	got, err := target.Host(field)
	return err == nil && got == host
}
