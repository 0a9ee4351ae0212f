// Package echov4auth guards routes of echo v4 with [xenaauth]:
//
//	e.GET("/invoices/:id", invoice, echov4auth.Require(auth, xenaauth.AllScopes("testapi")))
//
// A refusal is answered as net/http's is, by [xenaauth.Middleware.Deny], and then returned as an [*xenaauth.Error] on a
// response that is committed. So loggers and a HTTPErrorHandler of the application see it, and echo's own handlers
// leave it alone, as a handler of the application has to: echo calls it for committed responses in other cases too. They
// are not left to answer: echo's would make it a 500. Another body is for [xenaauth.Options] to choose.
//
// The parameters of the route are set in the request before the token is checked. So a policy of
// [xenaauth.WhereRequest], and a handler of net/http, get them from [http.Request.PathValue], with the names and values
// that Param has: r.PathValue("id") for ":id", r.PathValue("*") for "*". echo doesn't decode the values of a path that is
// escaped in an unusual way ("%2F"); a policy sees what the handler sees. The route is in the request's Pattern, as echo
// writes it. A guard of Echo.Use, of a group or of a route runs after echo has found the route. One of Echo.Pre runs before:
// every value is "", so a policy that reads values doesn't belong there.
package echov4auth

import (
	"errors"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"github.com/xenaauth/xenaauth"
)

// Require is [xenaauth.Middleware.Require] for echo: requests whose user doesn't meet every requirement go no further.
// It panics as that does.
func Require(m *xenaauth.Middleware, rs ...xenaauth.Requirement) echo.MiddlewareFunc {
	m.Require(rs...) // for its panics: a mistake shows when routes are set up
	rs = slices.Clone(rs)
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			setPathValues(c)
			decided := false
			defer answerUndecided(c, m, &decided)
			allowed, err := m.Check(c.Request(), rs...)
			decided = true
			if err != nil {
				return deny(c, m, err)
			}
			m.Challenge(c.Response().Header(), allowed, nil)
			c.SetRequest(allowed)
			return next(c)
		}
	}
}

// Optional is [xenaauth.Middleware.Optional] for echo: requests without a bearer token pass, without a user. It panics
// as that does.
func Optional(m *xenaauth.Middleware) echo.MiddlewareFunc {
	m.Optional(http.NotFoundHandler()) // for its panics
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			setPathValues(c)
			decided := false
			defer answerUndecided(c, m, &decided)
			allowed, err := m.CheckOptional(c.Request())
			decided = true
			if err != nil {
				return deny(c, m, err)
			}
			m.Challenge(c.Response().Header(), allowed, nil)
			c.SetRequest(allowed)
			return next(c)
		}
	}
}

// setPathValues sets the route and its parameters in the request, where policies and handlers of net/http look for them.
func setPathValues(c echo.Context) {
	values := c.ParamValues()
	for i, name := range slices.Backward(c.ParamNames()) { // of two parameters with one name, Param returns the first
		c.Request().SetPathValue(name, values[i])
	}
	if route := c.Path(); route != "" {
		c.Request().Pattern = route
	}
}

var errPanicked = errors.New("the check of the request panicked")

// answerUndecided answers 503 if a policy or hook panicked before the request was decided.
func answerUndecided(c echo.Context, m *xenaauth.Middleware, decided *bool) {
	if !*decided {
		c.Response().WriteHeader(m.Challenge(c.Response().Header(), c.Request(), errPanicked))
	}
}

func deny(c echo.Context, m *xenaauth.Middleware, err error) error {
	m.Deny(c.Response(), c.Request(), err)
	return err
}

// User returns the user of a request that [Require] or [Optional] let pass.
func User(c echo.Context) (*xenaauth.User, bool) {
	return xenaauth.UserFromContext(c.Request().Context())
}
