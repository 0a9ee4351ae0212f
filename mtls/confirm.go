package mtls

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"

	"github.com/xenaauth/xenaauth"
)

// thumbprint is the SHA-256 of a client certificate in DER encoding. A token is bound to this hash,
// and the hash covers the whole certificate. So this package does not parse the certificate, and
// does not check its chain and its dates (RFC 8705, sections 6.2 and 6.3).
type thumbprint [sha256.Size]byte

// maxField is the largest length of a header field that contains a certificate, in bytes. A
// certificate with an RSA key of 4096 bits has about 2 KiB.
const maxField = 16 << 10

// Confirm returns nil if value is the thumbprint of the client's certificate. Otherwise it returns
// a refusal: 401 invalid_token (RFC 8705, section 3).
func (p *Proof) Confirm(r *http.Request, _, value string) error {
	sum, err := p.clientThumbprint(r)
	if err != nil {
		return refuse(err)
	}
	text := base64.RawURLEncoding.AppendEncode(nil, sum[:])
	if subtle.ConstantTimeCompare(text, []byte(value)) != 1 {
		return refuse(errors.New("the token is bound to another certificate than the client's"))
	}
	return nil
}

func refuse(err error) error {
	return &xenaauth.Error{Reason: xenaauth.ReasonConfirmation, Err: fmt.Errorf("mtls: %w", err)}
}

// Proof.clientThumbprint returns the thumbprint of the client's certificate. It reads the
// certificate from the TLS connection, or from the header field if a trusted proxy has sent the
// request.
func (p *Proof) clientThumbprint(r *http.Request) (thumbprint, error) {
	if p.trusted.Contains(r.RemoteAddr) {
		// The TLS connection of this request belongs to the proxy. The certificate of the proxy
		// must not count as the certificate of the client.
		return p.thumbprintInField(r.Header[p.field])
	}
	switch {
	case r.TLS == nil:
		return thumbprint{}, errors.New("the connection is without TLS, and the peer is not a trusted proxy")
	case len(r.TLS.PeerCertificates) == 0:
		return thumbprint{}, errors.New("the client showed no certificate in the TLS handshake")
	}
	return sha256.Sum256(r.TLS.PeerCertificates[0].Raw), nil
}

// Proof.thumbprintInField returns the thumbprint of the certificate that a trusted proxy has passed
// on in a header field. lines are the values of this field. A client could send the same field too,
// and some proxies keep the field of the client and add their own. So a repeated field is refused.
func (p *Proof) thumbprintInField(lines []string) (thumbprint, error) {
	switch {
	case len(lines) == 0 || len(lines) == 1 && (lines[0] == "" || lines[0] == "::"):
		// If the client has no certificate, some proxies write the field without a certificate: "",
		// or "::" in the form of RFC 9440.
		return thumbprint{}, fmt.Errorf("the proxy passed no certificate on: %s is missing", p.field)
	case len(lines) > 1:
		return thumbprint{}, fmt.Errorf("%s is repeated", p.field)
	case len(lines[0]) > maxField:
		return thumbprint{}, fmt.Errorf("%s is longer than %d bytes", p.field, maxField)
	}
	sum, err := p.read(lines[0])
	if err != nil {
		return thumbprint{}, fmt.Errorf("%s is not in the form %s: %w", p.field, p.form, err)
	}
	return sum, nil
}
