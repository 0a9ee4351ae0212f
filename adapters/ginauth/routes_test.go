package ginauth_test

import (
	"net/http"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/ginauth"
	"github.com/xenaauth/xenaauth/adapters/ginauth/ginauthtest"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// This is the example of TestRoutes in the README. The service here passes the test.
func TestRoutesAsInTheReadme(t *testing.T) {
	issuer := xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256"})
	v, err := xenaauth.NewValidator(issuer.Config())
	if err != nil {
		t.Fatal(err)
	}
	auth := xenaauth.NewMiddleware(v, nil)
	ok := func(c *gin.Context) { c.Status(http.StatusOK) }
	router := gin.New()
	router.GET("/health", ok)
	router.GET("/news", ginauth.Optional(auth), ok)
	router.GET("/me", ginauth.Require(auth, xenaauth.AnyUser()), ok)
	router.GET("/invoices/:id", ginauth.Require(auth, xenaauth.AllScopes("testapi")), ok)

	xenaauthtest.TestRoutes(t, xenaauthtest.Coverage{
		Handler:  router,
		Routes:   ginauthtest.Routes(router), // for other routers: chiauthtest.Routes, echoauthtest.Routes, or (*xenaauthtest.Mux).Routes
		Public:   []string{"GET /health"},
		Optional: []string{"GET /news"},
		AnyUser:  []string{"GET /me"},
		Token:    issuer.JWT(xenaauthtest.Token{Scopes: []string{}}),
	})
}
