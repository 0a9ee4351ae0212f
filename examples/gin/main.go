// Command gin is a small API that uses gin. Its routes require scopes. The environment variables
// configure the issuer: XENA_AUDIENCE is required, and [xenaauth.ConfigFromEnv] lists all
// variables. ADDR is the address to listen on. The default of ADDR is localhost:8080.
package main

import (
	"cmp"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/ginauth"
)

func main() {
	handler, err := newService()
	if err != nil {
		log.Fatal(err)
	}
	addr := cmp.Or(os.Getenv("ADDR"), "localhost:8080")
	server := &http.Server{Addr: addr, Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	log.Fatalf("%v: ADDR is the address to listen on", server.ListenAndServe())
}

// newService returns the API. If the issuer is down, newService returns no error: requests get 503
// until the issuer is back.
func newService() (*gin.Engine, error) {
	cfg, err := xenaauth.ConfigFromEnv()
	if err != nil {
		return nil, err
	}
	validator, err := xenaauth.NewValidator(cfg)
	if err != nil {
		return nil, err
	}
	auth := xenaauth.NewMiddleware(validator, nil)

	r := gin.New()
	r.Use(gin.Recovery())
	r.GET("/health", func(c *gin.Context) { c.Status(http.StatusNoContent) })
	users := r.Group("/", ginauth.Require(auth, xenaauth.AnyUser()))
	users.GET("/me", me)
	users.GET("/invoices/:id", ginauth.Require(auth, xenaauth.AllScopes(xenaauth.ScopeTestAPI)), invoice)
	return r, nil
}

func me(c *gin.Context) {
	user, _ := ginauth.User(c)
	c.String(http.StatusOK, "user %s\n", user.Subject())
}

func invoice(c *gin.Context) {
	user, _ := ginauth.User(c)
	c.String(http.StatusOK, "invoice %s for %s\n", c.Param("id"), user.Subject())
}
