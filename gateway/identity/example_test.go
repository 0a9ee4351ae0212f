package identity_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/gateway/identity"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// In this example, Set removes an identity field that a client has sent with another spelling of
// its name.
func Example() {
	id, err := identity.New(identity.Config{ClaimHeaders: map[string]string{"X-Auth-Name": "name"}})
	if err != nil {
		log.Fatal(err)
	}
	user := xenaauthtest.User(xenaauthtest.Token{
		Subject: "104711", ClientID: "app", Scopes: []string{"testapi"}, Claims: map[string]any{"name": "Åse"},
	})
	h := http.Header{"X_auth_user": {"root"}, "Accept": {"*/*"}}
	if err := id.Set(h, user); err != nil {
		log.Fatal(err)
	}
	fmt.Println(h)
	// Output: map[Accept:[*/*] X-Auth-Client:[app] X-Auth-Issuer:[https://login.xena.biz] X-Auth-Name:[%C3%85se] X-Auth-Scopes:[testapi] X-Auth-User:[104711]]
}

// In this example, a service behind the gateway verifies the assertion with a Validator, as if it
// were an access token whose issuer is the gateway.
func ExampleAssertionConfig() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	id, err := identity.New(identity.Config{Assertion: &identity.AssertionConfig{
		Issuer: "https://gateway.internal", Audience: "orders", Keys: []crypto.Signer{key},
	}})
	if err != nil {
		log.Fatal(err)
	}
	gateway := httptest.NewServer(id.JWKSHandler())
	defer gateway.Close()

	service, err := xenaauth.NewValidator(xenaauth.Config{
		Issuer: "https://gateway.internal", JWKSURL: gateway.URL, Audiences: []string{"orders"},
	})
	if err != nil {
		log.Fatal(err)
	}
	handler := xenaauth.NewMiddleware(service, nil).Require(xenaauth.AnyUser())(http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			user, _ := xenaauth.UserFromContext(r.Context())
			fmt.Println(user.Subject(), user.ClientID(), user.Scopes())
		}))

	out := httptest.NewRequest("GET", "/", nil)
	user := xenaauthtest.User(xenaauthtest.Token{Subject: "104711", ClientID: "app", Scopes: []string{"testapi"}})
	if err := id.Set(out.Header, user); err != nil {
		log.Fatal(err)
	}
	// The middleware reads the token from Authorization. So the service copies the assertion into
	// this field.
	out.Header.Set("Authorization", "Bearer "+out.Header.Get("X-Auth-Assertion"))
	handler.ServeHTTP(httptest.NewRecorder(), out)
	// Output: 104711 app [testapi]
}
