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

// decodesTo decodes the escapes in escapedName, the name of a parameter in a query. It reports
// whether the result equals name.
func decodesTo(escapedName, name string) bool {
	for i := range len(name) {
		if escapedName != "" && escapedName[0] == name[i] {
			escapedName = escapedName[1:]
		} else if c, ok := decodeEscape(escapedName); ok && c == name[i] {
			escapedName = escapedName[3:]
		} else {
			return false
		}
	}
	return escapedName == ""
}
