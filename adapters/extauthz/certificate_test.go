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
