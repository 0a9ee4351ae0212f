package xenaauthtest_test

import (
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/dpop"
	"github.com/xenaauth/xenaauth/mtls"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// This API requires a DPoP proof. The client has the key, and the thief has only the token.
func ExampleNewDPoPClient() {
	orders := func(http.ResponseWriter, *http.Request) {}

	issuer := xenaauthtest.NewIssuer(nil)
	v, err := xenaauth.NewValidator(issuer.Config())
	if err != nil {
		log.Fatal(err)
	}
	proof, err := dpop.New(dpop.Config{PublicOrigins: []string{"https://api.example"}})
	if err != nil {
		log.Fatal(err)
	}
	auth := xenaauth.NewMiddleware(v, &xenaauth.Options{
		Proofs:       []xenaauth.Proof{proof},
		RequireProof: true,
	})
	api := auth.Require(xenaauth.AnyUser())(http.HandlerFunc(orders))

	client := xenaauthtest.NewDPoPClient(nil)
	client.Handler = api
	client.Token = issuer.JWT(xenaauthtest.Token{BoundTo: client})
	resp, err := (&http.Client{Transport: client}).Get("https://api.example/orders")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("client:", resp.Status) // 200 OK
	_ = resp.Body.Close()

	thief := xenaauthtest.NewDPoPClient(nil)
	thief.Handler = api
	thief.Token = client.Token
	fmt.Println("thief:", statusOf(thief)) // 401 Unauthorized

	client.Edit = func(header, claims map[string]any) {
		claims["htm"] = "POST" // but the request is a GET request
	}
	fmt.Println("wrong proof:", statusOf(client)) // 401 Unauthorized
	// Output:
	// client: 200 OK
	// thief: 401 Unauthorized
	// wrong proof: 401 Unauthorized
}

// This API is a server on the loopback address, and its clients use the network.
func ExampleNewDPoPClient_loopback() {
	issuer := xenaauthtest.NewIssuer(nil)
	mux := http.NewServeMux()
	srv := httptest.NewServer(mux)
	defer srv.Close()
	proof, err := dpop.New(dpop.Config{PublicOrigins: []string{srv.URL}})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux.Handle("/", guardedAPI(issuer, proof))

	client := xenaauthtest.NewDPoPClient(nil)
	client.Transport = srv.Client().Transport
	client.Token = issuer.JWT(xenaauthtest.Token{BoundTo: client})
	resp, err := (&http.Client{Transport: client}).Get(srv.URL + "/orders")
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = resp.Body.Close()
	fmt.Println(resp.Status)
	// Output:
	// 200 OK
}

// This API requires a client certificate.
func ExampleNewMTLSClient() {
	issuer := xenaauthtest.NewIssuer(nil)
	proof, err := mtls.New(mtls.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	api := guardedAPI(issuer, proof)

	client := xenaauthtest.NewMTLSClient(nil)
	client.Handler = api
	client.Token = issuer.JWT(xenaauthtest.Token{BoundTo: client})
	fmt.Println("client:", statusOf(client))

	thief := xenaauthtest.NewMTLSClient(nil)
	thief.Handler = api
	thief.Token = client.Token
	fmt.Println("thief:", statusOf(thief))
	// Output:
	// client: 200 OK
	// thief: 401 Unauthorized
}

// guardedAPI returns an API that accepts a request only with a proof of possession. proofChecker
// says which kind of proof the API requires: a DPoP proof or a client certificate.
func guardedAPI(issuer *xenaauthtest.Issuer, proofChecker xenaauth.Proof) http.Handler {
	v, err := xenaauth.NewValidator(issuer.Config())
	if err != nil {
		panic(err)
	}
	auth := xenaauth.NewMiddleware(v, &xenaauth.Options{
		Proofs: []xenaauth.Proof{proofChecker}, RequireProof: true, Logger: slog.New(slog.DiscardHandler),
	})
	return auth.Require(xenaauth.AnyUser())(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
}

// statusOf sends a GET request with the client, and returns the status of its response.
func statusOf(client *xenaauthtest.Client) string {
	resp, err := (&http.Client{Transport: client}).Get("https://api.example/orders")
	if err != nil {
		return err.Error()
	}
	_ = resp.Body.Close()
	return resp.Status
}
