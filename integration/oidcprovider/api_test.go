package oidcprovider_test

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/dpop"
	"github.com/xenaauth/xenaauth/mtls"
)

const (
	secret = "a secret that the tests share with the issuer"

	// The issuer knows the API by two names, which are these constants. Tokens for jwtResource are
	// JWTs, and tokens for opaqueResource are opaque.
	jwtResource    = "https://api.example/jwt"
	opaqueResource = "https://api.example/opaque"
)

// api is an API that accepts only tokens that are bound to a key. Each request must have a DPoP
// proof or the right client certificate.
type api struct {
	server *httptest.Server
}

// startAPI starts an API without routes and returns it as a. The issuer can then learn the URL of
// the API. The second result, connect, is a function that adds the routes. The test must call it
// with the URL of the issuer before the API gets requests. If the test passes secrets for nonces to
// connect, the API requires a nonce in each DPoP proof.
func startAPI(t *testing.T) (a *api, connect func(issuer string, nonces ...[]byte)) {
	t.Helper()
	mux := http.NewServeMux()
	a = &api{server: httptest.NewUnstartedServer(mux)}
	parent := testAuthority()
	a.server.TLS = &tls.Config{
		Certificates: []tls.Certificate{signCertificate(&parent, "api")}, ClientAuth: tls.RequestClientCert,
	}
	a.server.StartTLS()
	t.Cleanup(a.server.Close)
	return a, func(issuer string, nonces ...[]byte) {
		t.Helper()
		v, err := xenaauth.NewValidator(xenaauth.Config{
			Issuer:            issuer,
			Audiences:         []string{"testapi"},
			Profile:           xenaauth.ProfileRFC9068,
			AllowClientTokens: true, // with the client credentials grant, the token has no user
			Introspection:     &xenaauth.Introspection{ClientID: "api", ClientSecret: secret},
			HTTPClient:        newHTTPClient(nil),
		})
		if err != nil {
			t.Fatal(err)
		}
		proof, err := dpop.New(dpop.Config{PublicOrigins: []string{a.server.URL}, NonceSecrets: nonces})
		if err != nil {
			t.Fatal(err)
		}
		certificate, err := mtls.New(mtls.Config{})
		if err != nil {
			t.Fatal(err)
		}
		auth := xenaauth.NewMiddleware(v, &xenaauth.Options{
			Proofs: []xenaauth.Proof{proof, certificate}, RequireProof: true,
		})
		mux.Handle("/", auth.Require(xenaauth.AllScopes("read"))(http.HandlerFunc(whoami)))
		mux.Handle("/backchannel-logout", v.LogoutHandler("app"))
	}
}

// whoami is the handler of the API. It responds with the subject, the client and the key binding of
// the token.
func whoami(w http.ResponseWriter, r *http.Request) {
	user, _ := xenaauth.UserFromContext(r.Context())
	var cnf struct {
		Key         string `json:"jkt"`
		Certificate string `json:"x5t#S256"`
	}
	_ = user.Claim("cnf", &cnf)
	_ = json.NewEncoder(w).Encode(map[string]string{
		"subject": user.Subject(), "client": user.ClientID(), "key": cnf.Key, "certificate": cnf.Certificate,
	})
}

// newHTTPClient returns an HTTP client that trusts the certificate authority of the tests. If
// certificate is not nil, the HTTP client presents it to servers.
func newHTTPClient(certificate *tls.Certificate) *http.Client {
	config := &tls.Config{RootCAs: trustedRoots()}
	if certificate != nil {
		config.Certificates = []tls.Certificate{*certificate}
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}}
}

// apiResponse describes a response of the API, as the client received it.
type apiResponse struct {
	Status    int
	Challenge string
	Nonce     string   // the value of the header field DPoP-Nonce
	Reason    string   // the reason in the problem details of a refusal
	Requests  int      // the number of requests that the client sent
	Schemes   []string // the schemes of the challenges, as the client parsed them

	// The handler whoami writes these values. They are empty if the request was refused.
	Subject, Client, Key, Certificate string
}

// clientResults is what the program client.mjs prints.
type clientResults struct {
	Type       string // the token_type in the issuer's response
	Thumbprint string // the thumbprint of the client's key; the npm package jose computes it
	// the thumbprint of the key in the access token (cnf.jkt), if the token is a JWT
	Bound     string
	First     apiResponse // the response to a GET request whose URL has a query and a fragment
	Second    apiResponse // the response to a POST request
	Refreshed apiResponse // the response to a GET request with a refreshed access token
	LoggedOut apiResponse // the response to a GET request after the logout at the issuer
	Misuse    map[string]apiResponse
}

// api.read sends a request with a bearer token to the API and returns the response.
func (a *api) read(t *testing.T, c *http.Client, token string) (s apiResponse) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.server.URL+"/read", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(body, &s); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	s.Status, s.Challenge = resp.StatusCode, resp.Header.Get("WWW-Authenticate")
	return s
}
