package main

import (
	"net/http/httputil"
	"net/netip"
	"strings"
)

// misleading are fields, and beginnings of fields, by which a client tells a service where a request came from or what
// it is for. Services believe them from a gateway. Some frameworks take the path from X-Original-URL or X-Rewrite-URL
// in place of the one that was asked about.
var misleading = []string{
	"forwarded", "x-forwarded", "x-forwarded-", "x-original-", "x-rewrite-", "x-real-ip", "x-client-ip",
	"x-cluster-client-ip", "x-proxyuser-ip", "true-client-ip", "x-envoy-", "x-host", "x-http-host-override",
	"proxy", // is HTTP_PROXY in a CGI's environment
}

// reserved are the fields that frame a message or belong to one connection. A service that sees no difference between
// signs takes Transfer_Encoding for Transfer-Encoding, and would read another body, or another request, than the gateway
// did. Only the true names may be in a request: net/http and ReverseProxy handle those.
var reserved = []string{
	"content-length", "http2-settings", "keep-alive", "proxy-authenticate", "proxy-authentication-info",
	"proxy-authorization", "proxy-connection", "transfer-encoding",
}

// unwanted is misleading and reserved by the first letter of a name.
var unwanted = func() (by [128][]unwantedName) {
	for _, name := range misleading {
		by[name[0]] = append(by[name[0]], unwantedName{
			name: strings.TrimSuffix(name, "-"), group: strings.HasSuffix(name, "-"),
		})
	}
	for _, name := range reserved {
		by[name[0]] = append(by[name[0]], unwantedName{name: name, reserved: true})
	}
	return by
}()

type unwantedName struct {
	name     string
	group    bool // all fields that begin with the name and a sign
	reserved bool // the name itself is right, other spellings aren't
}

// isUnwanted reports whether a field of a client must not reach a service.
func isUnwanted(name string) bool {
	if name == "" || name[0] >= 128 {
		return true // is no name of a field
	}
	for _, u := range unwanted[foldByte(name[0])] {
		switch {
		case len(name) < len(u.name) || !foldedEqual(name[:len(u.name)], u.name):
		case len(name) == len(u.name):
			if !u.group && (!u.reserved || strings.ContainsFunc(name, isStrangeSign)) {
				return true
			}
		case u.group && foldByte(name[len(u.name)]) == '-':
			return true
		}
	}
	return false
}

// isStrangeSign reports whether r is neither a letter, nor a digit, nor the sign that names of fields have.
func isStrangeSign(r rune) bool {
	return r >= 128 || r != '-' && foldByte(byte(r)) == '-'
}

// foldedEqual reports whether the most careless reader has name as folded.
func foldedEqual(name, folded string) bool {
	for i := range len(folded) {
		if foldByte(name[i]) != folded[i] {
			return false
		}
	}
	return true
}

// foldByte is a character of a name as the most careless reader has it: CGI and its heirs see no difference between
// signs, nor between lower and upper case.
func foldByte(c byte) byte {
	switch {
	case 'A' <= c && c <= 'Z':
		return c + 'a' - 'A'
	case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		return c
	}
	return '-'
}

// forwarded replaces what the request says about where it came from. Of a trusted proxy's word, X-Forwarded-For and
// X-Forwarded-Proto are kept.
func (p *proxy) forwarded(pr *httputil.ProxyRequest) {
	for name := range pr.Out.Header {
		if isUnwanted(name) {
			delete(pr.Out.Header, name)
		}
	}
	trusted := p.isTrusted(pr.In.RemoteAddr)
	if trusted {
		if before := pr.In.Header["X-Forwarded-For"]; len(before) > 0 {
			pr.Out.Header["X-Forwarded-For"] = before
		}
	}
	pr.SetXForwarded()
	proto := pr.In.Header["X-Forwarded-Proto"]
	if trusted && len(proto) == 1 && (proto[0] == "http" || proto[0] == "https") {
		pr.Out.Header["X-Forwarded-Proto"] = proto
	}
}

func (p *proxy) isTrusted(peer string) bool { return len(p.trusted) > 0 && trusts(p.trusted, peer) }

// trusts reports whether an address with a port is in one of the networks.
func trusts(networks []netip.Prefix, peer string) bool {
	a, err := netip.ParseAddrPort(peer)
	if err != nil {
		return false
	}
	address := a.Addr().Unmap().WithZone("")
	for _, n := range networks {
		if n.Contains(address) {
			return true
		}
	}
	return false
}
