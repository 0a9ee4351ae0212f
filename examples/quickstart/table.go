package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// printTable prints the requests of the tour and the responses as a table. No column contains a
// token.
func printTable(out io.Writer, rows []row) {
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
	at := place{}
	for _, r := range rows {
		if r.place.path != at.path || r.place.about != at.about {
			at = r.place
			fmt.Fprintf(out, "\nGET %s: %s\n", at.path, at.about)
		}
		mark := "ok"
		if !r.expected() {
			mark = "NO"
		}
		line(mark, r.step.label, fmt.Sprint(r.got.status), r.got.detail, r.got.user)
		if !r.expected() {
			fmt.Fprintf(out, "    expected %v\n    not      %v\n", r.step.want, r.got)
		}
	}
	fmt.Fprintf(out, "\n%d of %d answers are as expected.\n", len(rows)-unexpected(rows), len(rows))
}

// String returns the text in which the tour prints a response that was not expected.
func (a answer) String() string {
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
func verdict(rows []row) error {
	if n := unexpected(rows); n > 0 {
		return fmt.Errorf("%d %w", n, errUnexpected)
	}
	return nil
}

func unexpected(rows []row) (n int) {
	for _, r := range rows {
		if !r.expected() {
			n++
		}
	}
	return n
}
