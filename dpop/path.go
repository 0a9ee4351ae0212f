package dpop

import (
	"errors"
	"net/http"
	"strings"
)

// maxPath is the largest length of the path of a request, in bytes. A proof has at most 8 KiB, so a
// longer path is hardly ever equal to the path in a proof, and to read it would be expensive.
const maxPath = 16 << 10

var errPath = errors.New("the path is malformed or too long")

// requestPath returns the path of the URL that the client used, in normal form.
func (p *Proof) requestPath(r *http.Request) (string, error) {
	// RequestURI is what the client sent. A handler may have changed the field URL of the request.
	uri := r.RequestURI
	if uri == "" && r.URL != nil {
		uri = r.URL.RequestURI()
	}
	if !strings.HasPrefix(uri, "/") { // the absolute form (RFC 9112, section 3.2.2), or no path
		var err error
		if _, uri, err = splitURL(uri); err != nil {
			return "", errPath
		}
	}
	// A URI of a request has no "#". If a client sends one nevertheless, a server takes it for a
	// character of the path, but a parser of URLs takes it for the end of the path. So the request
	// is refused.
	if strings.Contains(uri, "#") {
		return "", errPath
	}
	// Config.PathPrefix is added after the path has its normal form. Otherwise a segment ".." of
	// the path could remove the prefix. A proof for a URL outside the prefix would then be
	// accepted, and this URL may belong to another service.
	path, err := normalPath(uri)
	return p.prefix + path, err
}

// normalPath returns the path of uri in normal form (RFC 3986, sections 6.2.2 and 6.2.3). uri
// begins with the path; its query and fragment are left out. A path that is too long, or contains a
// control character or a wrong escape, is an error. In normal form, unreserved characters
// are not escaped, every character that must be escaped is escaped with upper-case digits, there
// are no segments "." and "..", and an empty path is "/". Two paths with the same normal form name
// the same resource.
func normalPath(uri string) (string, error) {
	if end := strings.IndexAny(uri, "?#"); end >= 0 {
		uri = uri[:end]
	}
	if uri == "" {
		return "/", nil
	}
	if uri[0] != '/' || len(uri) > maxPath {
		return "", errPath
	}
	path, err := normalizeEscapes(uri)
	if err != nil {
		return "", err
	}
	if strings.Contains(path, "/.") {
		path = resolveDots(path)
	}
	return path, nil
}

// normalizeEscapes decodes each escape of an unreserved character, and escapes each character that
// must be escaped in a path.
func normalizeEscapes(path string) (string, error) {
	plain := 0
	for plain < len(path) && isPathChar(path[plain]) {
		plain++
	}
	if plain == len(path) {
		return path, nil
	}
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	b.Grow(len(path) + 16)
	b.WriteString(path[:plain])
	for i := plain; i < len(path); i++ {
		c := path[i]
		switch {
		case c == '%':
			if i+2 >= len(path) || !isHex(path[i+1]) || !isHex(path[i+2]) {
				return "", errPath
			}
			c = unhex(path[i+1])<<4 | unhex(path[i+2])
			i += 2
			if isUnreserved(c) {
				b.WriteByte(c)
				continue
			}
		case c < ' ' || c == 0x7f:
			return "", errPath
		case isPathChar(c):
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(digits[c>>4])
		b.WriteByte(digits[c&15])
	}
	return b.String(), nil
}

// resolveDots resolves the segments "." and ".." of a path that begins with a slash (RFC 3986,
// section 5.2.4).
func resolveDots(path string) string {
	segments := strings.Split(path[1:], "/")
	kept := segments[:0]
	for i, s := range segments {
		last := i == len(segments)-1
		switch s {
		case ".":
		case "..":
			if len(kept) > 0 {
				kept = kept[:len(kept)-1]
			}
		default:
			kept = append(kept, s)
			continue
		}
		if last {
			kept = append(kept, "")
		}
	}
	return "/" + strings.Join(kept, "/")
}

// isPathChar reports whether a path may contain c without an escape (RFC 3986, section 3.3).
func isPathChar(c byte) bool {
	return isUnreserved(c) || strings.IndexByte("/!$&'()*+,;=:@", c) >= 0
}

func isUnreserved(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' ||
		c == '-' || c == '.' || c == '_' || c == '~'
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f'
}

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}
