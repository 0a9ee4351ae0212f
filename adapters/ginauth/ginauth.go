// Package ginauth guards gin routes with [xenaauth]:
//
//	router.GET("/invoices/:id", ginauth.Require(auth, xenaauth.AllScopes("testapi")), invoice)
//
// The guard sends the response to a refused request with [xenaauth.Middleware.Deny], so it is the
// same response as with net/http. [xenaauth.Options] can choose another body. The guard also aborts
// the chain of handlers, and attaches the refusal to the gin.Context as an error of type
// [gin.ErrorTypePrivate], for loggers. Code that shows errors to clients, as [gin.ErrorLogger]
// does, must not show private errors.
//
// The guard sets the parameters of the route in the request before it checks the token. So a policy
// of [xenaauth.WhereRequest], and a handler of net/http, get the parameters from
// [http.Request.PathValue]. Names and values are those of [gin.Context.Param]. For a route with
// ":id", r.PathValue("id") returns the value. For a route with "*path", r.PathValue("path") returns
// the value with its first slash, for example "/a/b". The Pattern of the request is the route, as
// gin writes it.
//
// gin finds the route before any middleware runs. So the parameters are also set for a guard on the
// engine or on a group. If no route matches the request (NoRoute, NoMethod), every value is "".
package ginauth

import (
	"errors"
	"net/http"
	"slices"

	"github.com/gin-gonic/gin"

	"github.com/xenaauth/xenaauth"
)

// Require returns a guard for gin that makes the check of [xenaauth.Middleware.Require]. If the
// user does not meet every requirement, the guard aborts the chain of handlers. Require panics if
// Middleware.Require would panic.
func Require(m *xenaauth.Middleware, rs ...xenaauth.Requirement) gin.HandlerFunc {
	// The guard that m.Require returns is not used. m.Require is called because it panics if the
	// requirements rs are wrong, and this function must panic too.
	m.Require(rs...)
	rs = slices.Clone(rs)
	return func(c *gin.Context) {
		setPathValues(c)
		hasDecided := false
		defer answerUndecided(c, m, &hasDecided)
		allowed, err := m.Check(c.Request, rs...)
		if err != nil {
			hasDecided = true
			deny(c, m, err)
			return
		}
		m.Challenge(c.Writer.Header(), allowed, nil)
		// Challenge calls the proofs, and a Proof may panic. So hasDecided stays false until
		// Challenge has returned: after a panic, answerUndecided refuses the request.
		hasDecided = true
		c.Request = allowed
	}
}

// Optional returns a guard for gin that makes the check of [xenaauth.Middleware.Optional]. It
// allows a request without a token, and the handler finds no user. Optional panics if
// Middleware.Optional would panic.
func Optional(m *xenaauth.Middleware) gin.HandlerFunc {
	// The guard that m.Optional returns is not used. m.Optional is called because it panics if
	// Config.AllowAnyAudience is set, and this function must panic too.
	m.Optional(http.NotFoundHandler())
	return func(c *gin.Context) {
		setPathValues(c)
		hasDecided := false
		defer answerUndecided(c, m, &hasDecided)
		allowed, err := m.CheckOptional(c.Request)
		if err != nil {
			hasDecided = true
			deny(c, m, err)
			return
		}
		m.Challenge(c.Writer.Header(), allowed, nil)
		// Challenge calls the proofs, and a Proof may panic. So hasDecided stays false until
		// Challenge has returned: after a panic, answerUndecided refuses the request.
		hasDecided = true
		c.Request = allowed
	}
}

// setPathValues sets the route and its parameters in the request, for policies and for handlers of
// net/http.
func setPathValues(c *gin.Context) {
	// If two parameters of a route have the same name, gin's Param returns the value of the first
	// one. PathValue of the request must return the same value. SetPathValue replaces earlier
	// values, so this loop sets the first parameter last.
	for _, p := range slices.Backward(c.Params) {
		c.Request.SetPathValue(p.Key, p.Value)
	}
	if route := c.FullPath(); route != "" {
		c.Request.Pattern = route
	}
}

var errPanicked = errors.New("the check of the request panicked")

// answerUndecided responds with 503 if a policy, a proof or a hook panicked before the guard
// decided about the request.
func answerUndecided(c *gin.Context, m *xenaauth.Middleware, hasDecided *bool) {
	if !*hasDecided {
		c.Writer.WriteHeader(m.Challenge(c.Writer.Header(), nil, errPanicked))
		// gin sends the status of a response only after all middleware has returned. Here a policy,
		// a proof or a hook has panicked, so gin would send no status. WriteHeaderNow sends it
		// immediately.
		c.Writer.WriteHeaderNow()
		c.Abort()
	}
}

func deny(c *gin.Context, m *xenaauth.Middleware, err error) {
	defer c.Abort()
	// WriteHeaderNow sends the status of the refusal. It is deferred because Deny calls the hook
	// Options.ErrorBody, which may panic before it writes a status.
	defer c.Writer.WriteHeaderNow()
	m.Deny(c.Writer, c.Request, err)
	// c.Error also returns the error that it attaches to the context. This result is not needed.
	_ = c.Error(err)
}

// User returns the user of a request that passed the guard of [Require] or [Optional].
//
// Code that has only a [context.Context] gets the user from [xenaauth.UserFromContext], if that
// context is c.Request.Context(). If the context is the gin.Context itself, it has no user, unless
// ContextWithFallback of the engine is set.
func User(c *gin.Context) (*xenaauth.User, bool) {
	return xenaauth.UserFromContext(c.Request.Context())
}
