// Package echov4authtest reads the routes of echo v4, for tests that none of them is open: see [xenaauthtest.TestRoutes].
package echov4authtest

import (
	"github.com/labstack/echo/v4"

	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// Routes returns the routes of e, with their names as Source: those of their handlers, unless the service gave them one. What is answered where there is no route is not among
// them.
func Routes(e *echo.Echo) []xenaauthtest.Route {
	var routes []xenaauthtest.Route
	for _, r := range e.Routes() {
		if r.Method == echo.RouteNotFound {
			continue
		}
		routes = append(routes, xenaauthtest.Route{
			Method: r.Method, Pattern: r.Path, Template: xenaauthtest.ColonTemplate(r.Path), Source: r.Name,
		})
	}
	return routes
}
