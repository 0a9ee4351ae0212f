package xenaauthtest

import "github.com/xenaauth/xenaauth"

// User returns the user that an access token made from t stands for, for unit tests that call a handler directly:
//
//	ctx := xenaauth.ContextWithUser(t.Context(), xenaauthtest.User(xenaauthtest.Token{Scopes: []string{"testapi"}}))
//	handler.ServeHTTP(w, r.WithContext(ctx))
//
// It is not for tests of routes: no middleware lets such a context in. It panics if the claims of t have types that no
// token may have.
func User(t Token) *xenaauth.User {
	u, err := xenaauth.NewUser(unsigned.Claims(t))
	if err != nil {
		panic("xenaauthtest: " + err.Error())
	}
	return u
}

// unsigned says what claims tokens have. It signs nothing, so that it never makes a key.
var unsigned = NewIssuer(nil)
