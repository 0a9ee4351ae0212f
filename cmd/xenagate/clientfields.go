package main

import (
	"net/http/httputil"
	"strings"

	"github.com/xenaauth/xenaauth/internal/fieldname"
)

// misleadingFields are header fields that say where a request came from, which method or path it
// has, or which certificate the client showed. A name that ends in "-" stands for every field whose
// name begins with it. Services trust these fields if a gateway forwards them. For example, some
// frameworks take the path from X-Original-URL or X-Rewrite-URL instead of the request line. But
// the gateway has found the rule by the path in the request line.
var misleadingFields = []string{
	"forwarded", "x-forwarded", "x-forwarded-", "x-original-", "x-rewrite-", "x-real-ip", "x-client-ip",
	"x-cluster-client-ip", "x-proxyuser-ip", "true-client-ip", "x-envoy-", "x-host", "x-http-host-override",
	"client-cert", "client-cert-", "x-client-cert", "x-client-cert-", "x-client-certificate", "ssl-client-", "x-ssl-",
	"x-arr-clientcert", "x-amzn-mtls-", "cf-client-cert-", "cf-cert-",
	"proxy", // a CGI program finds this field in the environment variable HTTP_PROXY
}

// framingFields are the header fields that say where a message ends, or that belong to one
// connection. Some services read "_" and other characters in names as "-", so they read
// Transfer_Encoding as Transfer-Encoding. Such a service and the gateway would disagree about where
// the body of a request ends. Only the exact names may be in a request, because net/http and
// ReverseProxy handle the fields with the exact names.
var framingFields = []string{
	"content-length", "http2-settings", "keep-alive", "proxy-authenticate", "proxy-authentication-info",
	"proxy-authorization", "proxy-connection", "transfer-encoding",
}

// removedField describes header fields that are removed from requests. name is the name of one
// field, or the beginning of the names of several fields.
type removedField struct {
	name string
	// if prefix is set, every field whose name begins with name and a character like "-" is removed
	prefix bool
	// if misspelling is set, other spellings of name are removed, and a field with exactly this
	// name is kept
	misspelling bool
}

// removedFields are the fields that are removed, by the first letter of their names.
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

// isRemoved reports whether a field that the client sent must not reach an upstream.
func isRemoved(name string) bool {
	if name == "" || name[0] >= 128 {
		return true // no valid field name begins with this character
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

// replaceClientFields removes the fields in which the client says where the request came from, and
// sets X-Forwarded-For, -Host and -Proto. If the peer is a trusted proxy, the address of the peer
// is added to the X-Forwarded-For that the peer sent, and the X-Forwarded-Proto of the peer is
// kept.
func (f *forwarder) replaceClientFields(pr *httputil.ProxyRequest) {
	for name := range pr.Out.Header {
		if isRemoved(name) || f.certificateField != "" && fieldname.Equal(name, f.certificateField) ||
			f.strip && fieldname.Equal(name, "dpop") { // without Authorization, a proof is useless
			delete(pr.Out.Header, name)
		}
	}
	trusted := f.trusted.Contains(pr.In.RemoteAddr)
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
