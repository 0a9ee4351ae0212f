package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// snippetMark is the comment before a code block of a page. It says which test checks the block:
//
//	<!-- extract of PATH -->         lines of a file, which tests run or compile. "# ..." leaves some out
//	<!-- checked by NAME in PATH --> a test that reads the page
//	<!-- not checked: REASON -->
var snippetMark = regexp.MustCompile(`^<!-- (?:(extract of) (\S+)|(checked by) (\w+) in (\S+)|not checked: \S.*) -->$`)

// Some documentation pages contain code blocks. For each block of these pages, the line before it
// must say that the block is an extract of a file, that a test reads the page, or why nothing
// checks the block. The test compares each extract with its file, and requires that each test that
// is named exists and names the page.
func TestSnippetsAreWhatTestsRun(t *testing.T) {
	for _, page := range []string{
		"gateway.md", "envoy.md", "routes.md", "possession.md", "../cmd/xenagate/README.md", "../cmd/xenagate/deploy/README.md",
	} {
		data, err := os.ReadFile(page)
		require.NoError(t, err)
		var block []string
		mark, before, first := "", "", 0
		for i, line := range strings.Split(string(data), "\n") {
			fence := strings.HasPrefix(line, "```")
			switch {
			case fence && first == 0:
				mark, first, block = before, i+1, nil
			case fence:
				checkSnippet(t, page, first, mark, block)
				first = 0
			case first > 0:
				block = append(block, line)
			default:
				require.False(t, strings.HasPrefix(line, "    ") && strings.TrimSpace(before) == "" && line != "",
					"%s:%d: a block without a fence", page, i+1)
			}
			before = line
		}
		require.Zero(t, first, "%s: the block of line %d has no end", page, first)
	}
}

func checkSnippet(t *testing.T, page string, line int, mark string, block []string) {
	t.Helper()
	found := snippetMark.FindStringSubmatch(mark)
	switch {
	case found == nil:
		t.Errorf("%s:%d: the line before the block doesn't tell what keeps it true, as in %s", page, line, snippetMark)
	case found[1] != "":
		from := filepath.Join(filepath.Dir(page), found[2])
		data, err := os.ReadFile(from)
		require.NoError(t, err, "%s:%d", page, line)
		if problem := extractProblem(block, strings.Split(string(data), "\n")); problem != "" {
			t.Errorf("%s:%d: not as in %s: %s", page, line, from, problem)
		}
	case found[3] != "":
		tests, err := filepath.Glob(filepath.Join(filepath.Dir(page), found[5], "*_test.go"))
		require.NoError(t, err)
		for _, name := range tests {
			data, err := os.ReadFile(name)
			require.NoError(t, err)
			if strings.Contains(string(data), "\nfunc "+found[4]+"(t *testing.T)") && strings.Contains(string(data), filepath.Base(page)) {
				return
			}
		}
		t.Errorf("%s:%d: %s has no test %s that reads the page", page, line, found[5], found[4])
	}
}

// extractProblem returns "" if the lines of a snippet are an extract of the lines of a file: the
// same lines in the same order. Lines are left out only at a line "# ...". All lines of the snippet
// may be indented less than in the file, by the same amount. If the snippet is no extract,
// extractProblem returns the reason.
func extractProblem(snippetLines, fileLines []string) string {
	indent, unknown := "", true
	// The next line of the snippet must be the line fileLines[nextIndex]. But if skipsLines is
	// true, it may also be a later line of the file. skipsLines is true at the beginning of the
	// snippet, and after a line "# ..." of the snippet.
	nextIndex, skipsLines := 0, true
	for _, want := range snippetLines {
		if strings.TrimSpace(want) == "# ..." {
			skipsLines = true
			continue
		}
		at := -1
		for i := nextIndex; i < len(fileLines) && at < 0; i++ {
			have := fileLines[i]
			switch {
			case unknown && want != "" && strings.HasSuffix(have, want) && strings.TrimSpace(have[:len(have)-len(want)]) == "":
				indent, unknown = have[:len(have)-len(want)], false
				at = i
			case !unknown && (have == indent+want || want == "" && have == ""):
				at = i
			case !skipsLines:
				return "after line " + fileLines[nextIndex-1] + " comes " + have + ", not " + want
			}
		}
		if at < 0 {
			return "there is no line " + want + ", or not in this order"
		}
		nextIndex, skipsLines = at+1, false
	}
	return ""
}

func TestNotExtract(t *testing.T) {
	file := []string{"a {", "\tb", "", "\tc {", "\t\td", "\t}", "\te", "}"}
	for _, block := range []string{"a {|\tb", "b||c {|\td|}", "b|# ...|e", "c {|\t# ...|}", "# ...|e"} {
		require.Empty(t, extractProblem(strings.Split(block, "|"), file), block)
	}
	for _, block := range []string{"a {|b", "b|c {", "b|e", "e|b", "c {|d", "b|# ...|f", "# ...|e|# ...|c {", "B"} {
		require.NotEmpty(t, extractProblem(strings.Split(block, "|"), file), block)
	}
}
