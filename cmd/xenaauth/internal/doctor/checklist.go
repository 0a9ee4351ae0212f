package doctor

import (
	"slices"

	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/console"
	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/setting"
)

// State is the result of one check in the checklist of the command "doctor".
type State string

// These constants are the possible results of a check of the command "doctor".
const (
	Good State = "good"
	// Warning is the result if tokens can be checked, but the operator should change something.
	Warning State = "warning"
	// Bad is the result if the service refuses or accepts tokens wrongly, until the operator
	// changes something.
	Bad State = "bad"
	// Unknown is the result if the issuer could not be reached.
	Unknown State = "unknown"
	// Skipped is the result if the configuration doesn't need the check, or if an earlier check
	// failed.
	Skipped State = "skipped"
)

// Check is one line of the checklist that the command "doctor" prints.
type Check struct {
	Name  string `json:"name"`
	State State  `json:"state"`
	// Found is what the check found out.
	Found string `json:"found"`
	// Details say more about what the check found out, one detail in each line.
	Details []string `json:"details,omitempty"`
	// Fix says what the operator should do if the check failed.
	Fix string `json:"fix,omitempty"`
}

// Checklist is the output of the command "doctor" about one configuration or issuer.
type Checklist struct {
	// Title names the configuration file or issuer that was examined. It is "" if the configuration
	// comes from environment variables.
	Title  string  `json:"title,omitempty"`
	Issuer string  `json:"issuer,omitempty"`
	Checks []Check `json:"checks"`
	// Others are the checklists of the other configurations and issuers that the operator named.
	Others []*Checklist `json:"others,omitempty"`
	// KeyChecks are the results of comparing the keys of several issuers.
	KeyChecks []Check `json:"compared,omitempty"`

	names setting.Names
}

// Checklist.add adds a check to the list. The texts of the check name environment variables or
// fields of the Config. Checklist.add replaces these names by those that the operator uses, for
// example by keys of a file.
func (l *Checklist) add(c Check) {
	c.Found, c.Fix = l.names.ReplaceFields(c.Found), l.names.ReplaceFields(c.Fix)
	l.Checks = append(l.Checks, c)
}

// Checklist.has reports whether at least one check in Checks, KeyChecks or Others has the result s.
func (l *Checklist) has(s State) bool {
	isThis := func(c Check) bool { return c.State == s }
	return slices.ContainsFunc(l.Checks, isThis) || slices.ContainsFunc(l.KeyChecks, isThis) ||
		slices.ContainsFunc(l.Others, func(o *Checklist) bool { return o.has(s) })
}

// Text implements [console.Answer].
func (l *Checklist) Text(t *console.Text) {
	for _, one := range append([]*Checklist{l}, l.Others...) {
		if len(l.Others) > 0 {
			title := one.Title
			if title == "" {
				title = "the environment"
			}
			t.Line("%s", title)
		}
		writeChecks(t, one.Checks)
		t.Line("")
	}
	if len(l.KeyChecks) > 0 {
		writeChecks(t, l.KeyChecks)
		t.Line("")
	}
	t.Line("%s", l.verdict())
}

// writeChecks writes checks as text for people. Each check has one line, and below it further lines
// with its details and its fix.
func writeChecks(t *console.Text, checks []Check) {
	width := 0
	for _, c := range checks {
		width = max(width, len(c.Name))
	}
	for _, c := range checks {
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

// Checklist.err returns the error that sets the exit status of the command "doctor": nil if no
// check has failed.
func (l *Checklist) err() error {
	switch {
	case l.has(Bad):
		return console.ErrAnswerNo
	case l.has(Unknown):
		return console.NewUnknownError(nil)
	}
	return nil
}
