// Package ginauthtest reads the routes of a gin engine, for tests that none of them is open: see
// [xenaauthtest.TestRoutes].
package ginauthtest

import (
	"github.com/gin-gonic/gin"

	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// Routes returns the routes of e, with the names of their handlers as Source. What NoRoute and NoMethod answer is not
// among them.
func Routes(e *gin.Engine) []xenaauthtest.Route {
	var routes []xenaauthtest.Route
	for _, r := range e.Routes() {
		routes = append(routes, xenaauthtest.Route{
			Method: r.Method, Pattern: r.Path, Template: xenaauthtest.ColonTemplate(r.Path), Source: r.Handler,
		})
	}
	return routes
}
