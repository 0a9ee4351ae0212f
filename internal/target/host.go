package target

import (
	"net/netip"
	"strings"
)

const errHost = Ambiguity("the host is not a plain name or address")

// Host returns the host in the value of a Host field or in a pattern for hosts, in lower case and
// without port. An IPv6 address gets its canonical form (RFC 5952), in brackets. It returns "" if
// this value is "".
func Host(host string) (string, error) {
	if host == "" {
		return "", nil
	}
	if host[0] == '[' {
		inner, port, closed := strings.Cut(host[1:], "]")
		addr, err := netip.ParseAddr(inner)
		if !closed || err != nil || !addr.Is6() || addr.Zone() != "" || port != "" && !isPort(port) {
			return "", errHost
		}
		return "[" + addr.String() + "]", nil
	}
	if i := strings.IndexByte(host, ':'); i >= 0 {
		if !isPort(host[i:]) {
			return "", errHost
		}
		host = host[:i]
	}
	if len(host) > 253 {
		return "", errHost
	}
	capitals := false
	last := byte('.')
	for i := range len(host) {
		c := host[i]
		switch {
		case c == '.' && last == '.':
			return "", errHost // the host has an empty label
		case c >= 'A' && c <= 'Z':
			capitals = true
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '_', c == '.':
		default:
			return "", errHost
		}
		last = c
	}
	if last == '.' {
		// In DNS, a name with a dot at the end and the same name without it are equal. But a server
		// that compares the two names as texts finds them different, so a name with such a dot is
		// refused.
		return "", errHost
	}
	if capitals {
		host = strings.ToLower(host)
	}
	return host, nil
}

// HasPort reports whether host contains a port. The caller must pass a host that [Host] accepts.
func HasPort(host string) bool {
	return strings.Contains(host, ":") && (host[0] != '[' || strings.Contains(host, "]:"))
}

// isPort reports whether s is a colon and one to five digits.
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
