package routes

import (
	"github.com/xenaauth/xenaauth/gateway/routes"

	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/console"
)

// findings is the answer about a table.
type findings struct {
	Findings []finding `json:"findings"`
}

// finding is a rule that is probably a mistake.
type finding struct {
	Kind routes.FindingKind `json:"kind"`
	// Rule and Other say where the rules are that the finding compares. Other can be "".
	Rule  string `json:"rule"`
	Other string `json:"other,omitempty"`
	Text  string `json:"text"`
}

// lint prints the rules of a table that are probably a mistake.
func lint(c *console.Console, table *routes.Table) error {
	answer := findings{Findings: []finding{}}
	for _, f := range table.Lint() {
		answer.Findings = append(answer.Findings, finding{
			Kind: f.Kind, Rule: f.Rule.Source, Other: f.Other.Source, Text: f.String(),
		})
	}
	if err := c.Print(answer); err != nil {
		return err
	}
	if len(answer.Findings) > 0 {
		return console.No
	}
	return nil
}

// Text writes the answer for people.
func (a findings) Text(t *console.Text) {
	for _, f := range a.Findings {
		t.Warn("%s: %s", f.Kind, f.Text)
	}
	if len(a.Findings) == 0 {
		t.Good("no rule is probably a mistake")
	}
}
