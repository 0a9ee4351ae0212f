package xenaauthtest_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// recorder is an API for tests of Client. It records the requests, and asks for a DPoP nonce unless
// the field nonce is "".
type recorder struct {
	nonce    string
	requests []*http.Request
	bodies   []string
}

func (s *recorder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.requests, s.bodies = append(s.requests, r), append(s.bodies, string(body))
	if s.nonce == "" {
		return
	}
	w.Header().Set("DPoP-Nonce", s.nonce)
	if !strings.Contains(string(proofPart(r.Header.Get("DPoP"), 1)), `"nonce":"`+s.nonce+`"`) {
		w.Header().Add("WWW-Authenticate", `Bearer realm="xena"`)
		w.Header().Add("WWW-Authenticate", `DPoP realm="xena", error="use_dpop_nonce"`)
		w.WriteHeader(http.StatusUnauthorized)
	}
}

func (s *recorder) last() *http.Request { return s.requests[len(s.requests)-1] }

// proofPart returns a decoded part of a DPoP proof: part 0 is its header, part 1 its claims.
func proofPart(proof string, n int) []byte {
	raw, _ := base64.RawURLEncoding.DecodeString(strings.Split(proof+"..", ".")[n])
	return raw
}

func newKey[K any](key K, err error) K {
	if err != nil {
		panic(err)
	}
	return key
}

// sendRequest sends a request with a Client and returns the status of the response.
func sendRequest(t *testing.T, c *xenaauthtest.Client, method, target string, body io.Reader) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, target, body)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: c}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

func TestDPoPProofs(t *testing.T) {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	rsaKey := newKey(rsa.GenerateKey(rand.Reader, 2048))
	for alg, key := range map[string]crypto.Signer{
		"ES256": nil,
		"ES384": newKey(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)),
		"ES512": newKey(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)),
		"EdDSA": newKey(ed, err),
		"RS256": rsaKey,
		"PS384": rsaKey,
	} {
		t.Run(alg, func(t *testing.T) {
			api := new(recorder)
			client := xenaauthtest.NewDPoPClient(key)
			client.Handler, client.Token = api, "a-token"
			if alg == "PS384" {
				client.Edit = func(header, _ map[string]any) { header["alg"] = alg }
			}
			for range 2 {
				sendRequest(t, client, http.MethodPut, "https://api.example:8443/a%2Fb/c?q=1#f", nil)
			}
			r := api.last()
			equal(t, "Authorization", r.Header["Authorization"], []string{"DPoP a-token"})
			proof := r.Header.Get("DPoP")
			header, claims := decode(t, proof)
			equal(t, "typ", header["typ"], "dpop+jwt")
			equal(t, "alg", header["alg"], alg)
			equal(t, "htm", claims["htm"], "PUT")
			equal(t, "htu", claims["htu"], "https://api.example:8443/a%2Fb/c")
			digest := sha256.Sum256([]byte("a-token"))
			equal(t, "ath", claims["ath"], base64.RawURLEncoding.EncodeToString(digest[:]))
			if iat, _ := claims["iat"].(float64); time.Since(time.Unix(int64(iat), 0)).Abs() > time.Minute {
				t.Errorf("iat %v", claims["iat"])
			}
			if _, before := decode(t, api.requests[0].Header.Get("DPoP")); before["jti"] == claims["jti"] {
				t.Error("two proofs have the same jti")
			}
			jwk := map[string]string{"alg": alg}
			for name, value := range header["jwk"].(object) {
				jwk[name] = value.(string)
			}
			if !verifies(t, proof, jwk) {
				t.Error("the signature is wrong")
			}
		})
	}
}

// TestDPoPThumbprint calculates the thumbprint of the key in the examples of RFC 9449, and compares
// it with the thumbprint in the RFC.
func TestDPoPThumbprint(t *testing.T) {
	coordinate := func(s string) []byte { return newKey(base64.RawURLEncoding.DecodeString(s)) }
	// In this form of the public key, the first byte is 4. It means that the point is not
	// compressed (SEC 1, section 2.3.3).
	point := slices.Concat([]byte{4},
		coordinate("l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs"),
		coordinate("9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"))
	public := newKey(ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point))
	client := xenaauthtest.NewDPoPClient(&ecdsa.PrivateKey{PublicKey: *public})
	const want = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
	equal(t, "thumbprint", client.Thumbprint(), want)

	issuer := fastIssuer(xenaauthtest.IdentityServer4)
	token := xenaauthtest.Token{BoundTo: client}
	_, claims := decode(t, issuer.JWT(token))
	equal(t, "cnf of a JWT", claims["cnf"], any(object{"jkt": want}))
	answer := active(t, issuer, issuer.Opaque(token))
	equal(t, "cnf of an opaque token", answer["cnf"], any(object{"jkt": want}))
	equal(t, "token_type", answer["token_type"], "DPoP")

	// Keycloak, another identity server, writes a further member into the claim cnf of a bound
	// token.
	keycloak := object{"jkt": client.Thumbprint(), "kc-jkt-type": "Binary"}
	_, claims = decode(t, issuer.JWT(xenaauthtest.Token{BoundTo: client, Claims: object{"cnf": keycloak}}))
	equal(t, "cnf of Keycloak", claims["cnf"], any(keycloak))
}

func TestDPoPNonces(t *testing.T) {
	api := &recorder{nonce: "n1"}
	client := xenaauthtest.NewDPoPClient(nil)
	client.Handler = api
	expect := func(what string, status, requests int, bodies ...string) {
		t.Helper()
		equal(t, "requests "+what, len(api.requests), requests)
		equal(t, "bodies "+what, api.bodies, bodies)
		api.requests, api.bodies = nil, nil
		if status != http.StatusOK {
			t.Errorf("status %d %s", status, what)
		}
	}
	const url = "https://api.example/"
	expect("with the first nonce", sendRequest(t, client, "POST", url, strings.NewReader("x")), 2, "x", "x")
	expect("with a known nonce", sendRequest(t, client, "POST", url, strings.NewReader("y")), 1, "y")
	expect("at another origin", sendRequest(t, client, "POST", "http://api.example/", nil), 2, "", "")
	api.nonce = "n2"
	expect("after a change", sendRequest(t, client, "GET", url, nil), 2, "", "")

	api.nonce = "n3"
	// http.NewRequest sets GetBody only for some types of readers, and not for this type. So the
	// client can't send the body again.
	body := struct{ io.Reader }{bytes.NewReader([]byte("z"))}
	if status := sendRequest(t, client, "POST", url, body); status != http.StatusUnauthorized || len(api.requests) != 1 {
		t.Errorf("a body that can't be read again: status %d after %d requests", status, len(api.requests))
	}
	api.nonce = "n4"
	client.Edit = func(_, claims map[string]any) { claims["nonce"] = "wrong" }
	api.requests = nil
	if status := sendRequest(t, client, "GET", url, nil); status != http.StatusUnauthorized || len(api.requests) != 2 {
		t.Errorf("a wrong nonce: status %d after %d requests, want 401 after 2", status, len(api.requests))
	}
}

// TestWrongProofs shows how a test can send wrong proofs.
func TestWrongProofs(t *testing.T) {
	api := &recorder{nonce: "n"}
	client := xenaauthtest.NewDPoPClient(nil)
	client.Handler, client.Token = api, "a-token"
	other := xenaauthtest.NewDPoPClient(nil)
	const url = "https://api.example/x"
	client.Edit = func(header, claims map[string]any) {
		header["typ"], claims["ath"], claims["jti"] = "JWT", nil, "same"
	}
	header, claims := decode(t, client.Proof("GET", url))
	if _, ok := claims["ath"]; ok || header["typ"] != "JWT" || claims["jti"] != "same" {
		t.Errorf("Edit did not change the proof: %v, %v", header, claims)
	}
	r := newKey(http.NewRequestWithContext(t.Context(), "GET", url, nil))
	r.Header.Set("DPoP", other.Proof("GET", url))
	r.Header.Set("Authorization", "Bearer a-token")
	want := r.Header.Clone()
	resp, err := client.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	equal(t, "fields of the test", api.last().Header, want)
	equal(t, "number of requests", len(api.requests), 1)
	equal(t, "request of the caller", r.Header, want)
}

// TestClientInBubble uses a client in a synctest bubble. The client must not use a network there,
// because it would block.
func TestClientInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := new(recorder)
		client := xenaauthtest.NewDPoPClient(nil)
		client.Handler = api
		time.Sleep(90 * time.Minute)
		sendRequest(t, client, "GET", "https://api.example", nil)
		_, claims := decode(t, api.last().Header.Get("DPoP"))
		equal(t, "iat", claims["iat"], any(float64(time.Now().Unix())))
		equal(t, "htu", claims["htu"], "https://api.example/")
		equal(t, "Host", api.last().Host, "api.example")
		equal(t, "RequestURI", api.last().RequestURI, "/")
	})
}

func TestMTLSClient(t *testing.T) {
	api := new(recorder)
	server := httptest.NewUnstartedServer(api)
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	server.StartTLS()
	defer server.Close()

	client := xenaauthtest.NewMTLSClient(nil)
	certificate := client.Certificate()
	again := xenaauthtest.NewMTLSClient(&certificate)
	digest := sha256.Sum256(certificate.Leaf.Raw)
	issuer := fastIssuer(xenaauthtest.IdentityServer4)
	client.Token = issuer.JWT(xenaauthtest.Token{BoundTo: client})
	_, claims := decode(t, client.Token)
	equal(t, "cnf", claims["cnf"], any(object{"x5t#S256": base64.RawURLEncoding.EncodeToString(digest[:])}))
	equal(t, "thumbprint", again.Thumbprint(), client.Thumbprint())
	if answer := active(t, issuer, client.Token); answer["token_type"] != nil {
		t.Errorf("token_type %v", answer["token_type"])
	}

	for name, use := range map[string]func() string{
		"network": func() string { client.Transport = server.Client().Transport; return server.URL },
		"handler": func() string { client.Handler = api; return "https://api.example" },
	} {
		t.Run(name, func(t *testing.T) {
			sendRequest(t, client, "GET", use(), nil)
			r := api.last()
			equal(t, "Authorization", r.Header.Get("Authorization"), "Bearer "+client.Token)
			if r.TLS == nil || len(r.TLS.PeerCertificates) != 1 || !r.TLS.PeerCertificates[0].Equal(certificate.Leaf) {
				t.Error("the server has another certificate")
			}
			if r.Header["Dpop"] != nil {
				t.Error("the request has a DPoP field")
			}
			client.Handler = nil
		})
	}
}
