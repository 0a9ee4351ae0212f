package identity_test

import (
	"fmt"
	"log"
	"net/http/httptest"

	"github.com/xenaauth/xenaauth"
)

// In this example, a service verifies the assertion with the gateway's key set. docs/gateway.md
// contains this code.
func Example_verify() {
	r := httptest.NewRequest("GET", "/orders/7", nil)

	v, err := xenaauth.NewValidator(xenaauth.Config{
		Issuer:    "https://gateway.internal",               // AssertionConfig.Issuer
		JWKSURL:   "https://gateway.internal/identity/keys", // the URL of Identity.JWKSHandler
		Audiences: []string{"orders"},                       // AssertionConfig.Audience
	})
	if err != nil {
		log.Fatal(err)
	}
	user, err := v.Validate(r.Context(), r.Header.Get("X-Auth-Assertion"))

	fmt.Println(user, err)
}
