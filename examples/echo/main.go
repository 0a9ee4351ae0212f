// Command echo is a small API on echo v5, guarded by scopes. Point it at an issuer by the environment, XENA_AUDIENCE at
// least: see [xenaauth.ConfigFromEnv].
package main

import (
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/labstack/echo/v5"
	"github.com/labstack/echo/v5/middleware"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/echoauth"
)

func main() {
	handler, err := service()
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Addr: "localhost:8080", Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
}

// service is all of the API. It needs no issuer to start.
func service() (*echo.Echo, error) {
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
	users := e.Group("", echoauth.Require(auth))
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
