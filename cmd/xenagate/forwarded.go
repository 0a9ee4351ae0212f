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

// forwarded replaces what the request says about where it came from. Of a trusted proxy's word, X-Forwarded-For and
// X-Forwarded-Proto are kept.
func (p *proxy) forwarded(pr *httputil.ProxyRequest) {
	for name := range pr.Out.Header {
		folded := fold(name)
		for _, m := range misleading {
			if folded == m || strings.HasSuffix(m, "-") && strings.HasPrefix(folded, m) {
				delete(pr.Out.Header, name)
			}
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

func (p *proxy) isTrusted(peer string) bool { return trusts(p.trusted, peer) }

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

// fold is a name as the most careless reader has it: CGI and its heirs see no difference between signs.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'A' <= r && r <= 'Z':
			return r + 'a' - 'A'
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
			return r
		}
		return '-'
	}, name)
}
