package console

import (
	"errors"
	"io"
	"strings"
)

// maxInput is the largest size of standard input that a command accepts, in bytes. No usual service
// accepts a token of this size.
const maxInput = 1 << 20

// ReadToken reads a token from standard input. It removes white space around the token, and the
// prefixes "Authorization:" and "Bearer ". It returns "" if the input is empty. It also returns ""
// if the input is a terminal, because a token that is typed there would be visible.
func (c *Console) ReadToken() (string, error) {
	if isTerminal(c.input) {
		return "", nil
	}
	data, err := io.ReadAll(io.LimitReader(c.input, maxInput+1))
	switch {
	case err != nil:
		return "", NewUsageError(errors.New("standard input: it can't be read"))
	case len(data) > maxInput:
		return "", NewUsageError(errors.New("standard input: it is larger than 1 MiB"))
	}
	token := strings.TrimSpace(string(data))
	token = trimPrefixFold(token, "Authorization:")
	return trimPrefixFold(token, "Bearer "), nil
}

// trimPrefixFold removes prefix and the white space after it from s. It ignores the case of
// letters.
func trimPrefixFold(s, prefix string) string {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s
	}
	return strings.TrimSpace(s[len(prefix):])
}
