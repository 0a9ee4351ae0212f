package doctor

import (
	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/console"
)

// State is the result of one check.
type State string

// These are the possible results.
const (
	Good    State = "good"
	Warning State = "warning" // tokens can be checked, but something should be changed
	Bad     State = "bad"     // tokens are refused or accepted wrongly until something is changed
	Unknown State = "unknown" // the issuer could not be reached, so the check has no result
	// The configuration doesn't need the check, or an earlier check failed.
	Skipped State = "skipped"
)

// Check is one line of the checklist.
type Check struct {
	Name  string `json:"name"`
	State State  `json:"state"`
	// Found is what the check found.
	Found string `json:"found"`
	// Details are further results, one in each line.
	Details []string `json:"details,omitempty"`
	// Fix says what the operator should do.
	Fix string `json:"fix,omitempty"`
}

// Checklist is the output of the command.
type Checklist struct {
	Issuer string  `json:"issuer,omitempty"`
	Checks []Check `json:"checks"`
}

func (l *Checklist) add(c Check) { l.Checks = append(l.Checks, c) }

// has reports whether at least one check in the list has the state s.
func (l *Checklist) has(s State) bool {
	for _, c := range l.Checks {
		if c.State == s {
			return true
		}
	}
	return false
}

// Text implements [console.Answer].
func (l *Checklist) Text(t *console.Text) {
	width := 0
	for _, c := range l.Checks {
		width = max(width, len(c.Name))
	}
	for _, c := range l.Checks {
		mark := t.Good
		switch c.State {
		case Warning:
			mark = t.Warn
		case Bad, Unknown:
			mark = t.Bad
		case Skipped:
			mark = t.Skip
		}
		mark("%-*s  %s", width, c.Name, c.Found)
		for _, d := range c.Details {
			t.Detail("%-*s  %s", width, "", d)
		}
		if c.Fix != "" {
			t.Detail("%-*s  → %s", width, "", c.Fix)
		}
	}
	t.Line("")
	t.Line("%s", l.verdict())
}

func (l *Checklist) verdict() string {
	switch {
	case l.has(Bad):
		return "Something is wrong: see the lines with ✗."
	case l.has(Unknown):
		return "The issuer could not be asked: see the lines with ✗."
	case l.has(Warning):
		return "Tokens can be checked. The lines with ! say what should be changed."
	}
	return "All is well: tokens can be checked."
}

// err returns the error that sets the exit status of the command.
func (l *Checklist) err() error {
	switch {
	case l.has(Bad):
		return console.No
	case l.has(Unknown):
		return console.Unknown(nil)
	}
	return nil
}
