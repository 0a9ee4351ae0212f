package console

import (
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode"
)

// Text writes the answer of a command for people. An answer can contain values from a token or from
// a server. A character in such a value could control the terminal, so Text writes an escape in its
// place, such as \x1b.
type Text struct {
	b     strings.Builder
	color bool
}

const (
	green  = "\x1b[32m"
	red    = "\x1b[31m"
	yellow = "\x1b[33m"
	faint  = "\x1b[2m"
	normal = "\x1b[0m"
)

// Good writes a line about something that is right. The line begins with the mark "✓".
func (t *Text) Good(format string, args ...any) { t.mark(green, "✓", format, args) }

// Bad writes a line about something that is wrong. The line begins with the mark "✗".
func (t *Text) Bad(format string, args ...any) { t.mark(red, "✗", format, args) }

// Warn writes a line about something that is probably wrong. The line begins with the mark "!".
func (t *Text) Warn(format string, args ...any) { t.mark(yellow, "!", format, args) }

// Skip writes a line about something that was not checked. The line begins with the mark "-".
func (t *Text) Skip(format string, args ...any) { t.mark(faint, "-", format, args) }

func (t *Text) mark(color, sign, format string, args []any) {
	if t.color {
		sign = color + sign + normal
	}
	t.b.WriteString(sign + " ")
	t.Line(format, args...)
}

// Detail writes an indented line. It adds details to the line before it, which Good, Bad, Warn or
// Skip has written.
func (t *Text) Detail(format string, args ...any) {
	t.b.WriteString("  ")
	t.Line(format, args...)
}

// Line writes a line that begins with none of the marks ✓, ✗, ! and -. The line may be empty.
func (t *Text) Line(format string, args ...any) {
	t.b.WriteString(escapeUnprintable(fmt.Sprintf(format, args...)))
	t.b.WriteByte('\n')
}

// Columns writes a table: each row is one line, and the texts of one column are below each other.
func (t *Text) Columns(rows [][]string) {
	w := tabwriter.NewWriter(&t.b, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			if i > 0 {
				_, _ = w.Write([]byte("\t"))
			}
			_, _ = w.Write([]byte(escapeUnprintable(cell)))
		}
		_, _ = w.Write([]byte("\n"))
	}
	_ = w.Flush()
}

// escapeUnprintable returns s with escapes in place of the characters that are not printable.
func escapeUnprintable(s string) string {
	var b strings.Builder
	for _, r := range s {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		quoted := strconv.QuoteRuneToASCII(r)
		b.WriteString(quoted[1 : len(quoted)-1])
	}
	return b.String()
}
