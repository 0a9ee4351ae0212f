package identity

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/xenaauth/xenaauth/internal/fieldname"
)

// Strip removes header fields that a client may have sent to imitate the fields of [Identity.Set].
// It removes a field if a service could confuse the name of the field with the name of an identity
// field. CGI, WSGI and similar interfaces ignore case, and do not distinguish "-", "_" and ".". So
// Strip also ignores case, and treats every character that is not a letter or digit like "-".
//
// Strip also removes the names of identity fields from the Connection field. Otherwise a client
// could make the next proxy remove the fields that [Identity.Set] writes.
//
// A request may also have fields in its trailer. Call Strip for the trailer too, or remove the
// whole trailer.
func (i *Identity) Strip(h http.Header) {
	var buf [maxName]byte
	for name, values := range h {
		folded := appendFolded(buf[:0], name)
		switch {
		case i.foldedNames[string(folded)]:
			delete(h, name)
		case string(folded) == "connection":
			i.stripOptions(h, name, values)
		}
	}
}

// Identity.stripOptions removes the names of identity fields from the header field Connection.
func (i *Identity) stripOptions(h http.Header, name string, values []string) {
	var kept []string
	dropped := false
	for _, value := range values {
		for option := range strings.SplitSeq(value, ",") {
			option = strings.Trim(option, " \t")
			if i.foldedNames[string(appendFolded(nil, option))] {
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

// appendFolded appends the name of a header field to b, in folded form: without white space around
// it, in lower case, and with "-" in place of every character that is not a letter or digit. If
// name is longer than the name of an identity field may be, appendFolded appends nothing.
func appendFolded(b []byte, name string) []byte {
	name = strings.Trim(name, " \t")
	if len(name) > maxName {
		return b
	}
	return fieldname.AppendFold(b, name)
}

// reservedNames and reservedPrefixes list names, and beginnings of names, that have a meaning in
// HTTP or for proxies. The names are in the folded form that appendFolded writes. No identity field
// may have a reserved name, because the field would change how a proxy handles the request or the
// response of forward-auth.
var (
	reservedNames = []string{
		"age", "alt-svc", "authorization", "cache-control", "client-cert", "client-cert-chain", "connection", "cookie", "date", "dpop",
		"early-data", "etag", "expect", "expires", "forwarded", "from", "host", "http2-settings",
		"keep-alive", "last-modified", "link", "location", "max-forwards", "origin", "pragma", "range",
		"referer", "refresh", "retry-after", "server", "set-cookie", "status", "te", "trailer",
		"transfer-encoding", "upgrade", "user-agent", "vary", "via", "warning", "www-authenticate",
		"x-http-method-override", "x-real-ip", "x-sendfile",
	}
	reservedPrefixes = []string{
		"accept", "access-control-", "content-", "if-", "proxy-", "sec-", "x-accel-", "x-content-",
		"x-envoy-", "x-forwarded-", "x-original-",
	}
)

// checkName returns nil if name can be the name of an identity field. Otherwise it returns an error
// that says what is wrong with the name.
func checkName(name string) error {
	isOther := func(r rune) bool {
		return r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}
	if name == "" || len(name) > maxName || strings.Trim(name, "-") != name ||
		strings.ContainsFunc(name, isOther) {
		return fmt.Errorf("is %q: it must be at most %d letters and digits, with \"-\" between them", name, maxName)
	}
	folded := string(appendFolded(nil, name))
	hasPrefix := func(prefix string) bool { return strings.HasPrefix(folded, prefix) }
	if slices.Contains(reservedNames, folded) || slices.ContainsFunc(reservedPrefixes, hasPrefix) {
		return fmt.Errorf("is %q, which has a meaning in HTTP or for proxies", name)
	}
	return nil
}
