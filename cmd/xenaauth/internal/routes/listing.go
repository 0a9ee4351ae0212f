package routes

import (
	"fmt"
	"strings"

	"github.com/xenaauth/xenaauth/gateway/routes"

	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/console"
)

// A listing is the output of the command "routes" with the flag --print=text. It contains all rules
// of the table of routes.
type listing struct {
	IgnoreCase bool   `json:"ignore_case"`
	Rules      []rule `json:"rules"`
}

type rule struct {
	Rule     string `json:"rule"` // the line of the file in which the rule is
	Route    string `json:"route"`
	Requires string `json:"requires"`
}

func newListing(table *routes.Table) listing {
	l := listing{IgnoreCase: table.IgnoresCase(), Rules: []rule{}}
	for _, r := range table.Rules() {
		l.Rules = append(l.Rules, rule{r.Source, r.Pattern, r.Access.String()})
	}
	return l
}

// Text prints the table of routes for people, one line for each rule.
func (l listing) Text(t *console.Text) {
	rows := [][]string{{"ROUTE", "REQUIRES", "RULE"}}
	for _, r := range l.Rules {
		rows = append(rows, []string{r.Route, r.Requires, r.Rule})
	}
	t.Columns(rows)
}

// markdownTable returns the rules of a table of routes as a table in Markdown, with one line for
// each rule.
func markdownTable(table *routes.Table) string {
	var b strings.Builder
	b.WriteString("| Method | Route | Requires |\n| --- | --- | --- |\n")
	for _, r := range table.Rules() {
		method, route := splitPattern(r.Pattern)
		if method == "" {
			method = "any"
		}
		_, _ = fmt.Fprintf(&b, "| %s | `%s` | %s |\n", method, escapeCell(route), escapeCell(words(r.Access)))
	}
	return b.String()
}

// escapeCell returns a text in the form that a cell of a Markdown table needs: with a backslash
// before each "|".
func escapeCell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

func words(access routes.Access) string {
	if r, ok := access.Requirement(); ok {
		return r.String()
	}
	switch {
	case access.IsPublic():
		return "nothing: public"
	case access.IsOptional():
		return "a valid token, or none"
	}
	return "no request may pass"
}

// splitPattern splits the pattern of a route into the method and the rest.
func splitPattern(pattern string) (method, route string) {
	if before, after, found := strings.Cut(pattern, " "); found {
		return before, strings.TrimLeft(after, " ")
	}
	return "", pattern
}
