// Package echoauthtest lists the routes of a router of echo v5, for [xenaauthtest.TestRoutes].
package echoauthtest

import (
	"github.com/labstack/echo/v5"

	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// Routes returns the routes of e. The Source of a route is its name in echo: its method and path,
// unless the service has set another name. Handlers for requests without a route are not listed.
func Routes(e *echo.Echo) []xenaauthtest.Route {
	var routes []xenaauthtest.Route
	for _, r := range e.Router().Routes() {
		if r.Method == echo.RouteNotFound {
			continue
		}
		routes = append(routes, xenaauthtest.Route{
			Method: r.Method, Pattern: r.Path, Template: xenaauthtest.ColonTemplate(r.Path), Source: r.Name,
		})
	}
	return routes
}
