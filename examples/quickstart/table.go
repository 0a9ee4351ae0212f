package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// printTable prints the requests of the tour and the responses as a table. No column contains a
// token.
func printTable(out io.Writer, rows []tableRow) {
	labels, details := len("REQUEST WITH"), len("CHALLENGE (no realm, no description)")
	for _, r := range rows {
		labels = max(labels, len(r.step.label))
		details = max(details, len(r.got.detail))
	}
	line := func(mark string, label, status, detail, user string) {
		text := fmt.Sprintf("%-4s%-*s  %-6s  %-*s  %s", mark, labels, label, status, details, detail, user)
		fmt.Fprintln(out, strings.TrimRight(text, " "))
	}
	line("", "REQUEST WITH", "STATUS", "CHALLENGE (no realm, no description)", "USER")
	at := tourSection{}
	for _, r := range rows {
		if r.place.path != at.path || r.place.explanation != at.explanation {
			at = r.place
			fmt.Fprintf(out, "\nGET %s: %s\n", at.path, at.explanation)
		}
		mark := "ok"
		if !r.isExpected() {
			mark = "NO"
		}
		line(mark, r.step.label, fmt.Sprint(r.got.status), r.got.detail, r.got.user)
		if !r.isExpected() {
			fmt.Fprintf(out, "    expected %v\n    not      %v\n", r.step.want, r.got)
		}
	}
	fmt.Fprintf(out, "\n%d of %d answers are as expected.\n", len(rows)-unexpected(rows), len(rows))
}

// String returns the text in which the tour prints a response that was not expected.
func (a tourAnswer) String() string {
	text := fmt.Sprint(a.status)
	for _, part := range []struct{ name, value string }{
		{"reason", string(a.reason)}, {"with", a.detail}, {"user", a.user},
	} {
		if part.value != "" {
			text += ", " + part.name + " " + part.value
		}
	}
	return text
}

// errUnexpected means that the API sent a response that the tour of the quickstart did not expect.
var errUnexpected = errors.New("answers are not as expected")

// checkRows returns nil if every response in the tour was as expected.
func checkRows(rows []tableRow) error {
	if n := unexpected(rows); n > 0 {
		return fmt.Errorf("%d %w", n, errUnexpected)
	}
	return nil
}

func unexpected(rows []tableRow) (n int) {
	for _, r := range rows {
		if !r.isExpected() {
			n++
		}
	}
	return n
}
