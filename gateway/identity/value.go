package identity

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/xenaauth/xenaauth"
)

// encode writes s as visible ASCII, so that nothing in it ends, splits or shortens a field, and so that it can be read
// back: "%" is encoded too.
func encode(s string) string {
	extra := 0
	for k := range len(s) {
		if !plain(s[k]) {
			extra += 2
		}
	}
	if extra == 0 {
		return s
	}
	const digits = "0123456789ABCDEF"
	b := make([]byte, 0, len(s)+extra)
	for k := range len(s) {
		if c := s[k]; plain(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', digits[c>>4], digits[c&15])
		}
	}
	return string(b)
}

// plain reports whether c is written as it is. A comma is not, since several fields of one name are joined by it, and a
// quotation mark is not, since readers of lists take it for a string's.
func plain(c byte) bool { return c > 0x20 && c < 0x7f && c != '%' && c != ',' && c != '"' }

// scopeTokens are the scopes that are scope tokens (RFC 6749, section 3.3). Where the token has a list, an element could
// hold a space, and would be two scopes once it was joined with others.
func scopeTokens(u *xenaauth.User) []string {
	return slices.DeleteFunc(u.Scopes(), func(s string) bool {
		return s == "" || strings.ContainsFunc(s, func(r rune) bool {
			return r < 0x21 || r > 0x7e || r == '"' || r == '\\'
		})
	})
}

// claimValue is a claim of u as a field has it.
func claimValue(u *xenaauth.User, name string) (string, error) {
	var raw json.RawMessage
	if err := u.Claim(name, &raw); errors.Is(err, xenaauth.ErrNoClaim) {
		return "", nil
	} else if err != nil {
		return "", fmt.Errorf("%w: %w", err, forbidden)
	}
	if raw[0] != '[' {
		return scalar(name, raw)
	}
	var elements []json.RawMessage
	if err := json.Unmarshal(raw, &elements); err != nil {
		return "", fmt.Errorf("claim %q: %w", name, forbidden)
	}
	list := make([]string, 0, len(elements))
	for _, e := range elements {
		s, err := scalar(name, e)
		if err != nil {
			return "", err
		}
		if s != "" {
			list = append(list, s)
		}
	}
	return strings.Join(list, " "), nil
}

func scalar(name string, raw json.RawMessage) (string, error) {
	switch raw[0] {
	case '"':
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return "", fmt.Errorf("claim %q: %w", name, forbidden)
		}
		return encode(s), nil
	case '{', '[':
		return "", fmt.Errorf("claim %q has structure: %w", name, forbidden)
	case 'n':
		return "", nil
	}
	return string(raw), nil // a number, true or false
}
