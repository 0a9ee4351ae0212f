// Package ginauth guards gin routes with [xenaauth]:
//
//	router.GET("/invoices/:id", ginauth.Require(auth, xenaauth.AllScopes("testapi")), invoice)
//
// A refusal is answered as net/http's is, by [xenaauth.Middleware.Deny]. It also aborts the chain and is attached to
// the context as an error of type [gin.ErrorTypePrivate], for loggers: whoever shows errors to clients must leave
// private ones alone, as [gin.ErrorLogger] does not. Another body is for [xenaauth.Options] to choose.
//
// The parameters of the route are set in the request before the token is checked. So a policy of
// [xenaauth.WhereRequest], and a handler of net/http, get them from [http.Request.PathValue], with the names and values
// that [gin.Context.Param] has: r.PathValue("id") for ":id", and "/a/b" with its first slash for "*path". The route is
// in the request's Pattern, as gin writes it. gin finds the route before any middleware runs, so this is also true for a
// guard on the engine or on a group; only where there is no route (NoRoute, NoMethod) is every value "".
package ginauth

import (
	"errors"
	"net/http"
	"slices"

	"github.com/gin-gonic/gin"

	"github.com/xenaauth/xenaauth"
)

// Require is [xenaauth.Middleware.Require] for gin: requests whose user doesn't meet every requirement go no further.
// It panics as that does.
func Require(m *xenaauth.Middleware, rs ...xenaauth.Requirement) gin.HandlerFunc {
	m.Require(rs...) // for its panics: a mistake shows when routes are set up
	rs = slices.Clone(rs)
	return func(c *gin.Context) {
		setPathValues(c)
		decided := false
		defer answerUndecided(c, m, &decided)
		allowed, err := m.Check(c.Request, rs...)
		decided = true
		if err != nil {
			deny(c, m, err)
			return
		}
		m.Challenge(c.Writer.Header(), allowed, nil)
		c.Request = allowed
	}
}

// Optional is [xenaauth.Middleware.Optional] for gin: requests without a bearer token pass, without a user. It panics
// as that does.
func Optional(m *xenaauth.Middleware) gin.HandlerFunc {
	m.Optional(http.NotFoundHandler()) // for its panics
	return func(c *gin.Context) {
		setPathValues(c)
		decided := false
		defer answerUndecided(c, m, &decided)
		allowed, err := m.CheckOptional(c.Request)
		decided = true
		if err != nil {
			deny(c, m, err)
			return
		}
		m.Challenge(c.Writer.Header(), allowed, nil)
		c.Request = allowed
	}
}

// setPathValues sets the route and its parameters in the request, where policies and handlers of net/http look for them.
func setPathValues(c *gin.Context) {
	for _, p := range slices.Backward(c.Params) { // of two parameters with one name, Param returns the first
		c.Request.SetPathValue(p.Key, p.Value)
	}
	if route := c.FullPath(); route != "" {
		c.Request.Pattern = route
	}
}

var errPanicked = errors.New("the check of the request panicked")

// answerUndecided answers 503 if a policy or hook panicked before the request was decided.
func answerUndecided(c *gin.Context, m *xenaauth.Middleware, decided *bool) {
	if !*decided {
		c.Writer.WriteHeader(m.Challenge(c.Writer.Header(), c.Request, errPanicked))
		c.Writer.WriteHeaderNow() // gin would send the status after the middleware, which a panic skips
		c.Abort()
	}
}

func deny(c *gin.Context, m *xenaauth.Middleware, err error) {
	defer c.Abort()
	defer c.Writer.WriteHeaderNow() // as Options.ErrorBody may panic
	m.Deny(c.Writer, c.Request, err)
	_ = c.Error(err) // returns what it has attached
}

// User returns the user of a request that [Require] or [Optional] let pass. Handlers that have a [context.Context]
// only get it from [xenaauth.UserFromContext] with c.Request.Context(): a gin.Context itself doesn't show the values of
// its request unless the engine's ContextWithFallback is set.
func User(c *gin.Context) (*xenaauth.User, bool) {
	return xenaauth.UserFromContext(c.Request.Context())
}
