package routes

import (
	"github.com/xenaauth/xenaauth/cmd/internal/config"
	"github.com/xenaauth/xenaauth/gateway/routes"

	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/console"
)

// findings is the output of the command "routes" if it checks a table of routes.
type findings struct {
	Findings []finding `json:"findings"`
}

// A finding describes a rule in the table of routes that is probably a mistake.
type finding struct {
	Kind routes.FindingKind `json:"kind"`
	// Rule is the name of the file and the line in which the rule is. OtherRule is the same for the
	// second rule, if the finding is about two rules. Otherwise OtherRule is "".
	Rule      string `json:"rule"`
	OtherRule string `json:"other,omitempty"`
	Text      string `json:"text"`
}

// findingUnprovable is the kind of a rule that requires a bound token although the configuration
// turns off DPoP and client certificates. No client can prove that it has the key of such a token.
const findingUnprovable routes.FindingKind = "unprovable"

// lint prints the rules in a table that are probably mistakes.
func lint(c *console.Console, table *routes.Table, unprovableRules []config.UnprovableRule) error {
	answer := findings{Findings: []finding{}}
	for _, f := range table.Lint() {
		answer.Findings = append(answer.Findings, finding{
			Kind: f.Kind, Rule: f.Rule.Source, OtherRule: f.Other.Source, Text: f.String(),
		})
	}
	for _, u := range unprovableRules {
		answer.Findings = append(answer.Findings, finding{
			Kind: findingUnprovable, Rule: u.Rule.Source, Text: u.String(),
		})
	}
	if err := c.Print(answer); err != nil {
		return err
	}
	if len(answer.Findings) > 0 {
		return console.ErrAnswerNo
	}
	return nil
}

// Text prints, for people, which rules are probably mistakes.
func (a findings) Text(t *console.Text) {
	for _, f := range a.Findings {
		t.Warn("%s: %s", f.Kind, f.Text)
	}
	if len(a.Findings) == 0 {
		t.Good("no rule is probably a mistake")
	}
}
