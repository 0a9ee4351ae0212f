// Package mtls confirms that a client has the certificate to which its access token is bound (RFC
// 8705). Only the owner of the certificate's private key can use the token, because the client
// shows the certificate in a TLS handshake, and signs the handshake with that key.
//
// A [Proof] is one of Options.Proofs of a [xenaauth.Middleware]. It takes the certificate from the
// TLS connection, or from a header field in which a proxy passes the certificate on. The server
// must ask for client certificates and need not verify them: set [crypto/tls.Config.ClientAuth] to
// [crypto/tls.RequestClientCert]. The issuer has decided which certificates are good when it bound
// the token (RFC 8705, section 6.2).
package mtls

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/internal/fieldname"
	"github.com/xenaauth/xenaauth/internal/peers"
)

// Form says how a proxy writes the client's certificate into a header field.
type Form string

// These constants are the values of [Config.Form]. Each comment names the default field: the header
// field that the Proof reads if [Config.Field] is "".
const (
	// RFC9440 is the form of RFC 9440: the DER of the certificate as a Byte Sequence, for example
	// ":MIIB...=:". The default field is Client-Cert.
	RFC9440 Form = "rfc9440"
	// Nginx is the form of the variable $ssl_client_escaped_cert in nginx: the certificate in PEM,
	// with "%" encoding. The default field is X-SSL-Client-Cert.
	Nginx Form = "nginx"
	// Envoy is the form that the proxy Envoy uses: "Hash=...;Cert=...". The documentation of the
	// proxy calls it XFCC. The default field is X-Forwarded-Client-Cert. A value with several
	// elements is refused, so the proxy must be configured with forward_client_cert_details:
	// SANITIZE_SET.
	Envoy Form = "envoy"
	// HAProxy is the form that the expression ssl_c_der,base64 makes in the proxy HAProxy: the DER
	// of the certificate in base64. The default field is X-SSL-Client-DER.
	HAProxy Form = "haproxy"
	// Traefik is the form that the middleware passTLSClientCert makes in the proxy Traefik, with
	// the setting pem: true. The certificates of the client are in base64, with commas between
	// them. The first is the certificate of the client itself. The default field is
	// X-Forwarded-Tls-Client-Cert.
	Traefik Form = "traefik"
)

// fieldForms lists the forms of the header field with the client's certificate. Each form has the
// default name of the field, and the function that reads the value of the field.
var fieldForms = map[Form]struct {
	field string
	read  func(value string) (thumbprint, error)
}{
	RFC9440: {"Client-Cert", readByteSequence},
	Nginx:   {"X-Ssl-Client-Cert", readEscapedPEM},
	Envoy:   {"X-Forwarded-Client-Cert", readXFCC},
	HAProxy: {"X-Ssl-Client-Der", readBase64},
	Traefik: {"X-Forwarded-Tls-Client-Cert", readList},
}

// Config says where a [Proof] finds the client's certificate. With the zero value, it finds the
// certificate in the TLS connection only.
type Config struct {
	// Form is the form of the header field in which trusted proxies pass the client's certificate
	// on. If Form is "", no header field is read.
	//
	// With a Form, the field is the only source for requests from TrustedPeers. If such a request
	// has no field, or a repeated field, its certificate is unknown. For all other requests, the
	// Proof ignores the field and reads the TLS connection.
	Form Form
	// Field is the name of the header field. "" means the default field of Form.
	Field string
	// TrustedPeers are the networks from which the proxies connect. They are required if Form is
	// set, and must be empty if Form is "". The proxies must remove the header field from every
	// request of a client, even if the client has no certificate. Otherwise a client can write the
	// field itself. New refuses a network that contains all addresses.
	//
	// The address of the peer is the RemoteAddr of the request. Some middleware replaces RemoteAddr
	// by an address that it reads in a header field, such as X-Real-IP. Such middleware must not
	// run before the Proof: a client could write the address of a trusted proxy into the field.
	TrustedPeers []netip.Prefix
}

// Proof is the [xenaauth.Proof] for tokens that are bound to a client certificate. It is safe for
// concurrent use.
type Proof struct {
	form    Form
	field   string
	read    func(value string) (thumbprint, error)
	trusted peers.Networks
}

var _ xenaauth.Proof = (*Proof)(nil)

// New returns a Proof. The error of New lists every mistake in cfg, joined by [errors.Join].
func New(cfg Config) (*Proof, error) {
	var errs []error
	addMistake := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("mtls: Config.%s %w", field, fmt.Errorf(format, args...)))
	}
	form, known := fieldForms[cfg.Form]
	p := &Proof{form: cfg.Form, field: form.field, read: form.read}
	switch {
	case cfg.Form == "" && len(cfg.TrustedPeers) > 0:
		addMistake("TrustedPeers", "is set without Form")
	case cfg.Form == "" && cfg.Field != "":
		addMistake("Field", "is set without Form")
	case cfg.Form == "":
	case !known:
		addMistake("Form", "is %q, which is unknown", string(cfg.Form))
	case len(cfg.TrustedPeers) == 0:
		addMistake("TrustedPeers", "is empty: a header field is believed only from known proxies")
	}
	if cfg.Field != "" {
		if !isFieldName(cfg.Field) {
			addMistake("Field", `is not a name of letters, digits and "-", or has another meaning in HTTP`)
		}
		p.field = http.CanonicalHeaderKey(cfg.Field)
	}
	var unusable []error
	p.trusted, unusable = peers.New(cfg.TrustedPeers)
	for _, err := range unusable {
		addMistake("TrustedPeers", "%w", err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return p, nil
}

// isFieldName reports whether name may be the name of the field with the certificate. A name with
// "_" is refused, because many servers remove fields with such a name.
func isFieldName(name string) bool {
	isOther := func(r rune) bool {
		return r >= 128 || r != '-' && fieldname.IsSign(byte(r))
	}
	return len(name) <= 64 && strings.Trim(name, "-") == name && !strings.ContainsFunc(name, isOther) &&
		!slices.Contains(otherFields, strings.ToLower(name))
}

// otherFields are fields that Config.Field must not name, because clients and proxies send them for
// another purpose.
var otherFields = []string{
	"accept", "authorization", "connection", "content-length", "content-type", "cookie", "dpop",
	"forwarded", "host", "origin", "referer", "transfer-encoding", "upgrade", "user-agent", "via",
	"x-forwarded-for", "x-forwarded-host", "x-forwarded-proto",
}

// Scheme returns "Bearer": tokens that are bound to a certificate are sent as Bearer tokens (RFC
// 8705).
func (p *Proof) Scheme() string { return "Bearer" }

// Member returns "x5t#S256": this member of cnf contains the thumbprint of the certificate (RFC
// 8705, section 3.1).
func (p *Proof) Member() string { return "x5t#S256" }

// Params returns nil: RFC 8705 defines no parameters for challenges.
func (p *Proof) Params() map[string]string { return nil }

// Respond does nothing, because the response to the client needs no further fields.
func (p *Proof) Respond(http.Header, *http.Request, error) {}
