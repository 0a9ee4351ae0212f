package target

import "strings"

// QueryHas reports whether the query of a request has a parameter with this name. It also finds the
// parameter if the query escapes the name. QueryHas doesn't allocate memory, because a client
// chooses the length of the query.
func QueryHas(query, name string) bool {
	for pair := range strings.SplitSeq(query, "&") {
		if key, _, _ := strings.Cut(pair, "="); decodesTo(key, name) {
			return true
		}
	}
	return false
}

// decodesTo reports whether text, the name of a query parameter, equals name after its escapes are
// decoded.
func decodesTo(text, name string) bool {
	for i := range len(name) {
		if text != "" && text[0] == name[i] {
			text = text[1:]
		} else if c, ok := unescape(text); ok && c == name[i] {
			text = text[3:]
		} else {
			return false
		}
	}
	return text == ""
}
