package ginauth_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/gin-gonic/gin"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/ginauth"
)

func Example() {
	v, err := xenaauth.NewValidator(xenaauth.Config{Audiences: []string{"testapi"}})
	if err != nil {
		log.Fatal(err)
	}
	auth := xenaauth.NewMiddleware(v, nil)

	router := gin.New()
	router.GET("/invoices/:id", ginauth.Require(auth, xenaauth.AllScopes("testapi")), func(c *gin.Context) {
		user, _ := ginauth.User(c)
		c.String(http.StatusOK, "invoice %s for %s", c.Param("id"), user.Subject())
	})

	w := httptest.NewRecorder()
	router.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/invoices/7", nil))
	fmt.Println(w.Code, w.Header().Get("WWW-Authenticate"))
	// Output: 401 Bearer realm="xena", scope="testapi"
}
