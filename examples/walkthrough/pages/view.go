package pages

import (
	"net/url"
	"time"

	"github.com/xenaauth/xenaauth/examples/walkthrough/watch"
)

// View contains the data for a page of the application.
type View struct {
	Page  string // the name of the page: see Walk
	Title string
	Prev  *Link // the previous page, or nil
	Next  *Link // the next page, or nil
	Steps []Link
	CSRF  string // the CSRF token; every form sends it as the field "csrf"
	// Real reports whether XENA_ISSUER names a real issuer. In this case the page can't make a
	// token older, and some buttons are missing.
	Real    bool
	Issuer  string // the URL of the issuer
	API     string // the URL of the API
	Notice  string // a text about the result of the last action, or ""
	Error   string // the reason why the last action failed, or ""
	Client  *Client
	Scopes  []Scope     // the scopes that the application asks for
	Request *Request    // the authorization request of step 2; nil without a client
	Denied  string      // the reason why the user or the issuer denied the last request, or ""
	Token   *Token      // Token is nil before the user consented
	Hours   int         // how often the user has pressed the button "Let the hour pass"
	Buttons []Button    // the buttons for API calls on this page
	Call    *watch.Call // the newest API call, or nil if the session has sent none
	// the recent API calls, the newest call first; only the page "watch" shows them
	Calls    []*watch.Call
	LoggedIn bool // reports whether the session has an access token
	Done     Done
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

// Client is the registered application. If the issuer is a real one, the pages get no Secret.
type Client struct{ Name, ID, Secret, RedirectURI string }

// Scope is a scope that the application asks for, with a description.
type Scope struct{ Name, Words string }

// Request is the authorization request of step 2: its endpoint and its parameters.
type Request struct {
	Endpoint string
	Params   []watch.Param
	Token    *url.URL // the endpoint of the token request in step 4
}

// Token is the access token of the session, as the page shows it.
type Token struct {
	Kind string // the kind of the token: "JWT" or "opaque"
	// the encoded parts of a JWT; the signature is shortened
	Header, Payload, Signature string
	Text                       string        // the beginning of the token
	HeaderClaims, Claims       []watch.Param // the decoded members of a JWT
	Scopes                     []string
	Issued, Expires            time.Time
	Expired                    bool
	// the remaining lifetime in words; "" if the token has expired
	Left    string
	Refresh bool // reports whether the session has a refresh token
	Length  int  // the length of the token in bytes
	// the members token_type and expires_in of the response; ExpiresIn is 0 if it is missing
	Type      string
	ExpiresIn int64
}

// Button is a button for an API call. It sends a POST request to /call. The field "call" is Name,
// and the field "page" is View.Page.
type Button struct {
	Name, Label string
	What        string // an explanation of the call that the button sends
	Off         string // the reason why the button can't be used now, or ""
}
