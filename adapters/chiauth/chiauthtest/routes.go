// Package chiauthtest lists the routes of a chi router, for [xenaauthtest.TestRoutes].
package chiauthtest

import (
	"fmt"
	"net/http"
	"reflect"
	"runtime"

	"github.com/go-chi/chi/v5"

	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// Routes returns the routes of r and of the routers that are mounted in it, in no particular order.
// The Source of a route is the name of its handler with the file and line at which the handler
// begins, or the type of the handler. If a handler is mounted with [chi.Mux.Mount] and is not a chi
// router, it is listed as one route for each method and pattern: Routes can't list the routes
// inside it.
func Routes(r chi.Routes) []xenaauthtest.Route {
	var routes []xenaauthtest.Route
	// chi.Walk returns an error only if the function that it calls for each route returns an error.
	// The function below always returns nil.
	_ = chi.Walk(r, func(method, pattern string, h http.Handler, _ ...func(http.Handler) http.Handler) error {
		routes = append(routes, xenaauthtest.Route{Method: method, Pattern: pattern, Source: source(h)})
		return nil
	})
	return routes
}

func source(h http.Handler) string {
	f, ok := h.(http.HandlerFunc)
	if !ok {
		return fmt.Sprintf("%T", h)
	}
	pc := reflect.ValueOf(f).Pointer()
	file, line := runtime.FuncForPC(pc).FileLine(pc)
	return fmt.Sprintf("%s, %s:%d", runtime.FuncForPC(pc).Name(), file, line)
}
