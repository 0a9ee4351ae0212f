package extauthz

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"golang.org/x/net/http/httpguts"

	"github.com/xenaauth/xenaauth"
)

// The refusals of what can't be read.
var (
	errTarget = &xenaauth.Error{Reason: xenaauth.ReasonAmbiguousTarget}
	errHeader = &xenaauth.Error{Reason: xenaauth.ReasonMalformedRequest}
)

// read returns the client's request as net/http would have read it. With an error the request is good for an answer.
func read(ctx context.Context, from *authv3.AttributeContext_HttpRequest) (*http.Request, error) {
	r := (&http.Request{
		Method:     from.GetMethod(),
		URL:        new(url.URL),
		Proto:      "HTTP/1.1", // what it was in truth says nothing about what the upstream gets
		ProtoMajor: 1,
		ProtoMinor: 1,
		Header:     make(http.Header),
		Body:       http.NoBody,
		Host:       from.GetHost(),
		RequestURI: from.GetPath(),
	}).WithContext(ctx)
	target, err := url.ParseRequestURI(r.RequestURI)
	switch {
	case !httpguts.ValidHeaderFieldName(r.Method): // a method is a token too: RFC 9110, section 9.1
		return r, errTarget
	case r.Host == "" || !httpguts.ValidHostHeader(r.Host):
		return r, errTarget
	case err != nil || r.RequestURI[0] != '/' && r.RequestURI != "*" || strings.Contains(r.RequestURI, " "):
		return r, errTarget // Envoy sends absolute forms on as paths, and net/http would have taken no space
	}
	r.URL = target
	lines, err := readHeader(from)
	if err != nil {
		return r, err
	}
	pseudo := map[string]string{
		":method": r.Method, ":path": r.RequestURI, ":authority": r.Host, "host": r.Host, ":scheme": from.GetScheme(),
	}
	for name, values := range lines {
		if want, told := pseudo[name]; told {
			if len(values) != 1 || values[0] != want {
				return r, errTarget
			}
			continue
		}
		if strings.HasPrefix(name, ":") {
			continue // of HTTP/2, to which net/http gives no place in the header
		}
		if !httpguts.ValidHeaderFieldName(name) || slices.ContainsFunc(values, invalidValue) {
			return r, errHeader
		}
		r.Header[http.CanonicalHeaderKey(name)] = values
	}
	return r, nil
}

func invalidValue(value string) bool { return !httpguts.ValidHeaderFieldValue(value) }

// readHeader returns the values of fields by their names in lower case: from header_map, which has a field line for
// each, or from headers, where Envoy has joined them.
func readHeader(from *authv3.AttributeContext_HttpRequest) (map[string][]string, error) {
	lines := make(map[string][]string)
	for _, field := range from.GetHeaderMap().GetHeaders() {
		value := field.GetValue()
		if raw := field.GetRawValue(); len(raw) > 0 {
			if value != "" && value != string(raw) {
				return nil, errHeader
			}
			value = string(raw)
		}
		name := strings.ToLower(field.GetKey())
		lines[name] = append(lines[name], value)
	}
	joined := make(map[string][]string)
	for name, value := range from.GetHeaders() {
		name = strings.ToLower(name)
		joined[name] = append(joined[name], value)
	}
	switch {
	case len(joined) == 0:
		return lines, nil
	case len(lines) > 0: // Envoy never sends both
		if len(lines) != len(joined) {
			return nil, errHeader
		}
		for name, values := range joined {
			if len(values) != 1 || values[0] != strings.Join(lines[name], ",") {
				return nil, errHeader
			}
		}
		return lines, nil
	}
	// Whether a comma was in the field or has joined two of them can't be told any more. No token has one, and two fields
	// must not look like one with another scheme's credentials.
	if values := joined["authorization"]; len(values) == 1 && strings.Contains(values[0], ",") {
		joined["authorization"] = strings.Split(values[0], ",")
	}
	return joined, nil
}
