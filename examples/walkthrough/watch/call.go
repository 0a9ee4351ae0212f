// Package watch sends calls to an API that xenaauth guards, and records how xenaauth checks each
// call: the stages of the check, the result of each stage, and the reason for a refusal.
package watch

import "time"

// These constants are the values of Stage.State: the result of one stage in the check of a call.
const (
	Passed     = "passed"
	Failed     = "failed"
	Skipped    = "skipped"     // this request did not need the stage
	Unknown    = "unknown"     // the issuer did not respond, so the stage has no result
	NotReached = "not reached" // an earlier stage ended the request
)

// Call describes one call of the API. The fields of a Call never change. If more is known about the
// call, a new Call with the same ID replaces it.
type Call struct {
	ID, Name, Label, What string
	Method, Path          string
	// the header field with the credentials of the call; it contains only the beginning of the
	// token
	Credentials string
	Sent        time.Time
	// the requests that the API sent to the issuer because of this call
	Issuer []IssuerCall
	Stages []Stage // the stages in which the API checked the call; empty before the API's decision
	// the API's decision: "allowed", "refused" or "unavailable"; "" before the decision
	Outcome      string
	Reason       string // the reason of the refusal in one word, such as "expired"
	Why          string // a sentence about the refusal, for the client; or ""
	Source       string // how the token was checked: "jwt", "introspection", "cache" or ""
	Took, Waited time.Duration
	Status       int     // the status of the response; 0 before the response has arrived
	StatusText   string  // the words for the status, such as "Unauthorized"
	Fields       []Param // some header fields of the response, with explanations
	Challenge    []Param // the parameters of WWW-Authenticate, with explanations
	Body         string
	Done         bool
}

// CheckedBy returns how the API checked the token. This is the value of the field Source. But
// Source is "" if the API refused the request. Then CheckedBy returns "introspection" if the API
// asked the issuer about the token, and otherwise "".
func (c *Call) CheckedBy() string {
	for _, i := range c.Issuer {
		if c.Source == "" && i.Document == "introspection" {
			return i.Document
		}
	}
	return c.Source
}

// Param is a header field, a parameter or a claim, with an explanation of its meaning.
type Param struct{ Name, Value, Meaning string }

// IssuerCall is a request of the API to the issuer.
type IssuerCall struct {
	Document string // what the API asked for: "metadata", "jwks" or "introspection"
	Status   int    // the status of the issuer's response, or 0 without a response
	Took     time.Duration
}

// Stage is one stage in the API's check of a call.
type Stage struct {
	// the name of the stage, such as "credentials", "cache" or "claims": see pages/texts.json
	Name  string
	Asks  string // the question that this stage of the check answers
	State string
	Found string // what the stage found, or ""
	Why   string // the reason why the check ended at this stage, or ""
	Fix   string // what the operator of the API can do if the check failed at this stage, or ""
	Parts []Part // the checks that this stage consists of
}

// Part is one of the checks in a stage. A stage has one or more of them.
type Part struct{ Name, State, Found, Why string }
