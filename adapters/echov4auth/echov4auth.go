// Package echov4auth guards routes of echo v4 with [xenaauth]:
//
//	e.GET("/invoices/:id", invoice, echov4auth.Require(auth, xenaauth.AllScopes("testapi")))
//
// The guard sends the response to a refused request with [xenaauth.Middleware.Deny], so it is the
// same response as with net/http. [xenaauth.Options] can choose another body. The guard then
// returns the refusal, an [*xenaauth.Error], for loggers and for the HTTPErrorHandler of the
// application. When the guard returns the refusal, the response is already sent (committed, in the
// words of echo), so the error handlers of echo add nothing. An error handler of the application
// must not write to a committed response either. The guard does not leave the response to the error
// handler of echo, because that handler would send 500.
//
// The guard sets the parameters of the route in the request before it checks the token. So a policy
// of [xenaauth.WhereRequest], and a handler of net/http, get the parameters from
// [http.Request.PathValue]. Names and values are those of echo's Param: r.PathValue("id") for
// ":id", and r.PathValue("*") for "*". echo does not decode the values of a path with unusual
// escapes ("%2F"). A policy gets the same value as the handler. The Pattern of the request is the
// route, as echo writes it.
//
// A guard that is added with Echo.Use, to a group or to a route runs after echo has found the
// route. A guard that is added with Echo.Pre runs before echo has found the route, so every value
// is "". Don't use Echo.Pre for a policy that reads parameters.
package echov4auth

import (
	"errors"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"github.com/xenaauth/xenaauth"
)

// Require returns a guard for echo that makes the check of [xenaauth.Middleware.Require]. If the
// user does not meet every requirement, the handler does not run. Require panics if
// Middleware.Require would panic.
func Require(m *xenaauth.Middleware, rs ...xenaauth.Requirement) echo.MiddlewareFunc {
	// The guard that m.Require returns is not used. m.Require is called because it panics if the
	// requirements rs are wrong, and this function must panic too.
	m.Require(rs...)
	rs = slices.Clone(rs)
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			setPathValues(c)
			hasDecided := false
			defer answerUndecided(c, m, &hasDecided)
			allowed, err := m.Check(c.Request(), rs...)
			if err != nil {
				hasDecided = true
				return deny(c, m, err)
			}
			m.Challenge(c.Response().Header(), allowed, nil)
			// The service may have its own types of proofs (xenaauth.Proof). Challenge calls
			// methods of these types, and such a method may panic. So hasDecided stays false until
			// Challenge has returned: after a panic, answerUndecided refuses the request.
			hasDecided = true
			c.SetRequest(allowed)
			return next(c)
		}
	}
}

// Optional returns a guard for echo that makes the check of [xenaauth.Middleware.Optional]. It
// allows a request without a token, and the handler finds no user. Optional panics if
// Middleware.Optional would panic.
func Optional(m *xenaauth.Middleware) echo.MiddlewareFunc {
	// The guard that m.Optional returns is not used. m.Optional is called because it panics if
	// Config.AllowAnyAudience is set, and this function must panic too.
	m.Optional(http.NotFoundHandler())
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			setPathValues(c)
			hasDecided := false
			defer answerUndecided(c, m, &hasDecided)
			allowed, err := m.CheckOptional(c.Request())
			if err != nil {
				hasDecided = true
				return deny(c, m, err)
			}
			m.Challenge(c.Response().Header(), allowed, nil)
			// The service may have its own types of proofs (xenaauth.Proof). Challenge calls
			// methods of these types, and such a method may panic. So hasDecided stays false until
			// Challenge has returned: after a panic, answerUndecided refuses the request.
			hasDecided = true
			c.SetRequest(allowed)
			return next(c)
		}
	}
}

// setPathValues sets the route and its parameters in the request, for policies and for handlers of
// net/http.
func setPathValues(c echo.Context) {
	values := c.ParamValues()
	// If two parameters of a route have the same name, echo's Param returns the value of the first
	// one. PathValue of the request must return the same value. SetPathValue replaces earlier
	// values, so this loop sets the first parameter last.
	for i, name := range slices.Backward(c.ParamNames()) {
		c.Request().SetPathValue(name, values[i])
	}
	if route := c.Path(); route != "" {
		c.Request().Pattern = route
	}
}

var errPanicked = errors.New("the check of the request panicked")

// answerUndecided responds with 503 if a policy, a proof or a hook panicked before the guard
// decided about the request.
func answerUndecided(c echo.Context, m *xenaauth.Middleware, hasDecided *bool) {
	if !*hasDecided {
		c.Response().WriteHeader(m.Challenge(c.Response().Header(), nil, errPanicked))
	}
}

func deny(c echo.Context, m *xenaauth.Middleware, err error) error {
	m.Deny(c.Response(), c.Request(), err)
	return err
}

// User returns the user of a request that passed the guard of [Require] or [Optional].
func User(c echo.Context) (*xenaauth.User, bool) {
	return xenaauth.UserFromContext(c.Request().Context())
}
