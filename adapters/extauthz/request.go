package extauthz

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"golang.org/x/net/http/httpguts"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/internal/target"
)

// makeRefusal returns the error for a request that the service refuses, because net/http would not
// accept the request or because parts of Envoy's message contradict each other.
func makeRefusal(reason xenaauth.Reason, cause string) error {
	return &xenaauth.Error{Reason: reason, Err: errors.New(cause)}
}

// readRequest returns the client's request in the form in which net/http reads requests. If
// readRequest also returns an error, use the request only to write the refusal.
func readRequest(ctx context.Context, in *authv3.AttributeContext) (*http.Request, error) {
	from := in.GetRequest().GetHttp()
	r := (&http.Request{
		Method:     from.GetMethod(),
		URL:        new(url.URL),
		Proto:      "HTTP/1.1", // Envoy may use another version of HTTP to the upstream
		ProtoMajor: 1,
		ProtoMinor: 1,
		Header:     make(http.Header),
		Body:       http.NoBody,
		Host:       from.GetHost(),
		RequestURI: from.GetPath(),
		TLS:        clientTLS(in.GetSource().GetCertificate()),
	}).WithContext(ctx)
	u, err := url.ParseRequestURI(r.RequestURI)
	if err != nil || strings.Contains(r.RequestURI, " ") {
		return r, makeRefusal(xenaauth.ReasonAmbiguousTarget, "the path is not a request target")
	}
	if r.Host == "" {
		return r, makeRefusal(xenaauth.ReasonAmbiguousTarget, "the host is missing")
	}
	if _, err := target.Read(target.Request{
		Method: r.Method, Host: r.Host, RequestURI: r.RequestURI, Path: u.Path, RawPath: u.RawPath,
	}); err != nil {
		return r, &xenaauth.Error{Reason: xenaauth.ReasonAmbiguousTarget, Err: err}
	}
	r.URL = u
	lines, err := readHeader(from)
	if err != nil {
		return r, err
	}
	pseudo := map[string]string{
		":method": r.Method, ":path": r.RequestURI, ":authority": r.Host, "host": r.Host, ":scheme": from.GetScheme(),
	}
	for name, values := range lines {
		if want, ok := pseudo[name]; ok {
			if len(values) != 1 || values[0] != want {
				return r, makeRefusal(xenaauth.ReasonAmbiguousTarget, "a header field contradicts the request line")
			}
			continue
		}
		if strings.HasPrefix(name, ":") {
			// A name that begins with a colon is a pseudo field of HTTP/2, which must not be in an
			// http.Header.
			continue
		}
		if !httpguts.ValidHeaderFieldName(name) || slices.ContainsFunc(values, invalidValue) {
			return r, makeRefusal(xenaauth.ReasonMalformedRequest, "a header field is malformed")
		}
		r.Header[http.CanonicalHeaderKey(name)] = values
	}
	return r, nil
}

// clientTLS returns a TLS state with the certificate of the client, which Envoy writes as PEM with
// "%" encoding. It returns nil if Envoy sends no certificate. It also returns nil if the
// certificate is malformed or longer than maxCertificate: such a certificate proves nothing, and a
// token that is bound to it is refused.
func clientTLS(escaped string) *tls.ConnectionState {
	if escaped == "" || len(escaped) > maxCertificate {
		return nil
	}
	text, err := url.PathUnescape(escaped)
	if err != nil {
		return nil
	}
	block, _ := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE" {
		return nil
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil
	}
	return &tls.ConnectionState{PeerCertificates: []*x509.Certificate{certificate}}
}

// maxCertificate is the largest length of a certificate, in bytes of PEM with "%" encoding.
const maxCertificate = 32 << 10

func invalidValue(value string) bool { return !httpguts.ValidHeaderFieldValue(value) }

// readHeader returns the header of the client's request: the values of each field, by the field's
// name in lower case. Envoy writes the header into one of two members of its message. In the member
// header_map, each line of a field is separate. In the member headers, Envoy has joined the lines
// of a field to one value.
func readHeader(from *authv3.AttributeContext_HttpRequest) (map[string][]string, error) {
	lines := make(map[string][]string)
	for _, field := range from.GetHeaderMap().GetHeaders() {
		value := field.GetValue()
		if raw := field.GetRawValue(); len(raw) > 0 {
			if value != "" && value != string(raw) {
				return nil, makeRefusal(xenaauth.ReasonMalformedRequest, "value and raw_value of a header field differ")
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
	if len(joined) == 0 {
		return lines, nil
	}
	// Envoy never sends a message with both members, headers and header_map. If another program
	// sends such a message, both members must contain the same fields.
	if len(lines) > 0 {
		if !headersAgree(lines, joined) {
			return nil, makeRefusal(xenaauth.ReasonMalformedRequest, "headers and header_map differ")
		}
		return lines, nil
	}
	// If a value contains a comma, either the client sent the comma, or Envoy joined two lines with
	// a comma. A token contains no comma. So the value is split at each comma: two lines with
	// credentials must never be read as one line with another scheme.
	if values := joined["authorization"]; len(values) == 1 && strings.Contains(values[0], ",") {
		joined["authorization"] = strings.Split(values[0], ",")
	}
	return joined, nil
}

// headersAgree reports whether the members headers and header_map of a message contain the same
// fields. lines is the content of header_map, in which the lines of each field are separate. joined
// is the content of headers, in which Envoy has joined the lines of each field with commas.
func headersAgree(lines, joined map[string][]string) bool {
	if len(lines) != len(joined) {
		return false
	}
	for name, values := range joined {
		if len(values) != 1 || values[0] != strings.Join(lines[name], ",") {
			return false
		}
	}
	return true
}
