package main

import (
	"errors"
	"strings"

	"github.com/xenaauth/xenaauth/internal/jose"
)

// withoutTokens removes tokens from err, an error of the parser for the command line. The parser
// repeats arguments in its errors, and a user can give a token as an argument by mistake.
// withoutTokens writes "[hidden]" in place of each argument that may be a token.
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

// mayBeToken reports whether an argument of the command line looks more like a token than like a
// file name, a URL or a word.
func mayBeToken(arg string) bool {
	const shortest = 20
	return jose.IsJWT(arg) ||
		len(arg) >= shortest && !strings.ContainsAny(arg, "/.:") && strings.ContainsAny(arg, "0123456789")
}
