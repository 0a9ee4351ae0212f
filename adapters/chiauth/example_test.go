package chiauth_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/go-chi/chi/v5"

	"github.com/xenaauth/xenaauth"
)

func Example() {
	v, err := xenaauth.NewValidator(xenaauth.Config{Audiences: []string{"testapi"}})
	if err != nil {
		log.Fatal(err)
	}
	auth := xenaauth.NewMiddleware(v, nil)

	router := chi.NewRouter()
	router.With(auth.Require(xenaauth.AllScopes("testapi"))).
		Get("/invoices/{id}", func(w http.ResponseWriter, r *http.Request) {
			user, _ := xenaauth.UserFromContext(r.Context())
			fmt.Fprintf(w, "invoice %s for %s", chi.URLParam(r, "id"), user.Subject())
		})

	w := httptest.NewRecorder()
	router.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/invoices/7", nil))
	fmt.Println(w.Code, w.Header().Get("WWW-Authenticate"))
	// Output: 401 Bearer realm="xena", scope="testapi"
}
