package console

import (
	"errors"
	"io"
	"strings"
)

// maxInput is the largest input in bytes. It is larger than the largest token of every configuration
// in use.
const maxInput = 1 << 20

// ReadToken reads a token from standard input. "Bearer " before the token, "Authorization:" before
// that, and white space around it don't count. The token is "" if the input is empty, or if it is a
// terminal: a token that is typed there would be seen.
func (c *Console) ReadToken() (string, error) {
	if isTerminal(c.in) {
		return "", nil
	}
	data, err := io.ReadAll(io.LimitReader(c.in, maxInput+1))
	switch {
	case err != nil:
		return "", Usage(errors.New("standard input: it can't be read"))
	case len(data) > maxInput:
		return "", Usage(errors.New("standard input: it is larger than 1 MiB"))
	}
	token := strings.TrimSpace(string(data))
	token = trimPrefixFold(token, "Authorization:")
	return trimPrefixFold(token, "Bearer "), nil
}

// trimPrefixFold returns s without prefix, in any case, and the white space after it.
func trimPrefixFold(s, prefix string) string {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s
	}
	return strings.TrimSpace(s[len(prefix):])
}
