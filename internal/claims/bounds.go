package claims

import "math"

// maxMembers is the largest number of members in one JSON object.
const maxMembers = 512

// bounds limits how many members, elements and strings a JSON text may contain, because they cost
// more time and memory than other parts of the same length.
type bounds struct {
	members  int // members is the limit for all objects of the text together
	elements int // elements is the limit for all arrays of the text together
	// strings is the limit for all lists of strings in the text together, for example for the list
	// of scopes and the list of audiences
	strings int
}

var (
	// ofStranger contains the bounds for the claims of a token, because a stranger may have written
	// them. Ordinary tokens are far below these bounds.
	ofStranger = bounds{members: maxMembers, elements: 2048, strings: 1024}
	// ofHeader contains the bounds for a JOSE header. Real headers have up to a dozen members and a
	// certificate chain.
	ofHeader = bounds{members: 128, elements: 128, strings: 128}
	// ofIssuer contains the bounds for JSON texts of the issuer: metadata, key sets and
	// introspection responses. The code that fetches these texts limits their length.
	ofIssuer = bounds{members: 8 * maxMembers, elements: math.MaxInt, strings: math.MaxInt}
)

// boundsOf returns the bounds for claims from the given source: a JWT or an introspection response.
func boundsOf(source Source) bounds {
	if source == Answer {
		return ofIssuer
	}
	return ofStranger
}

// The function take subtracts one from *left, the number of parts that a JSON text may still
// contain. It returns false if the number was already zero.
func take(left *int) bool {
	*left--
	return *left >= 0
}
