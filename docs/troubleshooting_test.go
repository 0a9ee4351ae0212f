package docs_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
)

// allReasons returns the reasons of refusals: the constants of the type Reason.
func allReasons(t *testing.T) (all []xenaauth.Reason) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../errors.go", nil, 0)
	require.NoError(t, err)
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if kind, ok := spec.Type.(*ast.Ident); ok && kind.Name == "Reason" {
			value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			require.NoError(t, err)
			all = append(all, xenaauth.Reason(value))
		}
		return true
	})
	require.Greater(t, len(all), 20)
	return all
}

// troubleshooting.md has one section for each reason of a refusal, and no other sections. If
// Options.ProblemTypes is the address of this page, the body of a refusal links to the section.
// Each section says what the client sees, what the log says, the cause and the fix.
func TestTroubleshootingHasEachReason(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("troubleshooting.md")
	require.NoError(t, err)
	sections := make(map[string]string)
	for _, section := range regexp.MustCompile(`(?m)^## `).Split(string(page), -1)[1:] {
		name, text, _ := strings.Cut(section, "\n")
		sections[name] = text
	}
	for _, reason := range allReasons(t) {
		e := &xenaauth.Error{Reason: reason}
		text, ok := sections[string(reason)]
		require.True(t, ok, "%s has no section", reason)
		delete(sections, string(reason))
		code := ", without an error code"
		if e.Code() != "" {
			code = " `" + e.Code() + "`"
		}
		want := fmt.Sprintf("- **Client sees:** `%d`%s: %s\n", e.StatusCode(), code, e.Detail())
		require.Contains(t, text, want, "%s", reason)
		for _, part := range []string{"Log says", "Cause", "Fix"} {
			require.Regexp(t, `(?m)^- \*\*`+part+`:\*\* \S.{10}`, text, "%s", reason)
		}
	}
	require.Empty(t, sections, "these are no reasons")
	require.Contains(t, string(page), `Options.ProblemTypes`)
}
