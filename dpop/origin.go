package dpop

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/xenaauth/xenaauth/internal/target"
)

// origin is the origin of a URL in normal form: the scheme and the host are in lower case, and the
// default port of the scheme is left out.
type origin struct {
	scheme string
	host   string // host is the host without the port
	port   string // port is "" if it is the default port of the scheme
}

func (o origin) String() string {
	if o.port == "" {
		return o.scheme + "://" + o.host
	}
	return o.scheme + "://" + o.host + ":" + o.port
}

var (
	errNotURL  = errors.New("it is not an absolute URL with the scheme https or http")
	errHost    = errors.New("the host or the port is malformed")
	errNotPath = errors.New("it has a path, a query or a fragment")
)

// parseOrigin parses one of Config.PublicOrigins. It accepts a slash at the end.
func parseOrigin(text string) (origin, error) {
	o, rest, err := splitURL(text)
	if err == nil && rest != "" && rest != "/" {
		err = errNotPath
	}
	return o, err
}

// splitURL returns the origin of an absolute URL, and the rest of the URL: path, query and
// fragment.
func splitURL(text string) (o origin, rest string, err error) {
	scheme, after, ok := strings.Cut(text, "://")
	if !ok {
		return o, "", errNotURL
	}
	switch {
	case strings.EqualFold(scheme, "https"):
		o.scheme = "https"
	case strings.EqualFold(scheme, "http"):
		o.scheme = "http"
	default:
		return o, "", errNotURL
	}
	end := strings.IndexAny(after, "/?#")
	if end < 0 {
		end = len(after)
	}
	o.host, o.port, err = splitHost(after[:end], o.scheme)
	return o, after[end:], err
}

// splitHost returns the host and the port of an authority (RFC 3986, section 3.2) or of a Host
// field. port is "" if the port is missing, empty, or the default port of the scheme. splitHost
// refuses an authority with user information, for example ann@api.example.
func splitHost(authority, scheme string) (host, port string, err error) {
	authority, emptyPort := strings.CutSuffix(authority, ":")
	if authority == "" || emptyPort && target.HasPort(authority) { // api.example:443: has two ports
		return "", "", errHost
	}
	if host, err = target.Host(authority); err != nil || host == "" {
		return "", "", errHost
	}
	if !target.HasPort(authority) {
		return host, "", nil
	}
	n, err := strconv.ParseUint(authority[strings.LastIndexByte(authority, ':')+1:], 10, 16)
	if err != nil {
		return "", "", errHost
	}
	if scheme == "https" && n == 443 || scheme == "http" && n == 80 {
		return host, "", nil
	}
	return host, strconv.FormatUint(n, 10), nil
}

// Proof.isHere reports whether the client can have sent the request r to the origin o. First, it
// selects the public origins that fit the Host field of r best: those with the same host and port,
// otherwise those with the same host (routers ignore the port), otherwise all public origins. Then
// it reports whether o is one of the selected origins.
func (p *Proof) isHere(o origin, r *http.Request) bool {
	best, here := 0, false
	for _, public := range p.origins {
		fit := 0
		if r.Host != "" {
			host, port, err := splitHost(r.Host, public.scheme)
			switch {
			case err != nil: // routers could read this Host field in different ways
				return false
			case host == public.host && port == public.port:
				fit = 2
			case host == public.host:
				fit = 1
			}
		}
		if fit > best {
			best, here = fit, false
		}
		here = here || fit == best && public == o
	}
	return here
}
