package xenaauth

import (
	"context"
	"fmt"
	"net/http"

	"github.com/xenaauth/xenaauth/internal/bearer"
)

type userKey struct{}

// userContext carries the user of a request, and what a later guard or a response needs to know
// about the check. The user belongs to the credentials: if a request borrows this context and has
// another Authorization field, or none, the user is not the user of that request.
type userContext struct {
	context.Context
	user        *User       // nil for a request without a user
	by          *Middleware // nil if the user was put there by ContextWithUser
	credentials bearer.Credentials
	confirmed   *confirmed // the proofs of possession that were confirmed for this request
	optional    bool       // the route also accepts requests without a token
}

func (c *userContext) Value(key any) any {
	if _, ok := key.(userKey); ok {
		return c
	}
	return c.Context.Value(key)
}

// String keeps the credentials out of a context that is printed.
func (c *userContext) String() string { return fmt.Sprintf("%v with %v", c.Context, c.user) }

// GoString is String.
func (c *userContext) GoString() string { return c.String() }

// UserFromContext returns the user that a [Middleware] or [ContextWithUser] put into the context of
// a request.
func UserFromContext(ctx context.Context) (*User, bool) {
	c, ok := ctx.Value(userKey{}).(*userContext)
	if !ok || c.user == nil {
		return nil, false
	}
	return c.user, true
}

// ContextWithUser returns a context that carries u, for unit tests of handlers. It never satisfies a
// [Middleware]: only a token does.
func ContextWithUser(ctx context.Context, u *User) context.Context {
	return &userContext{Context: ctx, user: u}
}

// withoutUser returns a request whose context has no user. A user that another package put there
// is hidden.
func withoutUser(r *http.Request) *http.Request {
	if _, planted := UserFromContext(r.Context()); planted {
		return r.WithContext(&userContext{Context: r.Context()})
	}
	return r
}
