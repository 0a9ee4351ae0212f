package xenaauthtest

import "github.com/xenaauth/xenaauth"

// User returns the user that a handler gets for an access token with the fields of t. It is for
// unit tests that call a handler directly:
//
//	ctx := xenaauth.ContextWithUser(t.Context(), xenaauthtest.User(xenaauthtest.Token{Scopes: []string{"testapi"}}))
//	handler.ServeHTTP(w, r.WithContext(ctx))
//
// Don't use User in tests of routes with a guard: a Middleware never trusts a user that is already
// in the context. User panics if a claim of t has a type that a token can't have.
func User(t Token) *xenaauth.User {
	u, err := xenaauth.NewUser(claimsIssuer.Claims(t))
	if err != nil {
		panic("xenaauthtest: " + err.Error())
	}
	return u
}

// claimsIssuer is a test issuer that the function User uses to make the claims of a token. It signs
// nothing, so it needs no key.
var claimsIssuer = NewIssuer(nil)
