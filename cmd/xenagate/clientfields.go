package main

import (
	"net/http/httputil"
	"strings"

	"github.com/xenaauth/xenaauth/internal/fieldname"
)

// misleadingFields are header fields by which a client says where a request came from, or what it
// asks for. A name with a "-" at its end stands for all names that begin with it. Services believe
// these fields when a gateway sends them. Some frameworks take the path from X-Original-URL or
// X-Rewrite-URL, and not from the request line by which the rule was found.
var misleadingFields = []string{
	"forwarded", "x-forwarded", "x-forwarded-", "x-original-", "x-rewrite-", "x-real-ip", "x-client-ip",
	"x-cluster-client-ip", "x-proxyuser-ip", "true-client-ip", "x-envoy-", "x-host", "x-http-host-override",
	"proxy", // becomes HTTP_PROXY in the environment of a CGI program
}

// framingFields are the header fields that frame a message, or that belong to one connection. A
// service to which all signs are equal takes Transfer_Encoding for Transfer-Encoding: it would read
// another body, or another request, than the gateway did. Only the exact names may be in a request,
// because net/http and ReverseProxy handle those.
var framingFields = []string{
	"content-length", "http2-settings", "keep-alive", "proxy-authenticate", "proxy-authentication-info",
	"proxy-authorization", "proxy-connection", "transfer-encoding",
}

// removedField is a name, or the beginning of names, of fields that are removed.
type removedField struct {
	name        string
	prefix      bool // all names that begin with name and a sign
	misspelling bool // the exact name stays, other spellings are removed
}

// removedFields has the fields that are removed, by the first letter of their names.
var removedFields = func() (by [128][]removedField) {
	for _, name := range misleadingFields {
		by[name[0]] = append(by[name[0]], removedField{
			name: strings.TrimSuffix(name, "-"), prefix: strings.HasSuffix(name, "-"),
		})
	}
	for _, name := range framingFields {
		by[name[0]] = append(by[name[0]], removedField{name: name, misspelling: true})
	}
	return by
}()

// isRemoved reports whether a field of the client must not reach an upstream.
func isRemoved(name string) bool {
	if name == "" || name[0] >= 128 {
		return true // not a field name
	}
	for _, f := range removedFields[fieldname.FoldByte(name[0])] {
		switch {
		case !fieldname.HasPrefix(name, f.name):
		case len(name) == len(f.name):
			if !f.prefix && (!f.misspelling || strings.ContainsFunc(name, isOtherSign)) {
				return true
			}
		case f.prefix && fieldname.IsSign(name[len(f.name)]):
			return true
		}
	}
	return false
}

// isOtherSign reports whether r is neither a letter, nor a digit, nor "-".
func isOtherSign(r rune) bool { return r >= 128 || r != '-' && fieldname.IsSign(byte(r)) }

// replaceClientFields removes what the client says about where the request came from, and sets
// X-Forwarded-For, -Host and -Proto. If the peer is a trusted proxy, its X-Forwarded-For is
// continued and its X-Forwarded-Proto stays.
func (f *forwarder) replaceClientFields(pr *httputil.ProxyRequest) {
	for name := range pr.Out.Header {
		if isRemoved(name) {
			delete(pr.Out.Header, name)
		}
	}
	trusted := len(f.trusted) > 0 && trusts(f.trusted, pr.In.RemoteAddr)
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
