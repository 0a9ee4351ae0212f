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
		switch {
		case text == "":
			return false
		case text[0] == name[i]:
			text = text[1:]
		case text[0] == '%' && len(text) > 2 && isHex(text[1]) && isHex(text[2]) && unhex(text[1])<<4|unhex(text[2]) == name[i]:
			text = text[3:]
		default:
			return false
		}
	}
	return text == ""
}
