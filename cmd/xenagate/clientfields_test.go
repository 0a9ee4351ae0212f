package main_test

import (
	"strings"
	"testing"
)

// Some header fields say where a message ends, or belong to a connection. Others say where a
// request came from. If a client writes a sign such as "_" in place of the "-" in the name of one
// of these fields, the gateway does not forward the field to the service.
func TestFramingFieldsInOtherSpellings(t *testing.T) {
	issuer, service := newIssuer(t), newService(t)
	p := startGateway(t, commonConfig(issuer, service), nil)
	for _, name := range []string{
		"Transfer-Encoding", "Content-Length", "Keep-Alive", "Proxy-Connection", "Proxy-Authorization",
		"Proxy-Authenticate", "Proxy-Authentication-Info", "Http2-Settings",
		"X-Forwarded-For", "X-Forwarded-Prefix", "X-Original-Url", "X-Real-Ip", "X-Rewrite-Url", "X-Envoy-Original-Path",
		"X-Http-Host-Override", "True-Client-Ip",
	} {
		for _, sign := range []string{"_", ".", "~", "+", "!", "'"} {
			spelled := strings.ReplaceAll(name, "-", sign)
			if spelled == name {
				continue
			}
			for _, s := range []string{spelled, strings.ToUpper(spelled), strings.ToLower(spelled)} {
				a, err := sendBytes(t, p.addr("proxy"), "POST /open/x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n"+
					s+": chunked\r\n\r\nbody")
				if err != nil {
					t.Fatalf("%s: %v", s, err)
				}
				got := a.seen(t)
				for n, values := range got.Header {
					if foldName(strings.NewReplacer("!", "-", "'", "-").Replace(n)) == foldName(name) && strings.Contains(values[0], "chunked") {
						t.Errorf("%s reached the service as %s", s, n)
					}
				}
				if got.Body != "body" {
					t.Errorf("%s: the service got the body %q", s, got.Body)
				}
			}
		}
	}
	// These names of header fields look similar to those that the gateway removes, but these fields
	// reach the service.
	s := sendRequest(t, "GET", p.url("proxy", "/open/x"), "", "Api_key: 1", "X-Request_id: 2", "Content_Kind: 3", "Xforwardedfor: 4").seen(t)
	for _, name := range []string{"Api_key", "X-Request_id", "Content_Kind", "Xforwardedfor"} {
		if s.Header[name] == nil && s.Header[strings.ToUpper(name[:1])+strings.ToLower(name[1:])] == nil {
			t.Errorf("%s doesn't reach the service: %v", name, s.Header)
		}
	}
}
