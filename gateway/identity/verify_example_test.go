package identity_test

import (
	"fmt"
	"log"
	"net/http/httptest"

	"github.com/xenaauth/xenaauth"
)

// A service verifies the assertion with the key set of the gateway. docs/gateway.md shows this code.
func Example_verify() {
	r := httptest.NewRequest("GET", "/orders/7", nil)

	v, err := xenaauth.NewValidator(xenaauth.Config{
		Issuer:    "https://gateway.internal",               // AssertionConfig.Issuer
		JWKSURL:   "https://gateway.internal/identity/keys", // where Identity.JWKSHandler is mounted
		Audiences: []string{"orders"},                       // AssertionConfig.Audience
	})
	if err != nil {
		log.Fatal(err)
	}
	user, err := v.Validate(r.Context(), r.Header.Get("X-Auth-Assertion"))

	fmt.Println(user, err)
}
