package pages

import (
	"time"

	"github.com/xenaauth/xenaauth/examples/walkthrough/watch"
)

// View is what every page of the application gets.
type View struct {
	Page  string // the name of the page: see Walk
	Title string
	Prev  *Link // the page before, or nil
	Next  *Link // the page after, or nil
	Steps []Link
	CSRF  string // every form sends it as the field "csrf"
	// Real reports whether the issuer is a real one, named by XENA_ISSUER. Then the page can't move
	// the clock, and some buttons are missing.
	Real     bool
	Issuer   string // the URL of the issuer
	API      string // the URL of the API
	Notice   string // what the last action did, or ""
	Error    string // why the last action failed, or ""
	Client   *Client
	Scopes   []Scope       // what the application asks for
	Request  *Request      // for step 2; nil without a client
	Denied   string        // why the user or the issuer denied the last request, or ""
	Token    *Token        // nil before the user consented
	Hours    int           // how often the page let the hour pass
	Buttons  []Button      // the calls that this page offers
	Call     *watch.Call   // the last call, or nil
	Calls    []*watch.Call // the last calls, the newest first: for the page "watch"
	LoggedIn bool          // there is a token
	// EndSession is where the logout form leads: the issuer's end session endpoint. The form sends
	// IDToken as "id_token_hint", Client.ID as "client_id", LoggedOut as "post_logout_redirect_uri"
	// and LogoutState as "state". EndSession is "" if the issuer has no such endpoint.
	EndSession, IDToken, LoggedOut, LogoutState string

	FormAction string // further origins to which the forms of the page may lead
}

// Link is a page of the walkthrough, for the navigation.
type Link struct {
	Path, Name, Title string
	Current, Done     bool
}

// Client is the registered application. Pages get no Secret of a real issuer.
type Client struct{ Name, ID, Secret, RedirectURI string }

// Scope is one thing that the application asks for, in words.
type Scope struct{ Name, Words string }

// Request is the authorization request of step 2, in parts.
type Request struct {
	Endpoint string
	Params   []watch.Param
}

// Token is the access token of the session.
type Token struct {
	Kind                       string        // "JWT" or "opaque"
	Header, Payload, Signature string        // the three parts of a JWT, the signature cut
	Text                       string        // an opaque token, cut
	HeaderClaims, Claims       []watch.Param // of a JWT
	Scopes                     []string
	Issued, Expires            time.Time
	Expired                    bool
	Left                       string // for how long it is valid, in words; "" if it has expired
	Refresh                    bool   // there is a refresh token
	Length                     int    // in bytes
}

// Button sends a call: POST to /call with the field "call" = Name and "page" = View.Page.
type Button struct {
	Name, Label string
	What        string // what is special about this call
	Off         string // why the button can't be used now, or ""
}
