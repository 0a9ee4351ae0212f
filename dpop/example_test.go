package dpop_test

import (
	"log"
	"net/http"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/dpop"
	"github.com/xenaauth/xenaauth/replay"
)

// The examples in this file have no output, so the go command only compiles them.
// docs/possession.md contains the same code.
func Example() {
	var v *xenaauth.Validator
	pay := func(http.ResponseWriter, *http.Request) {}

	proof, err := dpop.New(dpop.Config{PublicOrigins: []string{"https://api.example"}})
	if err != nil {
		log.Fatal(err)
	}
	auth := xenaauth.NewMiddleware(v, &xenaauth.Options{Proofs: []xenaauth.Proof{proof}})

	// This route requires a bound token. The other routes also accept bearer tokens.
	bound := auth.Require(xenaauth.BoundToken(), xenaauth.AllScopes("pay"))
	mux := http.NewServeMux()
	mux.Handle("POST /payments", bound(http.HandlerFunc(pay)))
}

// In this example, several instances share a replay store and the secrets of the nonces.
func Example_fleet() {
	var shared replay.Store
	var fleetSecret []byte

	proof, err := dpop.New(dpop.Config{
		PublicOrigins: []string{"https://api.example"},
		Replay:        shared,
		NonceSecrets:  [][]byte{fleetSecret},
	})
	if err != nil {
		log.Fatal(err)
	}
	_ = proof
}

// In this example, every token must be bound to a key, on all routes.
func Example_required() {
	var v *xenaauth.Validator
	var proof *dpop.Proof

	auth := xenaauth.NewMiddleware(v, &xenaauth.Options{
		Proofs:       []xenaauth.Proof{proof},
		RequireProof: true,
	})
	_ = auth
}

// In this example, the environment says whether proofs are accepted or required.
func ExampleFromEnv() {
	var v *xenaauth.Validator

	var opts xenaauth.Options
	if err := dpop.FromEnv(&opts, dpop.Config{}); err != nil {
		log.Fatal(err)
	}
	auth := xenaauth.NewMiddleware(v, &opts)
	_ = auth
}
