package forwardauth

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/xenaauth/xenaauth"
)

// target is what the original request was for.
type target struct{ method, host, uri string }

// maxURI bounds the original URI, in bytes: proxies take 8 to 16 KiB.
const maxURI = 16 << 10

// The fields in which proxies tell what the original request was, as http.Header has them. A proxy of the one family
// passes those of the other on, as the client sent them.
var (
	originalFields  = target{"X-Original-Method", "X-Original-Host", "X-Original-Uri"}
	forwardedFields = target{"X-Forwarded-Method", "X-Forwarded-Host", "X-Forwarded-Uri"}
)

// original reads a request of nginx or HAProxy.
func original(r *http.Request) (target, error) { return read(r.Header, originalFields) }

// forwarded reads a request of Traefik or Caddy.
func forwarded(r *http.Request) (target, error) { return read(r.Header, forwardedFields) }

// own reads a request of Envoy, which has the original method, host and target.
func (h *handler) own(r *http.Request) (target, error) {
	uri, ok := strings.CutPrefix(r.RequestURI, h.PathPrefix)
	if !ok {
		return target{}, errors.New("the target lacks the prefix")
	}
	return target{r.Method, r.Host, uri}, nil
}

func read(h http.Header, names target) (t target, err error) {
	for _, f := range []struct {
		value *string
		name  string
	}{{&t.method, names.method}, {&t.host, names.host}, {&t.uri, names.uri}} {
		lines := h[f.name]
		if len(lines) != 1 {
			return target{}, fmt.Errorf("%s is there %d times", f.name, len(lines))
		}
		*f.value = lines[0]
	}
	return t, nil
}

// request is the original request, as far as it is known. Its header is that of the subrequest, without fields that a
// client could have written in our place.
func (h *handler) request(r *http.Request) (*http.Request, error) {
	t, err := h.read(r)
	if err == nil {
		err = t.check(r.Header)
	}
	var u *url.URL
	if err == nil {
		if u, err = url.ParseRequestURI(t.uri); err != nil {
			err = errors.New("the URI is malformed") // url.Error quotes it
		}
	}
	if err != nil {
		return nil, fmt.Errorf("forwardauth: %w: %w", err, &xenaauth.Error{Reason: xenaauth.ReasonAmbiguousTarget})
	}
	header := maps.Clone(r.Header)
	if header == nil {
		header = make(http.Header)
	}
	h.Identity.Strip(header)
	asked := &http.Request{
		Method: t.method, Host: t.host, URL: u, RequestURI: t.uri,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Body: http.NoBody, RemoteAddr: r.RemoteAddr,
	}
	return asked.WithContext(r.Context()), nil
}

// check reports what is wrong with t, or with the fields of another proxy that are there too.
func (t target) check(h http.Header) error {
	switch {
	case !isToken(t.method):
		return errors.New("the method is malformed")
	case !isHost(t.host):
		return errors.New("the host is malformed")
	case !isTarget(t.uri):
		return errors.New("the URI is not a path with a query")
	case len(h["Forwarded"]) > 0:
		return errors.New("there is a field Forwarded")
	}
	same := func(a, b string) bool { return a == b }
	for _, names := range []target{originalFields, forwardedFields} {
		for _, f := range []struct {
			name, value string
			same        func(a, b string) bool
		}{{names.method, t.method, same}, {names.host, t.host, sameHost}, {names.uri, t.uri, same}} {
			if lines, ok := h[f.name]; ok && (len(lines) != 1 || !f.same(lines[0], f.value)) {
				return fmt.Errorf("%s says something else", f.name)
			}
		}
	}
	return nil
}

// sameHost compares hosts as names are compared, and without ports, which some proxies write and others don't.
func sameHost(a, b string) bool {
	return isHost(a) && strings.EqualFold(withoutPort(a), withoutPort(b))
}

func withoutPort(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.Trim(host, "[]")
}

// isToken reports whether s is a token of RFC 9110, section 5.6.2, of reasonable length.
func isToken(s string) bool {
	return s != "" && len(s) <= 64 && !strings.ContainsFunc(s, func(r rune) bool {
		return !isAlphanumeric(r) && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
}

// isHost reports whether s is made of what names, addresses and ports are made of. What it means is for the rules.
func isHost(s string) bool {
	return s != "" && len(s) <= 262 && !strings.ContainsFunc(s, func(r rune) bool {
		return !isAlphanumeric(r) && !strings.ContainsRune("-._:[]", r)
	})
}

// isTarget reports whether s is in origin-form (RFC 9112, section 3.2.1), give or take characters that the rules judge.
// A "#" ends a URI to some servers and is part of it to others.
func isTarget(s string) bool {
	return strings.HasPrefix(s, "/") && len(s) <= maxURI && !strings.ContainsFunc(s, func(r rune) bool {
		return r < 0x21 || r > 0x7e || r == '#'
	})
}

func isAlphanumeric(r rune) bool {
	return '0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z'
}
