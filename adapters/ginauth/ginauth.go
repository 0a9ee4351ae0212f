// Package ginauth guards gin routes with [xenaauth]:
//
//	router.GET("/invoices/:id", ginauth.Require(auth, xenaauth.AllScopes("testapi")), invoice)
//
// The response to a refused request is that of net/http, written by [xenaauth.Middleware.Deny].
// [xenaauth.Options] can choose another body. The guard also aborts the chain, and attaches the refusal
// to the context as an error of type [gin.ErrorTypePrivate], for loggers. Code that shows errors to
// clients must not show private errors, as [gin.ErrorLogger] does.
//
// The guard sets the parameters of the route in the request before it checks the token. So a policy of
// [xenaauth.WhereRequest], and a handler of net/http, get them from [http.Request.PathValue]. Names and
// values are those of [gin.Context.Param]: r.PathValue("id") for ":id", and "/a/b" with its first slash
// for "*path". The Pattern of the request is the route, as gin writes it.
//
// gin finds the route before any middleware runs. So the parameters are also set for a guard on the
// engine or on a group. Without a route (NoRoute, NoMethod), every value is "".
package ginauth

import (
	"errors"
	"net/http"
	"slices"

	"github.com/gin-gonic/gin"

	"github.com/xenaauth/xenaauth"
)

// Require is [xenaauth.Middleware.Require] for gin. It aborts the chain for a request whose user
// does not meet every requirement. It panics in the same cases.
func Require(m *xenaauth.Middleware, rs ...xenaauth.Requirement) gin.HandlerFunc {
	m.Require(rs...) // it panics about mistakes when the routes are set up
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

// Optional is [xenaauth.Middleware.Optional] for gin: requests without a token pass, without a user. It
// panics in the same cases.
func Optional(m *xenaauth.Middleware) gin.HandlerFunc {
	m.Optional(http.NotFoundHandler()) // it panics about mistakes
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

// setPathValues sets the route and its parameters in the request, for policies and for handlers of
// net/http.
func setPathValues(c *gin.Context) {
	for _, p := range slices.Backward(c.Params) { // if two parameters have one name, Param returns the first
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

// User returns the user of a request that passed [Require] or [Optional].
//
// Code that has only a [context.Context] gets the user from [xenaauth.UserFromContext], if the context
// is c.Request.Context(). A gin.Context as the context does not have the values of its request, unless
// the engine's ContextWithFallback is set.
func User(c *gin.Context) (*xenaauth.User, bool) {
	return xenaauth.UserFromContext(c.Request.Context())
}
