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

// In this example, the service itself terminates TLS. It asks for client certificates and does not
// verify them.
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

// In this example, a proxy in the network 10.1.0.0/16 terminates TLS. It passes the certificate of
// the client on in the field Client-Cert.
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

// In this example, the program is a reverse proxy. Before it forwards a request, it removes the
// header fields that may contain a certificate. A client may have written these fields, and the
// service behind the proxy could believe them.
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
