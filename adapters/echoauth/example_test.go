package echoauth_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/labstack/echo/v5"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/echoauth"
)

func Example() {
	v, err := xenaauth.NewValidator(xenaauth.Config{Audiences: []string{"testapi"}})
	if err != nil {
		log.Fatal(err)
	}
	auth := xenaauth.NewMiddleware(v, nil)

	e := echo.New()
	e.GET("/invoices/:id", func(c *echo.Context) error {
		user, _ := echoauth.User(c)
		return c.String(http.StatusOK, "invoice "+c.Param("id")+" for "+user.Subject())
	}, echoauth.Require(auth, xenaauth.AllScopes("testapi")))

	w := httptest.NewRecorder()
	e.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/invoices/7", nil))
	fmt.Println(w.Code, w.Header().Get("WWW-Authenticate"))
	// Output: 401 Bearer realm="xena", scope="testapi"
}
