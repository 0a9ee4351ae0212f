// Package watch sends calls to an API that xenaauth guards, and shows what happens to them: the
// stages of the check, what each found, where a request ended and why.
package watch

import "time"

// The states of a stage.
const (
	Passed     = "passed"
	Failed     = "failed"
	Skipped    = "skipped"     // this request did not need the stage
	Unknown    = "unknown"     // the issuer did not respond, so the stage has no result
	NotReached = "not reached" // an earlier stage ended the request
)

// Call is one call of the API. A Call does not change: at each step of the call there is a new one
// with the same ID.
type Call struct {
	ID, Name, Label, What string
	Method, Path          string
	Credentials           string // the header field with the credentials, with the token cut
	Sent                  time.Time
	Issuer                []IssuerCall // the API's own calls to the issuer for this request
	Stages                []Stage      // empty until the API has decided
	Outcome               string       // "allowed", "refused", "unavailable", or "" before the decision
	Reason                string       // the library's word for the refusal, such as "expired"
	Why                   string       // the library's sentence for clients, or ""
	Source                string       // how the token was checked: "jwt", "introspection", "cache" or ""
	Took, Waited          time.Duration
	Status                int     // 0 while the response is not there
	StatusText            string  // "Unauthorized"
	Fields                []Param // fields of the response's header, explained
	Challenge             []Param // the parameters of WWW-Authenticate, explained
	Body                  string
	Done                  bool
}

// Param is a field or a parameter with what it means.
type Param struct{ Name, Value, Meaning string }

// IssuerCall is a call of the API to the issuer.
type IssuerCall struct {
	Document string // "metadata", "jwks" or "introspection"
	Status   int    // 0 if there was no response
	Took     time.Duration
}

// Stage is one stage of the check of a request.
type Stage struct {
	Name  string // "credentials", "cache", "claims" and so on: see pages/texts.json
	Asks  string // the question that the stage answers
	State string
	Found string // what the stage found, or ""
	Why   string // why the request ended here, or ""
	Fix   string // what the operator of the API can do about it, or ""
	Parts []Part // the single checks of this stage
}

// Part is one check of a stage.
type Part struct{ Name, State, Found, Why string }
