package identityserver

import (
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
)

// User is the only person who can log in at this server. A real server has many users, and stores
// hashes of passwords.
var User = struct{ ID, Name, Email, Login, Password string }{
	ID: "104711", Name: "Ada Berg", Email: "ada@example.com", Login: "ada", Password: "lovelace",
}

// A grant is the permission that a user gives to an application. First the application asks the
// user for consent, and the grant stores this request. After the user has consented, the server
// makes all tokens of the application from the grant. The type grant implements [op.AuthRequest]
// and [op.RefreshTokenRequest]. A grant that is in a bounded.Table must not be changed: to change
// it, replace it by a changed copy.
type grant struct {
	request *oidc.AuthRequest
	id      string
	// the value of a cookie that the server sets at the first login page; a browser without this
	// cookie can't continue the request for consent
	browserCookie string
	formToken     string    // the CSRF token of the login form and of the consent form
	session       string    // the claim sid of the tokens; it identifies the login of the user
	loginTime     time.Time // the time at which the user logged in; zero before the login
	// the scopes that the application requests and, after the consent, those that the user allowed
	scopes  []string
	allowed bool
}

func (g *grant) GetID() string               { return g.id }
func (g *grant) GetACR() string              { return "" }
func (g *grant) GetAMR() []string            { return []string{"pwd"} }
func (g *grant) GetAudience() []string       { return []string{Audience} }
func (g *grant) GetAuthTime() time.Time      { return g.loginTime }
func (g *grant) GetClientID() string         { return g.request.ClientID }
func (g *grant) GetNonce() string            { return g.request.Nonce }
func (g *grant) GetRedirectURI() string      { return g.request.RedirectURI }
func (g *grant) GetScopes() []string         { return g.scopes }
func (g *grant) GetState() string            { return g.request.State }
func (g *grant) GetSubject() string          { return User.ID }
func (g *grant) Done() bool                  { return g.allowed }
func (g *grant) SetCurrentScopes(s []string) { g.scopes = s }
func (g *grant) GetResponseType() oidc.ResponseType {
	return g.request.ResponseType
}
func (g *grant) GetResponseMode() oidc.ResponseMode { return g.request.ResponseMode }
func (g *grant) GetCodeChallenge() *oidc.CodeChallenge {
	return &oidc.CodeChallenge{
		Challenge: g.request.CodeChallenge, Method: g.request.CodeChallengeMethod,
	}
}
