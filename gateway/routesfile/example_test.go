package routesfile_test

import (
	"context"
	"log"
	"net/http"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/gateway/routes"
	"github.com/xenaauth/xenaauth/gateway/routesfile"
)

// In this example, a service reads the table at its start, and again when the file has changed. The
// example has no output, so it is only compiled. docs/routes.md contains this code.
func Example() {
	var ctx context.Context
	var auth *xenaauth.Middleware
	var upstream http.Handler

	table, err := routesfile.Open("routes.yaml", nil) // or routes.New, with rules in Go
	if err != nil {
		log.Fatal(err) // the error lists every mistake with file, line and rule
	}
	for _, f := range table.Table().Lint() {
		log.Print(f)
	}
	go table.Watch(ctx)
	handler := routes.NewGuard(auth, table.Find).Handler(upstream)

	log.Fatal(http.ListenAndServe("127.0.0.1:8080", handler))
}
