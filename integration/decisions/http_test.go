package decisions

import (
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/xenaauth/xenaauth/gateway/forwardauth"
	"github.com/xenaauth/xenaauth/gateway/routes"
)

// newHTTPSender returns a sender for net/http. Its requests go to a handler behind a routes.Guard.
func newHTTPSender(_ *testing.T, s *site) sender {
	guarded := routes.NewGuard(s.auth, s.table.Find).Handler(http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) { w.Header().Set("X-Auth-User", userSubject(r.Context())) }))
	return func(t *testing.T, in request) response {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.TLS = new(tls.ConnectionState)
		if in.certificate != nil {
			r.TLS.PeerCertificates = append(r.TLS.PeerCertificates, in.certificate.Leaf)
		}
		r.URL.Path, r.RequestURI, r.Host, r.Header = in.path, in.path, "api.example", in.header.Clone()
		return answered(t, guarded, r.WithContext(plant(r.Context())))
	}
}

// trustedProxies contains the networks of the proxies that may ask for a decision by forward
// authentication.
var trustedProxies = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}

// newForwardAuthSender returns a sender for forward authentication. For each request of a client,
// the sender sends a subrequest, as the proxy Caddy does: the subrequest asks whether the client's
// request may pass.
func newForwardAuthSender(t *testing.T, s *site) sender {
	handler, err := forwardauth.New(forwardauth.Config{
		Middleware: s.auth, Find: s.table.Find, Identity: s.identity, Dialect: forwardauth.Caddy,
		TrustedPeers: trustedProxies,
	})
	fatal(t, err)
	return func(t *testing.T, in request) response {
		r := httptest.NewRequest(http.MethodGet, "/verify", nil)
		r.RemoteAddr = "198.51.100.7:40000"
		r.Header = in.header.Clone()
		r.Header.Del("Client-Cert") // the proxy writes this field itself
		if in.certificate != nil {
			r.Header.Set("Client-Cert", ":"+base64.StdEncoding.EncodeToString(in.certificate.Leaf.Raw)+":")
		}
		r.Header.Set("X-Forwarded-Method", http.MethodPost)
		r.Header.Set("X-Forwarded-Host", "api.example")
		r.Header.Set("X-Forwarded-Uri", (&url.URL{Path: in.path}).EscapedPath())
		return answered(t, handler, r.WithContext(plant(r.Context())))
	}
}

func answered(t *testing.T, h http.Handler, r *http.Request) response {
	w := httptest.NewRecorder()
	func() {
		// A handler that calls the guard may recover from a panic, as this code does, and then
		// write no response.
		defer func() { _ = recover() }()
		h.ServeHTTP(w, r)
	}()
	header := w.Result().Header
	out := response{status: w.Code, header: header, decision: decision{
		allowed: w.Code == http.StatusOK, user: header.Get("X-Auth-User"), code: codeOf(w.Code),
		challenges: strings.Join(header["Www-Authenticate"], ", "), retryAfter: header.Get("Retry-After"),
	}}
	if w.Body.Len() > 0 {
		out.reason = reasonOf(t, w.Body.Bytes())
	}
	return out
}

// reasonOf returns the reason of a refusal. body is the body of the refusal, which contains problem
// details (RFC 9457).
func reasonOf(t *testing.T, body []byte) string {
	var problem struct{ Reason string }
	fatal(t, json.Unmarshal(body, &problem))
	return problem.Reason
}
