package mtls_test

import (
	"crypto/tls"
	"log"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/mtls"
)

// A service that terminates TLS itself asks for client certificates and verifies none.
func Example() {
	v, err := xenaauth.NewValidator(xenaauth.Config{Audiences: []string{"testapi"}})
	if err != nil {
		log.Fatal(err)
	}
	proof, err := mtls.New(mtls.Config{})
	if err != nil {
		log.Fatal(err)
	}
	auth := xenaauth.NewMiddleware(v, &xenaauth.Options{Proofs: []xenaauth.Proof{proof}})
	server := &http.Server{
		Addr:      ":8443",
		Handler:   auth.Require(xenaauth.AnyUser())(http.NotFoundHandler()),
		TLSConfig: &tls.Config{ClientAuth: tls.RequestClientCert},
	}
	log.Fatal(server.ListenAndServeTLS("server.crt", "server.key"))
}

// A proxy in 10.1.0.0/16 terminates TLS and passes the certificate on in Client-Cert.
func ExampleNew_behindProxy() {
	proof, err := mtls.New(mtls.Config{
		Form:         mtls.RFC9440,
		TrustedPeers: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")},
	})
	if err != nil {
		log.Fatal(err)
	}
	_ = xenaauth.Options{Proofs: []xenaauth.Proof{proof}}
}

// A reverse proxy must not forward the fields with certificates, because anyone could have written
// them.
func ExampleProof_Strip() {
	proof, err := mtls.New(mtls.Config{})
	if err != nil {
		log.Fatal(err)
	}
	upstream := &url.URL{Scheme: "http", Host: "127.0.0.1:8081"}
	_ = &httputil.ReverseProxy{Rewrite: func(pr *httputil.ProxyRequest) {
		pr.SetURL(upstream)
		proof.Strip(pr.Out.Header)
	}}
}
