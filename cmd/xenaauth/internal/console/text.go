package console

import (
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode"
)

// Text writes an answer for people. It writes characters that could control a terminal as escapes,
// because values can come from a token or from a server.
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

// Good writes a line that begins with ✓: what the line is about is right.
func (t *Text) Good(format string, args ...any) { t.mark(green, "✓", format, args) }

// Bad writes a line that begins with ✗: what the line is about is wrong.
func (t *Text) Bad(format string, args ...any) { t.mark(red, "✗", format, args) }

// Warn writes a line that begins with !: what the line is about is probably wrong.
func (t *Text) Warn(format string, args ...any) { t.mark(yellow, "!", format, args) }

// Skip writes a line that begins with -: what the line is about was not checked.
func (t *Text) Skip(format string, args ...any) { t.mark(faint, "-", format, args) }

func (t *Text) mark(color, sign, format string, args []any) {
	if t.color {
		sign = color + sign + normal
	}
	t.b.WriteString(sign + " ")
	t.Line(format, args...)
}

// Detail writes an indented line below a line of Good, Bad, Warn or Skip, with more about it.
func (t *Text) Detail(format string, args ...any) {
	t.b.WriteString("  ")
	t.Line(format, args...)
}

// Line writes a line that begins with none of the marks ✓, ✗, ! and -. The line may be empty.
func (t *Text) Line(format string, args ...any) {
	t.b.WriteString(printable(fmt.Sprintf(format, args...)))
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
			_, _ = w.Write([]byte(printable(cell)))
		}
		_, _ = w.Write([]byte("\n"))
	}
	_ = w.Flush()
}

// The function printable returns s with escapes in place of the characters that are not printable.
func printable(s string) string {
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
