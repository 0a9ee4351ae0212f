package dpop

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/xenaauth/xenaauth/internal/target"
)

// origin is the origin of a URL in normal form: the scheme and the host in lower case, and no
// default port.
type origin struct {
	scheme string
	host   string // without port
	port   string // "" is the default port of the scheme
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

// parseOrigin parses an origin of the configuration. A slash at the end is accepted.
func parseOrigin(text string) (origin, error) {
	o, rest, err := splitURL(text)
	if err == nil && rest != "" && rest != "/" {
		err = errNotPath
	}
	return o, err
}

// splitURL splits an absolute URL behind its authority. rest is the path with query and fragment.
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

// splitHost splits an authority, or the value of a Host field. It returns "" as the port if the port
// is missing, empty, or the default port of the scheme. It refuses user information.
func splitHost(authority, scheme string) (host, port string, err error) {
	if authority = strings.TrimSuffix(authority, ":"); authority == "" {
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

// isHere reports whether o is an origin of this service, and whether r may have been sent to it: o is
// one of the public origins that fit the Host field of r best. A public origin with the host and the
// port of r fits best. One with the host of r comes next, because routers ignore the port. If the
// host of r is no public host, all public origins fit.
func (p *Proof) isHere(o origin, r *http.Request) bool {
	best, here := 0, false
	for _, public := range p.origins {
		fit := 0
		if r.Host != "" {
			host, port, err := splitHost(r.Host, public.scheme)
			switch {
			case err != nil: // routers could read this host in different ways
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
