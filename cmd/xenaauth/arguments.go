package main

import (
	"errors"
	"strings"

	"github.com/xenaauth/xenaauth/internal/jose"
)

// withoutTokens returns err with "[hidden]" in place of arguments that may be tokens. A user can
// give a token as an argument by mistake, and the errors of the parser repeat arguments.
func withoutTokens(err error, args []string) error {
	text := err.Error()
	found := false
	isGap := func(r rune) bool { return r == ' ' || r == '=' }
	for _, arg := range args {
		for piece := range strings.FieldsFuncSeq(strings.TrimLeft(arg, "-"), isGap) {
			if mayBeToken(piece) && strings.Contains(text, piece) {
				text, found = strings.ReplaceAll(text, piece, "[hidden]"), true
			}
		}
	}
	if !found {
		return err
	}
	return errors.New(text + "; a token is read from standard input, not from an argument")
}

// mayBeToken reports whether an argument looks more like a token than like a name of a file, a URL
// or a word.
func mayBeToken(arg string) bool {
	const shortest = 20
	return jose.IsJWT(arg) ||
		len(arg) >= shortest && !strings.ContainsAny(arg, "/.:") && strings.ContainsAny(arg, "0123456789")
}
