package can

import (
	"errors"
	"slices"
	"strings"

	"github.com/xenaauth/xenaauth"

	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/console"
)

// A decision is the output of the command "can" about one request. Some of its fields are also in
// the log of a service, and docs/operations.md describes them.
type decision struct {
	Method  string `json:"method"`
	Path    string `json:"path"`
	Outcome string `json:"outcome"`

	// Rule says in which line of the file the rule for the request is, Route is the pattern of this
	// rule, and Requires is what it requires. All three are "" if no rule matches the request.
	Rule     string `json:"rule,omitempty"`
	Route    string `json:"route,omitempty"`
	Requires string `json:"requires,omitempty"`

	// Reason, Why, Status and Challenge describe the refusal. These fields are empty if the request
	// may pass.
	Reason    xenaauth.Reason `json:"reason,omitempty"`
	Why       string          `json:"why,omitempty"`
	Status    int             `json:"status,omitempty"`
	Challenge []string        `json:"challenge,omitempty"`

	// Issuer, ClientID, Subject and Scopes are claims of the token. They are empty if the token is
	// not valid.
	Issuer   string   `json:"issuer,omitempty"`
	ClientID string   `json:"client_id,omitempty"`
	Subject  string   `json:"sub,omitempty"`
	Scopes   []string `json:"scopes,omitempty"`

	// Proof reports whether the request passes only with a proof of possession, because the token is
	// bound to a key. The command assumes that the client sends this proof. If the request is
	// refused, Proof is false.
	Proof bool `json:"proof_required,omitempty"`
}

// decision.setEvent copies fields of e to the decision that the command prints. The guard reports
// its own decision about the request as this event.
func (d *decision) setEvent(e xenaauth.Event) {
	d.Outcome, d.Issuer, d.ClientID = e.Outcome, e.Issuer, e.ClientID
	if e.User != nil {
		d.Subject, d.Scopes = e.User.Subject(), slices.Clone(e.User.Scopes())
	}
}

// decision.setCause copies the reason and the cause of a refusal to the decision that the command
// prints.
func (d *decision) setCause(err error) {
	if e, ok := errors.AsType[*xenaauth.Error](err); ok {
		d.Reason = e.Reason
		if e.Err != nil {
			d.Why = e.Err.Error()
		}
	}
}

// Text prints the decision for people.
func (d *decision) Text(t *console.Text) {
	switch d.Outcome {
	case xenaauth.OutcomeAllowed:
		t.Good("%s %s passes", d.Method, d.Path)
	case xenaauth.OutcomeAnonymous:
		t.Good("%s %s passes, without a user", d.Method, d.Path)
	case xenaauth.OutcomeRefused:
		t.Bad("%s %s is refused: %d %s", d.Method, d.Path, d.Status, d.Reason)
	default:
		t.Warn("%s %s: the token can't be checked: %d %s", d.Method, d.Path, d.Status, d.Reason)
	}
	if d.Rule == "" {
		t.Detail("rule      none")
	} else {
		t.Detail("rule      %s (%s)", d.Rule, d.Route)
		t.Detail("requires  %s", d.Requires)
	}
	if d.ClientID != "" || d.Subject != "" {
		t.Detail("token     %s", d.token())
	}
	if d.Proof {
		t.Detail("proof     the token is bound to a key: the client must prove possession of the key")
	}
	if d.Why != "" {
		t.Detail("why       %s", d.Why)
	}
	for _, challenge := range d.Challenge {
		t.Detail("response  WWW-Authenticate: %s", challenge)
	}
}

// decision.token describes the valid token of the request in one line: its user, client and scopes.
func (d *decision) token() string {
	user, scopes := "no user", "no scopes"
	if d.Subject != "" {
		user = "user " + d.Subject
	}
	if len(d.Scopes) > 0 {
		scopes = "scopes " + strings.Join(d.Scopes, " ")
	}
	return user + ", client " + d.ClientID + ", " + scopes
}
