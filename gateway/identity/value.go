package identity

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/xenaauth/xenaauth"
)

// encodeValue returns the text s as the value of a header field: in printable ASCII and
// percent-encoded, so that no value can end, split or shorten the field. encodeValue also escapes
// "%", so that a service can decode the result.
func encodeValue(s string) string {
	extra := 0
	for k := range len(s) {
		if !isUnescaped(s[k]) {
			extra += 2
		}
	}
	if extra == 0 {
		return s
	}
	const digits = "0123456789ABCDEF"
	b := make([]byte, 0, len(s)+extra)
	for k := range len(s) {
		if c := s[k]; isUnescaped(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', digits[c>>4], digits[c&15])
		}
	}
	return string(b)
}

// isUnescaped reports whether encodeValue leaves the character c unchanged. encodeValue escapes
// commas, because proxies join fields of one name by commas. It escapes quotation marks, because
// some programs take a quotation mark in a list for the beginning of a string.
func isUnescaped(c byte) bool { return c > 0x20 && c < 0x7f && c != '%' && c != ',' && c != '"' }

// scopeTokens returns the scopes of the user that are scope tokens (RFC 6749, section 3.3). If the
// claim scope is an array, an element may contain a space. scopeTokens leaves this element out,
// because no route can require it, and in the claim scope of an assertion it would look like two
// scopes.
func scopeTokens(u *xenaauth.User) []string {
	return slices.DeleteFunc(u.Scopes(), func(s string) bool {
		return s == "" || strings.ContainsFunc(s, func(r rune) bool {
			return r < 0x21 || r > 0x7e || r == '"' || r == '\\'
		})
	})
}

// claimValue returns the value of the identity field for a claim of the user u. name is the name of
// the claim. If u does not have the claim, the value is empty. If the claim is an object, or a list
// that contains an object or a list, claimValue returns an error.
func claimValue(u *xenaauth.User, name string) (string, error) {
	var raw json.RawMessage
	if err := u.Claim(name, &raw); errors.Is(err, xenaauth.ErrNoClaim) {
		return "", nil
	} else if err != nil {
		return "", fmt.Errorf("%w: %w", err, errForbidden)
	}
	if raw[0] != '[' {
		return scalarText(name, raw)
	}
	var elements []json.RawMessage
	if err := json.Unmarshal(raw, &elements); err != nil {
		return "", fmt.Errorf("claim %q: %w", name, errForbidden)
	}
	list := make([]string, 0, len(elements))
	for _, e := range elements {
		s, err := scalarText(name, e)
		if err != nil {
			return "", err
		}
		if s != "" {
			list = append(list, s)
		}
	}
	return strings.Join(list, " "), nil
}

// scalarText returns a claim as the text of an identity field. The claim is a string, a number or a
// boolean. null becomes the empty text.
func scalarText(name string, raw json.RawMessage) (string, error) {
	switch raw[0] {
	case '"':
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return "", fmt.Errorf("claim %q: %w", name, errForbidden)
		}
		return encodeValue(s), nil
	case '{', '[':
		return "", fmt.Errorf("claim %q is an object or has nested lists: %w", name, errForbidden)
	case 'n':
		return "", nil
	}
	// The claim is a number, true or false. The identity field contains the same text as the JSON.
	return string(raw), nil
}
