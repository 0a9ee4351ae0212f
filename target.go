package xenaauth

import (
	"net/http"
	"net/netip"
	"strings"
)

// ambiguity says why servers may differ in what they take a request's target for. It is for logs.
type ambiguity string

func (a ambiguity) Error() string { return string(a) }

// target is what a request asks for, as all upstreams read it.
type target struct {
	method, host, path string
	// lazy is the path as a server reads it that compares without decoding letters and digits: /%61dmin isn't /admin to
	// it. It is "" where that is the same.
	lazy string
}

// readTarget reads the target of a request that came over the wire, or that was put together from what a proxy told.
// r.URL is what handlers and upstreams see; r.RequestURI only tells which form of RFC 9112, section 3.2, was sent.
func readTarget(r *http.Request) (target, ambiguity) {
	if problem := checkMethod(r); problem != "" {
		return target{}, problem
	}
	u := r.URL
	if u == nil {
		return target{}, "no target"
	}
	if u.Path == "*" && r.Method == http.MethodOptions && (r.RequestURI == "" || r.RequestURI == "*") {
		return target{method: r.Method, path: "*"}, ""
	}
	switch {
	case r.RequestURI != "" && r.RequestURI[0] != '/':
		return target{}, "the target is not in origin form"
	case u.Opaque != "" || u.User != nil || u.Fragment != "" || u.Host != "" && u.Host != r.Host:
		return target{}, "the target is more than a path and a query"
	}
	host, problem := readHost(r.Host)
	if problem != "" {
		return target{}, problem
	}
	coded, problem := checkRawPath(u)
	if problem != "" {
		return target{}, problem
	}
	if problem := checkPath(u.Path); problem != "" {
		return target{}, problem
	}
	t := target{method: r.Method, host: host, path: u.Path}
	if coded {
		t.lazy = decodeLazily(u.RawPath)
	}
	return t, ""
}

// checkMethod refuses methods that some servers take for others: method names are case-sensitive tokens (RFC 9110,
// section 9.1), but not to everybody, and there are fields that replace them.
func checkMethod(r *http.Request) ambiguity {
	if r.Method == "" {
		return "no method"
	}
	for i := range len(r.Method) {
		c := r.Method[i]
		if c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0 {
			continue
		}
		return "the method is not a token of capital letters"
	}
	for name, values := range r.Header {
		if !overridesMethod(name) {
			continue
		}
		for _, v := range values {
			if !strings.EqualFold(v, r.Method) {
				return "a header field asks for another method"
			}
		}
	}
	return ""
}

// overridesMethod reports whether frameworks know a field as one that replaces the method. CGI and its heirs see no
// difference between - and any other sign in names.
func overridesMethod(name string) bool {
	for _, known := range [...]string{"x-http-method-override", "x-http-method", "x-method-override"} {
		if len(name) != len(known) {
			continue
		}
		same := true
		for i := 0; i < len(name) && same; i++ {
			c := lower(name[i])
			same = c == known[i] || known[i] == '-' && !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9')
		}
		if same {
			return true
		}
	}
	return false
}

// readHost returns the host of a Host field or of a pattern: in lower case and without port. One that isn't there is
// "".
func readHost(host string) (string, ambiguity) {
	const problem = "the host is not a plain name or address"
	if host == "" {
		return "", ""
	}
	if host[0] == '[' {
		inner, port, closed := strings.Cut(host[1:], "]")
		addr, err := netip.ParseAddr(inner)
		if !closed || err != nil || !addr.Is6() || addr.Zone() != "" || port != "" && !isPort(port) {
			return "", problem
		}
		return "[" + addr.String() + "]", ""
	}
	if i := strings.IndexByte(host, ':'); i >= 0 {
		if !isPort(host[i:]) {
			return "", problem
		}
		host = host[:i]
	}
	if len(host) > 253 {
		return "", problem
	}
	capitals := false
	last := byte('.')
	for i := range len(host) {
		c := host[i]
		switch {
		case c == '.' && last == '.':
			return "", problem // an empty label
		case c >= 'A' && c <= 'Z':
			capitals = true
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '_', c == '.':
		default:
			return "", problem
		}
		last = c
	}
	if last == '.' {
		return "", problem // the same host to DNS, and another one to a server that compares names
	}
	if capitals {
		host = strings.ToLower(host)
	}
	return host, ""
}

// isPort reports whether s is a colon and a port.
func isPort(s string) bool {
	if len(s) < 2 || len(s) > 6 || s[0] != ':' {
		return false
	}
	for i := 1; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
