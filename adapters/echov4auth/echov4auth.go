// Package echov4auth guards routes of echo v4 with [xenaauth]:
//
//	e.GET("/invoices/:id", invoice, echov4auth.Require(auth, xenaauth.AllScopes("testapi")))
//
// The response to a refused request is that of net/http, written by [xenaauth.Middleware.Deny].
// [xenaauth.Options] can choose another body. The guard then returns the refusal, an [*xenaauth.Error],
// for loggers and for the HTTPErrorHandler of the application. The response is committed, so the error
// handlers of echo add nothing, and an error handler of the application must not either: echo also
// calls it for committed responses in other cases. The guard does not leave the response to the error
// handler of echo, which would answer 500.
//
// The guard sets the parameters of the route in the request before it checks the token. So a policy of
// [xenaauth.WhereRequest], and a handler of net/http, get them from [http.Request.PathValue]. Names and
// values are those of Param: r.PathValue("id") for ":id", and r.PathValue("*") for "*". echo does not
// decode the values of a path with unusual escapes ("%2F"). A policy gets the same value as the
// handler. The Pattern of the request is the route, as echo writes it.
//
// A guard of Echo.Use, of a group or of a route runs after echo has found the route. A guard of
// Echo.Pre runs before it: then every value is "", so a policy that reads values does not belong there.
package echov4auth

import (
	"errors"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"github.com/xenaauth/xenaauth"
)

// Require is [xenaauth.Middleware.Require] for echo. The handler does not run for a request whose user
// does not meet every requirement. It panics in the same cases.
func Require(m *xenaauth.Middleware, rs ...xenaauth.Requirement) echo.MiddlewareFunc {
	m.Require(rs...) // it panics about mistakes when the routes are set up
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

// Optional is [xenaauth.Middleware.Optional] for echo: requests without a token pass, without a user.
// It panics in the same cases.
func Optional(m *xenaauth.Middleware) echo.MiddlewareFunc {
	m.Optional(http.NotFoundHandler()) // it panics about mistakes
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

// setPathValues sets the route and its parameters in the request, for policies and for handlers of
// net/http.
func setPathValues(c echo.Context) {
	values := c.ParamValues()
	for i, name := range slices.Backward(c.ParamNames()) { // if two have one name, Param returns the first
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

// User returns the user of a request that passed [Require] or [Optional].
func User(c echo.Context) (*xenaauth.User, bool) {
	return xenaauth.UserFromContext(c.Request().Context())
}
