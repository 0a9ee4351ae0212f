package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var row = regexp.MustCompile(`(?m)^\| ([A-Z][0-9]+) \|.*\| ([^|]*) \|$`)

// The table in conformance.md has a row for each requirement that the tests in the folder
// conformance check. TestConformanceDocument requires that no row is missing, and that every test
// that a row names exists. If the name of a test contains the id of a row, the document must name
// the test.
func TestConformanceDocument(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile("conformance.md")
	require.NoError(t, err)
	have := make(map[string]bool)
	files, err := filepath.Glob("../conformance/*/*_test.go")
	require.NoError(t, err)
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		require.NoError(t, err)
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil {
				have[f.Name.Name] = true
			}
		}
	}
	rows := make(map[string]bool)
	for _, m := range row.FindAllStringSubmatch(string(document), -1) {
		rows[m[1]] = true
		for name := range strings.FieldsFuncSeq(m[2], func(r rune) bool { return r == ',' || r == ' ' || r == '`' }) {
			require.True(t, have[name], "row %s names %s: conformance/ has no such test", m[1], name)
		}
	}
	for prefix, last := range map[string]int{"B": 11, "J": 16, "P": 5, "I": 7, "M": 3, "A": 5, "C": 1, "D": 6, "T": 2} {
		for i := 1; i <= last; i++ {
			require.True(t, rows[prefix+strconv.Itoa(i)], "row %s%d is missing", prefix, i)
		}
	}
	for name := range have {
		if id, _, ok := strings.Cut(strings.TrimPrefix(name, "Test"), "_"); ok && rows[id] {
			require.Contains(t, string(document), name)
		}
	}
}
