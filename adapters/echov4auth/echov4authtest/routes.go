// Package echov4authtest lists the routes of a router of echo v4, for [xenaauthtest.TestRoutes].
package echov4authtest

import (
	"github.com/labstack/echo/v4"

	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// Routes returns the routes of e. The Source of a route is its name in echo: the name of its
// handler, unless the service has set another name. Handlers for requests without a route are not
// listed.
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
