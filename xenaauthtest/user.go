package xenaauthtest

import "github.com/xenaauth/xenaauth"

// User returns the user of an access token that is made from t. It is for unit tests that call a
// handler directly:
//
//	ctx := xenaauth.ContextWithUser(t.Context(), xenaauthtest.User(xenaauthtest.Token{Scopes: []string{"testapi"}}))
//	handler.ServeHTTP(w, r.WithContext(ctx))
//
// It is not for tests of routes, because no middleware trusts such a context. User panics if the
// claims of t have types that a token can't have.
func User(t Token) *xenaauth.User {
	u, err := xenaauth.NewUser(unsigned.Claims(t))
	if err != nil {
		panic("xenaauthtest: " + err.Error())
	}
	return u
}

// unsigned makes the claims of users. It signs nothing, so it never makes a key.
var unsigned = NewIssuer(nil)
