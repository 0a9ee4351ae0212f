// Package watch sends calls to an API that xenaauth guards, and records what happens: the stages of
// the check, the result of each stage, and the reason for a refusal.
package watch

import "time"

// These constants are the states of a stage.
const (
	Passed     = "passed"
	Failed     = "failed"
	Skipped    = "skipped"     // this request did not need the stage
	Unknown    = "unknown"     // the issuer did not respond, so the stage has no result
	NotReached = "not reached" // an earlier stage ended the request
)

// Call describes one call of the API. A Call never changes: if more is known about the call, a new
// Call with the same ID replaces it.
type Call struct {
	ID, Name, Label, What string
	Method, Path          string
	// the header field with the credentials; it contains only the beginning of the token
	Credentials string
	Sent        time.Time
	// the calls that the API made to the issuer because of this call
	Issuer []IssuerCall
	Stages []Stage // the stages of the check; empty before the API's decision
	// "allowed", "refused" or "unavailable"; "" before the API's decision
	Outcome      string
	Reason       string // the reason of the refusal in one word, such as "expired"
	Why          string // a sentence about the refusal, for the client; or ""
	Source       string // how the token was checked: "jwt", "introspection", "cache" or ""
	Took, Waited time.Duration
	Status       int     // the status of the response; 0 before the response has arrived
	StatusText   string  // the name of the status, such as "Unauthorized"
	Fields       []Param // some header fields of the response, with explanations
	Challenge    []Param // the parameters of WWW-Authenticate, with explanations
	Body         string
	Done         bool
}

// Param is a header field, a parameter or a claim, with an explanation of its meaning.
type Param struct{ Name, Value, Meaning string }

// IssuerCall is a call of the API to the issuer.
type IssuerCall struct {
	Document string // "metadata", "jwks" or "introspection"
	Status   int    // the status of the issuer's response, or 0 without a response
	Took     time.Duration
}

// Stage is one stage in the check of a request.
type Stage struct {
	Name  string // "credentials", "cache", "claims" and so on: see pages/texts.json
	Asks  string // the question that the stage answers
	State string
	Found string // what the stage found, or ""
	Why   string // the reason why the request ended at this stage, or ""
	Fix   string // what the operator of the API can do about the failure, or ""
	Parts []Part // the single checks that this stage consists of
}

// Part is a single check in a stage.
type Part struct{ Name, State, Found, Why string }
