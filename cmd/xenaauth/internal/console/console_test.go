package console

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

type line string

func (l line) Text(t *Text) {
	t.Good("%s", l)
	t.Columns([][]string{{string(l), "b"}, {"a", "b"}})
}

// A command prints texts from tokens. An attacker could put control characters into a token, so
// such texts must not control the terminal of the person who reads the output.
func TestControlCharactersAreEscaped(t *testing.T) {
	var out, errOut bytes.Buffer
	c := New(strings.NewReader(""), &out, &errOut, Options{Color: "never"})
	if err := c.Print(line("a\x1b[2J\r\nb\u202e")); err != nil {
		t.Fatal(err)
	}
	want := "✓ a\\x1b[2J\\r\\nb\\u202e\na\\x1b[2J\\r\\nb\\u202e  b\na                    b\n"
	if out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
	if status := c.End(errors.New("a\x1b[2J")); status != StatusUnknown {
		t.Errorf("status %d for an error without a status", status)
	}
	if errOut.String() != "xenaauth: a\\x1b[2J\n" {
		t.Errorf("got %q", errOut.String())
	}
}

func TestReadToken(t *testing.T) {
	for in, want := range map[string]string{
		"":                              "",
		" a.b.c \r\n":                   "a.b.c",
		"Bearer a.b.c\n":                "a.b.c",
		"bearer  a.b.c":                 "a.b.c",
		"Authorization: Bearer a.b.c\n": "a.b.c",
		// This input contains a line break, and a token can't contain one. ReadToken still returns
		// the input unchanged, because a later check of the token refuses it.
		"a.b.c\nd":                       "a.b.c\nd",
		"Bearera.b.c":                    "Bearera.b.c",
		strings.Repeat("a", maxInput):    strings.Repeat("a", maxInput),
		strings.Repeat("a", maxInput+1):  "standard input: it is larger than 1 MiB",
		"authorization:bearer \t a.b.c ": "a.b.c",
	} {
		got, err := New(strings.NewReader(in), nil, nil, Options{}).ReadToken()
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%.40q: got %.40q, want %.40q", in, got, want)
		}
	}
}

func TestExitStatus(t *testing.T) {
	cause := errors.New("cause")
	for err, want := range map[error]int{
		ErrAnswerNo: StatusNo, NewUsageError(cause): StatusUsage, NewUnknownError(cause): StatusUnknown, NewExitError(7): 7, cause: StatusUnknown,
	} {
		var errOut bytes.Buffer
		c := New(nil, nil, &errOut, Options{})
		if got := c.End(err); got != want {
			t.Errorf("%v: status %d, want %d", err, got, want)
		}
		if errors.Is(err, cause) != (errOut.String() == "xenaauth: cause\n") {
			t.Errorf("%v: got %q", err, errOut.String())
		}
	}
}
