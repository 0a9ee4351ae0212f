package explain

import (
	"strings"

	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/console"
	"github.com/xenaauth/xenaauth/cmd/xenaauth/tokencheck"
)

// Answer is the output of the command "explain".
type Answer struct {
	// Outcome says what a service would do with a request with this token: "allowed", "refused" or
	// "unavailable".
	Outcome string `json:"outcome"`
	Reason  string `json:"reason,omitempty"`
	Status  int    `json:"status,omitempty"`
	// Challenge has the values of the header field WWW-Authenticate that the client would get.
	Challenge []string `json:"challenge,omitempty"`
	tokencheck.Explanation
	User string `json:"user,omitempty"`
	// Proof reports whether the token is bound to a key, so that a request passes only with a proof
	// of possession. The command assumes that the client sends this proof. If the token is refused,
	// Proof is false.
	Proof bool `json:"proof_required,omitempty"`
}

// Text implements [console.Answer].
func (a *Answer) Text(t *console.Text) {
	width := 0
	for _, s := range a.Steps {
		width = max(width, len(s.Name))
	}
	var rest []string
	for _, s := range a.Steps {
		switch s.State {
		case tokencheck.Held:
			t.Good("%-*s  %s", width, s.Name, s.Found)
		case tokencheck.NotReached:
			rest = append(rest, s.Name)
		default:
			t.Bad("%-*s  %s", width, s.Name, s.Why)
			t.Detail("%-*s  → %s", width, "", s.Fix)
		}
	}
	if len(rest) > 0 {
		t.Skip("not reached: %s", strings.Join(rest, ", "))
	}
	a.claims(t)
	t.Line("")
	switch a.Outcome {
	case "allowed":
		t.Good("allowed: %s", a.User)
		if a.Proof {
			t.Detail("The token is bound to a key: each request needs a proof of possession, which this " +
				"command can't check.")
		}
	case "refused":
		t.Bad("refused: %s, status %d", a.Reason, a.Status)
		for _, challenge := range a.Challenge {
			t.Detail("WWW-Authenticate: %s", challenge)
		}
	default:
		t.Bad("the token can't be checked now, status %d", a.Status)
	}
}

func (a *Answer) claims(t *console.Text) {
	if len(a.Claims) == 0 {
		return
	}
	t.Line("")
	if a.Verified {
		t.Line("Claims")
	} else {
		t.Line("Claims, which are not verified")
	}
	rows := make([][]string, len(a.Claims))
	for i, c := range a.Claims {
		rows[i] = []string{"  " + c.Name, c.Value}
	}
	t.Columns(rows)
}

// Answer.err returns the error that sets the exit status of the command "explain": nil if the token
// is allowed.
func (a *Answer) err() error {
	switch a.Outcome {
	case "allowed":
		return nil
	case "refused":
		return console.ErrAnswerNo
	}
	return console.NewUnknownError(nil)
}
