// Command echo is a small API that uses echo v5. Its routes require scopes. The environment
// variables configure the issuer: XENA_AUDIENCE is required, and [xenaauth.ConfigFromEnv] lists all
// variables. ADDR is the address to listen on. The default of ADDR is localhost:8080.
package main

import (
	"cmp"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/labstack/echo/v5"
	"github.com/labstack/echo/v5/middleware"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/echoauth"
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
func newService() (*echo.Echo, error) {
	cfg, err := xenaauth.ConfigFromEnv()
	if err != nil {
		return nil, err
	}
	validator, err := xenaauth.NewValidator(cfg)
	if err != nil {
		return nil, err
	}
	auth := xenaauth.NewMiddleware(validator, nil)

	e := echo.New()
	e.Use(middleware.Recover())
	e.GET("/health", func(c *echo.Context) error { return c.NoContent(http.StatusNoContent) })
	users := e.Group("", echoauth.Require(auth, xenaauth.AnyUser()))
	users.GET("/me", me)
	users.GET("/invoices/:id", invoice, echoauth.Require(auth, xenaauth.AllScopes(xenaauth.ScopeTestAPI)))
	return e, nil
}

func me(c *echo.Context) error {
	user, _ := echoauth.User(c)
	return c.String(http.StatusOK, fmt.Sprintf("user %s\n", user.Subject()))
}

func invoice(c *echo.Context) error {
	user, _ := echoauth.User(c)
	return c.String(http.StatusOK, fmt.Sprintf("invoice %s for %s\n", c.Param("id"), user.Subject()))
}
