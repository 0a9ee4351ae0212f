// Package target reads the target of an HTTP request: its method, host and path. It refuses every
// target that two servers could interpret differently. If a gateway and the service behind it read
// a target differently, the gateway checks a rule for another resource than the service returns.
package target

import "strings"

// Ambiguity is an error that says why two servers may interpret the target of a request
// differently. Its text is for logs.
type Ambiguity string

func (a Ambiguity) Error() string { return string(a) }

// Request contains the fields of an http.Request from which the target is read.
type Request struct {
	Method string
	Host   string // Host is the Host field of HTTP/1.1, or the authority of HTTP/2
	// RequestURI is the target in the form in which it was sent (RFC 9112, section 3.2). It is
	// empty if a program made the request and no server received it.
	RequestURI string
	Path       string // Path is the decoded path
	// RawPath is the path as it was sent; "" if this is the default encoding of Path
	RawPath string
	Header  map[string][]string
}

// Target is the target of a request. All servers interpret it in the same way.
type Target struct {
	Method string
	Host   string // Host is in lower case and has no port. It may be "".
	Path   string // Path is decoded. It is "*" in a request OPTIONS *.
	// RawPath is for servers that compare paths before they decode letters and digits. To such a
	// server, /%61dmin is another path than /admin. RawPath is "" if it equals Path.
	RawPath string
}

// Read returns the target of the request r. If two servers could interpret the target differently,
// the error is an [Ambiguity].
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

// CheckOrigin accepts only the target of a request in origin form: a path with an optional query
// (RFC 9112, section 3.2.1). It refuses all other targets. It also refuses characters that a target
// must escape, and "#", which ends the URI for some servers and is a part of it for others.
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
