package proxies

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/dpop"
	"github.com/xenaauth/xenaauth/gateway/forwardauth"
	"github.com/xenaauth/xenaauth/mtls"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// askingProxies lists the proxies that ask xenagate about each request. The function
// tlsReplacements of each proxy returns replacements for its sample configuration: pairs of an old
// and a new text. With the new texts, the proxy terminates TLS and asks for client certificates, as
// in the samples in cmd/xenagate/deploy/tls.
var askingProxies = []struct {
	proxy           *proxy
	file            string
	form            mtls.Form
	tlsReplacements func(dir, addr string) (replacements []string)
}{
	{&all[0], "nginx.conf", mtls.Nginx, func(dir, addr string) []string {
		return []string{"listen " + addr + ";", "listen " + addr + " ssl; ssl_certificate " + dir + "/server.crt; " +
			"ssl_certificate_key " + dir + "/server.key; ssl_verify_client optional_no_ca;"}
	}},
	{&all[1], "Caddyfile", mtls.RFC9440, func(dir, _ string) []string {
		return []string{
			"admin off\n", "admin off\n\tauto_https off\n", "http://", "https://", "bind 127.0.0.1\n",
			"bind 127.0.0.1\n\ttls " + dir + "/server.crt " + dir + "/server.key {\n\t\tclient_auth {\n\t\t\tmode request\n\t\t}\n\t}\n",
		}
	}},
	{&all[2], "haproxy.cfg", mtls.HAProxy, func(dir, addr string) []string {
		return []string{"bind " + addr, "bind " + addr + " ssl crt " + dir + "/server.pem verify optional ca-verify-file " +
			dir + "/server.pem ca-ignore-err all crt-ignore-err all"}
	}},
}

// renewingProof is a proof of possession for xenagate. It differs from dpop.Proof: it sends a new
// nonce with each allowed response. The type dpop.Proof does so only if the nonce of the client is
// old.
type renewingProof struct{ *dpop.Proof }

func (p renewingProof) Respond(h http.Header, r *http.Request, err error) {
	if p.Proof.Respond(h, r, err); err == nil {
		h.Set("DPoP-Nonce", "renewed")
	}
}

// TestForwardedPossession sends tokens that are bound to a key through the proxies that ask
// xenagate about each request. xenagate checks the DPoP proof in the client's request, or the
// certificate of the client's TLS connection. Nonces from xenagate must reach the client, both with
// a refusal and with an allowed request.
func TestForwardedPossession(t *testing.T) {
	for _, c := range askingProxies {
		t.Run(c.proxy.name, func(t *testing.T) {
			program := c.proxy.find(t)
			keys, err := dpop.New(dpop.Config{
				PublicOrigins: []string{publicOrigin}, NonceSecrets: [][]byte{[]byte("0123456789-0123456789-0123456789")},
			})
			if err != nil {
				t.Fatal(err)
			}
			certificates, err := mtls.New(mtls.Config{Form: c.form, TrustedPeers: forwardauth.Loopback()})
			if err != nil {
				t.Fatal(err)
			}
			e := newEnv(t, c.proxy, []xenaauth.Proof{renewingProof{keys}, certificates}...)
			dir := tempDir(t)
			front := &tlsEnv{issuer: e.issuer, addr: e.addr, roots: writeServerCertificate(t, dir)}
			args := c.proxy.config(t, dir, e)
			text, err := os.ReadFile(filepath.Join(dir, c.file))
			if err != nil {
				t.Fatal(err)
			}
			write(t, dir, c.file, strings.NewReplacer(c.tlsReplacements(dir, e.addr)...).Replace(string(text)))
			startProcess(t, dir, e.addr, program, args...)

			front.checkCertificates(t, "/api/a", e.service)
			client := xenaauthtest.NewDPoPClient(nil)
			client.Transport = front.transport()
			client.Token = e.issuer.JWT(xenaauthtest.Token{Subject: "anna", BoundTo: client})
			send := func(proof string) *http.Response {
				t.Helper()
				r, _ := http.NewRequest(http.MethodGet, publicOrigin+"/api/a?b=c", nil)
				if proof != "" {
					r.Header["Dpop"] = []string{proof}
				}
				res, err := client.RoundTrip(r)
				if err != nil {
					t.Fatal(err)
				}
				_ = res.Body.Close()
				return res
			}
			proof := client.Proof("GET", publicOrigin+"/api/a")
			if res := send(proof); res.StatusCode != 401 || len(res.Header.Values("DPoP-Nonce")) != 1 ||
				!strings.Contains(strings.Join(res.Header.Values("WWW-Authenticate"), ","), "use_dpop_nonce") {
				t.Errorf("without a nonce: %d %v", res.StatusCode, res.Header)
			}
			proof = client.Proof("GET", publicOrigin+"/api/a")
			if res := send(proof); res.StatusCode != 200 || res.Header.Get("DPoP-Nonce") != "renewed" {
				t.Errorf("%d %v", res.StatusCode, res.Header)
			}
			for name, proof := range map[string]string{
				"used before": proof, "the subrequest": client.Proof("GET", "http://"+e.gate.addr+"/verify"),
				"another path": client.Proof("GET", publicOrigin+"/api/b"),
			} {
				if res := send(proof); res.StatusCode != 401 {
					t.Errorf("%s: %d", name, res.StatusCode)
				}
			}
			e.service.failOnViolations(t)
		})
	}
}
