package identity

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/xenaauth/xenaauth"
)

// encode returns s as visible ASCII, percent-encoded. Nothing in the result ends, splits or
// shortens a field. The result can be decoded, because "%" is encoded too.
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

// plain reports whether encode leaves c as it is. It encodes commas, because they join fields of
// one name, and quotation marks, because some readers of lists take them for the start of a string.
func plain(c byte) bool { return c > 0x20 && c < 0x7f && c != '%' && c != ',' && c != '"' }

// scopeTokens returns the scopes that are scope tokens (RFC 6749, section 3.3). If the token has a
// list, an element may have a space. In a joined list it would read as two scopes.
func scopeTokens(u *xenaauth.User) []string {
	return slices.DeleteFunc(u.Scopes(), func(s string) bool {
		return s == "" || strings.ContainsFunc(s, func(r rune) bool {
			return r < 0x21 || r > 0x7e || r == '"' || r == '\\'
		})
	})
}

// claimValue returns the value of a field for a claim of u. It is empty if u does not have the
// claim.
func claimValue(u *xenaauth.User, name string) (string, error) {
	var raw json.RawMessage
	if err := u.Claim(name, &raw); errors.Is(err, xenaauth.ErrNoClaim) {
		return "", nil
	} else if err != nil {
		return "", fmt.Errorf("%w: %w", err, errForbidden)
	}
	if raw[0] != '[' {
		return scalar(name, raw)
	}
	var elements []json.RawMessage
	if err := json.Unmarshal(raw, &elements); err != nil {
		return "", fmt.Errorf("claim %q: %w", name, errForbidden)
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

// scalar returns the text of a string, a number or a boolean. It is empty for null.
func scalar(name string, raw json.RawMessage) (string, error) {
	switch raw[0] {
	case '"':
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return "", fmt.Errorf("claim %q: %w", name, errForbidden)
		}
		return encode(s), nil
	case '{', '[':
		return "", fmt.Errorf("claim %q is an object or has nested lists: %w", name, errForbidden)
	case 'n':
		return "", nil
	}
	return string(raw), nil // a number, true or false
}
