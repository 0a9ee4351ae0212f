package main

import (
	"net/http/httputil"
	"strings"

	"github.com/xenaauth/xenaauth/internal/fieldname"
)

// misleadingFields are header fields that say where a request came from, which host, method or path
// it has, or which certificate the client showed. The gateway removes them from the client's
// request, because services trust these fields. For example, the gateway has found the rule for a
// request by the path in the request line, but some frameworks take the path from X-Original-URL or
// X-Rewrite-URL. A name in this list that ends in "-" stands for every field whose name begins with
// it. A field with another sign in place of "-", such as X_Original_URL, is removed too.
var misleadingFields = []string{
	"forwarded", "x-forwarded", "x-forwarded-", "x-original-", "x-rewrite-", "x-real-ip", "x-client-ip",
	"x-cluster-client-ip", "x-proxyuser-ip", "true-client-ip", "x-envoy-", "x-host", "x-http-host-override",
	"client-cert", "client-cert-", "x-client-cert", "x-client-cert-", "x-client-certificate", "ssl-client-", "x-ssl-",
	"x-arr-clientcert", "x-amzn-mtls-", "cf-client-cert-", "cf-cert-",
	"proxy", // a CGI program finds this field in the environment variable HTTP_PROXY
}

// framingFields are the names of header fields that say where a message ends, or that belong to one
// connection. From the request of a client, the gateway removes a field whose name is similar to
// one of these names, but not the same. An example is Transfer_Encoding: some services read "_" as
// "-", so they would take it for Transfer-Encoding, and would disagree with the gateway about where
// the body of a request ends. Other code handles fields with exactly these names: net/http,
// ReverseProxy or allowWebSocketOnly. The only exception is Proxy-Authentication-Info. This field
// means nothing in a request, so no code needs to handle it.
var framingFields = []string{
	"content-length", "http2-settings", "keep-alive", "proxy-authenticate", "proxy-authentication-info",
	"proxy-authorization", "proxy-connection", "transfer-encoding",
}

// A removedField describes header fields that the gateway removes from requests. baseName is the
// name of one field, or the beginning of the names of several fields.
type removedField struct {
	baseName string
	// if isPrefix is true, the gateway removes each field whose name begins with baseName and a
	// sign, for example "-" or "_"
	isPrefix bool
	// if otherSpellings is true, the gateway removes fields whose names are other spellings of
	// baseName, and keeps the field with exactly this name
	otherSpellings bool
}

// removedFields lists the header fields that the gateway removes from requests. It is an array with
// one list for each ASCII character: the names of the fields in a list begin with this character.
var removedFields = func() (fieldsByByte [128][]removedField) {
	for _, name := range misleadingFields {
		fieldsByByte[name[0]] = append(fieldsByByte[name[0]], removedField{
			baseName: strings.TrimSuffix(name, "-"), isPrefix: strings.HasSuffix(name, "-"),
		})
	}
	for _, name := range framingFields {
		fieldsByByte[name[0]] = append(fieldsByByte[name[0]], removedField{baseName: name, otherSpellings: true})
	}
	return fieldsByByte
}()

// isRemoved reports whether removedFields says that the gateway removes a header field with this
// name from the client's request. It also returns true for a name that no valid field has.
func isRemoved(name string) bool {
	if name == "" || name[0] >= 128 {
		return true // a valid name is not empty, and begins with an ASCII character
	}
	for _, f := range removedFields[fieldname.FoldByte(name[0])] {
		switch {
		case !fieldname.HasPrefix(name, f.baseName):
		case len(name) == len(f.baseName):
			if !f.isPrefix && (!f.otherSpellings || strings.ContainsFunc(name, isOtherSign)) {
				return true
			}
		case f.isPrefix && fieldname.IsSign(name[len(f.baseName)]):
			return true
		}
	}
	return false
}

// isOtherSign reports whether r is neither an ASCII letter, nor a digit, nor "-".
func isOtherSign(r rune) bool { return r >= 128 || r != '-' && fieldname.IsSign(byte(r)) }

// forwarder.replaceClientFields removes header fields from a client's request. It removes each
// field for which isRemoved returns true. It also removes the field for the client's certificate.
// If the gateway removes the field Authorization, replaceClientFields removes the field DPoP too.
// Then it sets X-Forwarded-For, X-Forwarded-Host and X-Forwarded-Proto. The peer is the other end
// of the connection. If the peer is a trusted proxy, replaceClientFields adds the address of the
// proxy to the X-Forwarded-For that the proxy sent. It keeps the X-Forwarded-Proto of this proxy if
// the value is "http" or "https".
func (f *forwarder) replaceClientFields(pr *httputil.ProxyRequest) {
	for name := range pr.Out.Header {
		if isRemoved(name) || f.certificateField != "" && fieldname.Equal(name, f.certificateField) ||
			f.stripCredentials && fieldname.Equal(name, "dpop") { // without Authorization, a proof is useless
			delete(pr.Out.Header, name)
		}
	}
	trusted := f.trustedNetworks.Contains(pr.In.RemoteAddr)
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
