package identity

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/xenaauth/xenaauth/internal/fieldname"
)

// Strip removes every field from a request's header that a service could take for one of ours, in whatever spelling:
// case aside, every character of a name that is neither letter nor digit counts as "-", since CGI, WSGI and others fold
// "_", "." and more together. It also removes our names from Connection, by which a client could have the next proxy drop
// what Set sets.
//
// Trailers are fields too: pass them to Strip, or drop them.
func (i *Identity) Strip(h http.Header) {
	var buf [maxName]byte
	for name, values := range h {
		folded := fold(buf[:0], name)
		switch {
		case i.ours[string(folded)]:
			delete(h, name)
		case string(folded) == "connection":
			i.stripOptions(h, name, values)
		}
	}
}

// stripOptions removes our names from a Connection field.
func (i *Identity) stripOptions(h http.Header, name string, values []string) {
	var kept []string
	dropped := false
	for _, value := range values {
		for option := range strings.SplitSeq(value, ",") {
			option = strings.Trim(option, " \t")
			if i.ours[string(fold(nil, option))] {
				dropped = true
			} else if option != "" {
				kept = append(kept, option)
			}
		}
	}
	switch {
	case !dropped:
	case kept == nil:
		delete(h, name)
	default:
		h[name] = []string{strings.Join(kept, ", ")}
	}
}

// fold appends the folded name to b. It appends nothing if no name of ours is that long.
func fold(b []byte, name string) []byte {
	name = strings.Trim(name, " \t")
	if len(name) > maxName {
		return b
	}
	return fieldname.AppendFold(b, name)
}

// taken are names that mean something to HTTP or to proxies, folded, and takenPrefixes are whole families of them. In an
// answer of forward-auth, or in a request that goes on, a value of ours there would do something else.
var (
	taken = []string{
		"age", "alt-svc", "authorization", "cache-control", "connection", "cookie", "date", "dpop", "early-data", "etag",
		"expect", "expires", "forwarded", "from", "host", "http2-settings", "keep-alive", "last-modified", "link", "location",
		"max-forwards", "origin", "pragma", "range", "referer", "refresh", "retry-after", "server", "set-cookie", "status",
		"te", "trailer", "transfer-encoding", "upgrade", "user-agent", "vary", "via", "warning", "www-authenticate",
		"x-http-method-override", "x-real-ip", "x-sendfile",
	}
	takenPrefixes = []string{
		"accept", "access-control-", "content-", "if-", "proxy-", "sec-", "x-accel-", "x-content-", "x-envoy-",
		"x-forwarded-", "x-original-",
	}
)

// checkName reports what is wrong with the name of a field.
func checkName(name string) error {
	if name == "" || len(name) > maxName || strings.Trim(name, "-") != name || strings.ContainsFunc(name, func(r rune) bool {
		return r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) {
		return fmt.Errorf("is %q: not letters, digits and \"-\" between them, at most %d", name, maxName)
	}
	folded := string(fold(nil, name))
	if slices.Contains(taken, folded) || slices.ContainsFunc(takenPrefixes, func(p string) bool {
		return strings.HasPrefix(folded, p)
	}) {
		return fmt.Errorf("is %q, which has another meaning", name)
	}
	return nil
}
