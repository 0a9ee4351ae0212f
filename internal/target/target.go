// Package target reads the target of an HTTP request: its method, host and path. It refuses each
// target that two servers can read differently, because a gateway that reads it in one way and a
// service that reads it in the other apply different rules.
package target

import "strings"

// Ambiguity says why servers may read the target of a request differently. It is for logs.
type Ambiguity string

func (a Ambiguity) Error() string { return string(a) }

// Request is what a client sent, as net/http reads it.
type Request struct {
	Method string
	Host   string // the Host field, or the authority of HTTP/2
	// RequestURI is the target as it was sent. It tells which form of RFC 9112, section 3.2, the
	// target has. It is empty if the request did not come over the wire.
	RequestURI string
	Path       string // decoded
	RawPath    string // as it was sent, or empty if that is the default encoding of Path
	Header     map[string][]string
}

// Target is what a request asks for, as every server reads it.
type Target struct {
	Method string
	Host   string // in lower case and without port, or empty
	Path   string // decoded, or "*" for OPTIONS *
	// RawPath is the path for a server that compares before it decodes letters and digits: to such
	// a server /%61dmin is not /admin. It is empty if it equals Path.
	RawPath string
}

// Read returns the target of r. It returns an [Ambiguity] if servers can read the target in
// different ways.
func Read(r Request) (Target, error) {
	if err := CheckMethod(r.Method); err != nil {
		return Target{}, err
	}
	if err := checkOverride(r.Method, r.Header); err != nil {
		return Target{}, err
	}
	if r.Path == "*" && r.Method == "OPTIONS" && (r.RequestURI == "" || r.RequestURI == "*") {
		return Target{Method: r.Method, Path: "*"}, nil
	}
	if r.RequestURI != "" && r.RequestURI[0] != '/' {
		return Target{}, Ambiguity("the target is not in origin form")
	}
	host, err := Host(r.Host)
	if err != nil {
		return Target{}, err
	}
	escaped, err := checkRawPath(r.Path, r.RawPath)
	if err != nil {
		return Target{}, err
	}
	if err := CheckPath(r.Path); err != nil {
		return Target{}, err
	}
	t := Target{Method: r.Method, Host: host, Path: r.Path}
	if escaped {
		t.RawPath = decodeNecessary(r.RawPath)
	}
	return t, nil
}

// CheckOrigin refuses a target that is not in origin form (RFC 9112, section 3.2.1), and characters
// that no server accepts in one. It accepts each path and query of legal characters. To some
// servers a "#" ends the URI, to others it is a part of it.
func CheckOrigin(uri string) error {
	if !strings.HasPrefix(uri, "/") {
		return Ambiguity("the target is not in origin form")
	}
	for i := range len(uri) {
		if c := uri[i]; c <= ' ' || c >= 0x7f || c == '#' {
			return Ambiguity("the target contains a character that it must escape")
		}
	}
	return nil
}
