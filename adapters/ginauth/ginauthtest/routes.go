// Package ginauthtest lists the routes of a gin engine, for [xenaauthtest.TestRoutes].
package ginauthtest

import (
	"github.com/gin-gonic/gin"

	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// Routes returns the routes of e. The Source of a route is the name of its handler. The handlers of
// NoRoute and NoMethod are not listed.
func Routes(e *gin.Engine) []xenaauthtest.Route {
	var routes []xenaauthtest.Route
	for _, r := range e.Routes() {
		routes = append(routes, xenaauthtest.Route{
			Method: r.Method, Pattern: r.Path, Template: xenaauthtest.ColonTemplate(r.Path), Source: r.Handler,
		})
	}
	return routes
}
