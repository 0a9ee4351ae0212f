package main

import "time"

// View is what every page of the application gets.
type View struct {
	Page  string // the name of the page: see pages in pages.go
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
	Scopes   []Scope  // what the application asks for
	Request  *Request // for step 2; nil without a client
	Denied   string   // why the user or the issuer denied the last request, or ""
	Token    *Token   // nil before the user consented
	Hours    int      // how often the page let the hour pass
	Buttons  []Button // the calls that this page offers
	Call     *Call    // the last call, or nil
	Calls    []*Call  // the last calls, the newest first: for the page "watch"
	LoggedIn bool     // there is a token
	// EndSession is where the logout form leads: the issuer's end session endpoint. The form sends
	// IDToken as "id_token_hint", Client.ID as "client_id", LoggedOut as "post_logout_redirect_uri"
	// and LogoutState as "state". EndSession is "" if the issuer has no such endpoint.
	EndSession, IDToken, LoggedOut, LogoutState string

	formAction string // the origin of the issuer: forms may lead there
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
	Params   []Param
}

// Param is one parameter of a request, a field of a response, or a claim of a token, explained.
type Param struct{ Name, Value, Meaning string }

// Token is the access token of the session.
type Token struct {
	Kind                       string  // "JWT" or "opaque"
	Header, Payload, Signature string  // the three parts of a JWT, the signature cut
	Text                       string  // an opaque token, cut
	HeaderClaims, Claims       []Param // of a JWT
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

// The states of a stage.
const (
	Passed     = "passed"
	Failed     = "failed"
	Skipped    = "skipped"     // this request did not need the stage
	Unknown    = "unknown"     // the issuer did not respond, so the stage has no result
	NotReached = "not reached" // an earlier stage ended the request
)

// Call is one call of the API, watched. The template "call" shows it, also live: the stream
// /events sends the template anew at each change.
type Call struct {
	ID, Name, Label, What string
	Method, Path          string
	Credentials           string // the header field with the credentials, with the token cut
	Sent                  time.Time
	Issuer                []IssuerCall // the API's own calls to the issuer for this request
	Stages                []Stage      // empty until the API has decided
	Outcome               string       // "allowed", "refused", "unavailable", or "" before the decision
	Reason                string       // the library's word for the refusal, such as "expired"
	Why                   string       // the sentence of the challenge, or ""
	Source                string       // how the token was checked: "jwt", "introspection", "cache" or ""
	Took, Waited          time.Duration
	Status                int     // 0 while the response is not there
	StatusText            string  // "Unauthorized"
	Fields                []Param // fields of the response's header, explained
	Body                  string
	Done                  bool
}

// IssuerCall is a call of the API to the issuer.
type IssuerCall struct {
	Document string // "metadata", "jwks" or "introspection"
	Status   int    // 0 if there was no response
	Took     time.Duration
}

// Stage is one stage of the check of a request.
type Stage struct {
	Name  string // a key of texts.Stages: see pages/texts.json
	Asks  string // the question that the stage answers
	State string
	Found string // what the stage found, or ""
	Why   string // why the request ended here, or ""
	Fix   string // what the operator of the API can do about it, or ""
	Parts []Part // the single checks of this stage, if there are several
}

// Part is one check of a stage.
type Part struct{ Name, State, Found, Why string }
