package target

import "strings"

// QueryHas reports whether a query contains a parameter with this name. The name may be escaped in
// the query. QueryHas doesn't allocate, because a client chooses how long the query is.
func QueryHas(query, name string) bool {
	for pair := range strings.SplitSeq(query, "&") {
		if key, _, _ := strings.Cut(pair, "="); decodesTo(key, name) {
			return true
		}
	}
	return false
}

// decodesTo reports whether text is name, with any of its characters escaped.
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
