package extauthz_test

import (
	"crypto/tls"
	"encoding/pem"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/extauthz"
	"github.com/xenaauth/xenaauth/gateway/routes"
	"github.com/xenaauth/xenaauth/mtls"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// TestCertificate sends the certificate of the client in the form in which Envoy writes it. The
// rules of routes find the certificate in the TLS state of the request. A certificate that is
// malformed or too long has the same effect as no certificate.
func TestCertificate(t *testing.T) {
	var seen *tls.ConnectionState
	s := startService(t, nil, func(cfg *extauthz.Config) {
		cfg.Find = func(r *http.Request) (routes.Rule, error) {
			seen = r.TLS
			return routes.Rule{}, errors.New("no rule")
		}
	})
	leaf := xenaauthtest.NewMTLSClient(nil).Certificate().Leaf
	inPEM := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw}))
	escaped := escapePEM(inPEM)
	for name, c := range map[string]struct {
		certificate string
		found       bool
	}{
		"a certificate":          {escaped, true},
		"plus signs not escaped": {strings.ReplaceAll(escaped, "%2B", "+"), true},
		"none":                   {"", false},
		"an incomplete escape":   {escaped + "%2", false},
		"no PEM":                 {url.PathEscape("certificate"), false},
		"another kind of PEM":    {strings.ReplaceAll(escaped, "CERTIFICATE", "EC PRIVATE KEY"), false},
		"DER of something else": {
			escapePEM(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("no DER")}))), false,
		},
		"too long": {escaped + strings.Repeat("%0A", 20<<10), false},
	} {
		t.Run(name, func(t *testing.T) {
			in := get("/any").envoyMessage(true)
			in.Attributes.Source = &authv3.AttributeContext_Peer{Certificate: c.certificate}
			s.check(t, in)
			if found := seen != nil && seen.PeerCertificates[0].Equal(leaf); found != c.found || found != (seen != nil) {
				t.Errorf("the request has the TLS %+v", seen)
			}
		})
	}
}

// A token that is bound to a certificate passes only with this certificate.
func TestBoundToken(t *testing.T) {
	proof, err := mtls.New(mtls.Config{})
	fatal(t, err)
	s := startService(t, &xenaauth.Options{Proofs: []xenaauth.Proof{proof}}, nil)
	client, thief := xenaauthtest.NewMTLSClient(nil), xenaauthtest.NewMTLSClient(nil)
	token := s.issuer.JWT(xenaauthtest.Token{BoundTo: client})
	inPEM := func(c *xenaauthtest.Client) string {
		block := &pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate().Leaf.Raw}
		return escapePEM(string(pem.EncodeToMemory(block)))
	}
	for name, c := range map[string]struct {
		certificate string
		allowed     bool
	}{
		"its certificate":     {inPEM(client), true},
		"another certificate": {inPEM(thief), false},
		"another one first":   {inPEM(thief) + inPEM(client), false},
		"no certificate":      {"", false},
		"malformed":           {inPEM(client) + "%2", false},
	} {
		in := get("/any", bearer(token)).envoyMessage(true)
		in.Attributes.Source = &authv3.AttributeContext_Peer{Certificate: c.certificate}
		out := s.check(t, in)
		if allowed := out.GetOkResponse() != nil; allowed != c.allowed {
			t.Errorf("%s: %v", name, out)
		}
		if denied := out.GetDeniedResponse(); denied != nil && (denied.GetStatus().GetCode() != 401 ||
			!strings.Contains(headerOfRefusal(denied).Get("WWW-Authenticate"), "invalid_token")) {
			t.Errorf("%s: %v", name, denied)
		}
	}
}

// nonceProof is a proof of possession for tests. It accepts every bound token, and adds a nonce to
// every response.
type nonceProof struct{}

func (nonceProof) Scheme() string                                  { return "Bearer" }
func (nonceProof) Member() string                                  { return "test_key" }
func (nonceProof) Params() map[string]string                       { return nil }
func (nonceProof) Confirm(*http.Request, string, string) error     { return nil }
func (nonceProof) Respond(h http.Header, _ *http.Request, _ error) { h.Set("DPoP-Nonce", "ours") }

// A client reads only one nonce in a response (RFC 9449, section 8.1). Both xenaauth and the API
// behind Envoy may set the field DPoP-Nonce. Then the client must get the nonce of xenaauth only.
func TestNonceReplacesThatOfTheService(t *testing.T) {
	s := startService(t, &xenaauth.Options{Proofs: []xenaauth.Proof{nonceProof{}}}, nil)
	token := s.issuer.JWT(xenaauthtest.Token{Claims: map[string]any{"cnf": map[string]any{"test_key": "k"}}})
	out := s.check(t, get("/any", bearer(token)).envoyMessage(true))
	if out.GetOkResponse() == nil {
		t.Fatalf("refused: %v", out)
	}
	h := map[string][]string{"dpop-nonce": {"of the service"}}
	apply(h, out.GetOkResponse().GetResponseHeadersToAdd())
	if got := h["dpop-nonce"]; !slices.Equal(got, []string{"ours"}) {
		t.Errorf("DPoP-Nonce: %q", got)
	}
}

// escapePEM encodes PEM as Envoy does.
func escapePEM(text string) string {
	return strings.NewReplacer("\n", "%0A", " ", "%20", "+", "%2B", "/", "%2F", "=", "%3D").Replace(text)
}
