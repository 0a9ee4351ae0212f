package chaos

import (
	"os"
	"strings"
	"testing"
	"unicode/utf8"
)

const report = "../docs/reliability.md"

// checkTable prints the recorded responses of the API as a table, and compares it with the table of
// the same name in docs/reliability.md. Comments in that page mark where each table begins and
// ends.
func checkTable(t *testing.T, name string, head []string, rows [][]string) {
	t.Helper()
	for _, row := range rows {
		if row == nil {
			// if only some of the test cases ran, the table is incomplete and is not compared
			return
		}
	}
	text := renderTable(append([][]string{head}, rows...))
	t.Log("\n" + text)
	if t.Failed() {
		return
	}
	content, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(content), "<!-- "+name+" -->\n")
	old, after, ended := strings.Cut(rest, "<!-- end -->")
	switch {
	case !found || !ended:
		t.Fatalf("%s has no room for the table %q", report, name)
	case old == text:
	case *update:
		content := before + "<!-- " + name + " -->\n" + text + "<!-- end -->" + after
		if err := os.WriteFile(report, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s has another table %q: look at the difference, then run the tests with -update", report, name)
	}
}

// renderTable returns the rows of a table as Markdown. The first row is the header.
func renderTable(rows [][]string) string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	line := func(row []string, fill string) {
		for i, w := range widths {
			cell := ""
			if row != nil {
				cell = row[i]
			}
			b.WriteString("| " + cell + strings.Repeat(fill, w-utf8.RuneCountInString(cell)) + " ")
		}
		b.WriteString("|\n")
	}
	for n, row := range rows {
		line(row, " ")
		if n == 0 {
			line(nil, "-")
		}
	}
	return b.String()
}
