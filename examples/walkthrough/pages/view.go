package pages

import (
	"time"

	"github.com/xenaauth/xenaauth/examples/walkthrough/watch"
)

// View contains the data that a page of the application shows.
type View struct {
	Page  string // the name of the page, as in the variable Walk
	Title string
	Prev  *Link // a link to the previous page, or nil
	Next  *Link // a link to the next page, or nil
	Steps []Link
	CSRF  string // the CSRF token; every form sends it as the field "csrf"
	// Real is true if XENA_ISSUER names a real issuer. In this case the page can't make a token
	// older, and some buttons are missing.
	Real    bool
	Issuer  string // the URL of the issuer
	API     string // the URL of the API
	Notice  string // what the page says about the result of the user's last action, or ""
	Error   string // the reason why the user's last action failed, or ""
	Client  *Client
	Scopes  []Scope  // the scopes that the application asks the issuer for
	Request *Request // the authorization request of step 2; nil if no client is registered yet
	// the reason why the user or the issuer denied the last authorization request, or ""
	Denied  string
	Token   *Token      // the access token of the session; nil before the user consented
	Hours   int         // how often the user has pressed the button "Let the hour pass"
	Buttons []Button    // the buttons for API calls on this page
	Call    *watch.Call // the newest API call, or nil
	// the recent API calls, the newest call first; only the page "watch" shows them
	Calls    []*watch.Call
	LoggedIn bool // says whether the session has an access token
	// EndSession is the issuer's end session endpoint, or "" if the issuer has no such endpoint.
	// The logout form is sent to EndSession. It has the fields "id_token_hint" (IDToken),
	// "client_id" (Client.ID), "post_logout_redirect_uri" (LoggedOut) and "state" (LogoutState).
	EndSession, IDToken, LoggedOut, LogoutState string

	FormAction string // other origins to which the forms of the page may send the browser
}

// Link is a link to a page of the walkthrough.
type Link struct {
	Path, Name, Title string
	Current, Done     bool
}

// Client is the application as it is registered at the issuer. If the issuer is a real one, Secret
// is "", so that no page shows it.
type Client struct{ Name, ID, Secret, RedirectURI string }

// Scope is a scope that the application asks the issuer for, with a description for the user.
type Scope struct{ Name, Words string }

// Request is the authorization request of step 2, for the page: its endpoint and its parameters.
type Request struct {
	Endpoint string
	Params   []watch.Param
}

// Token contains what a page shows about the access token of the session.
type Token struct {
	Kind string // "JWT" or "opaque"
	// the three encoded parts of a JWT, but only the beginning of the signature
	Header, Payload, Signature string
	Text                       string        // the beginning of the access token
	HeaderClaims, Claims       []watch.Param // the decoded members of the JWT's header and payload
	Scopes                     []string
	Issued, Expires            time.Time
	Expired                    bool
	// the time until the token expires, in words; "" if the token has expired
	Left    string
	Refresh bool // says whether the session has a refresh token
	Length  int  // the length of the access token in bytes
}

// Button is a button on a page that sends an API call. It sends a POST request to /call of the
// application. The field "call" of this form is Name, and the field "page" is View.Page.
type Button struct {
	Name, Label string
	What        string // an explanation of the API call
	Off         string // the reason why the button can't be used now, or ""
}
