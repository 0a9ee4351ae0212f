package claims

import "math"

// maxMembers is the largest number of members in one object.
const maxMembers = 512

// bounds limits the members, elements and strings of a JSON text. They cost more time and memory
// than other parts of the same length.
type bounds struct {
	members  int // members is how many members all objects of the text may have together
	elements int // elements is how many elements all arrays of the text may have together
	// strings is how many strings may be stored for the lists of the text together, for example for
	// the list of scopes
	strings int
}

var (
	// ofStranger are the bounds for the claims of a token, because a stranger may have written
	// them. Ordinary tokens are far below these bounds.
	ofStranger = bounds{members: maxMembers, elements: 2048, strings: 1024}
	// ofHeader are the bounds for a JOSE header. Real headers have up to a dozen members and a
	// certificate chain.
	ofHeader = bounds{members: 128, elements: 128, strings: 128}
	// ofIssuer are the bounds for texts of the issuer: metadata, key sets and introspection
	// responses. The code that fetches these texts limits their length.
	ofIssuer = bounds{members: 8 * maxMembers, elements: math.MaxInt, strings: math.MaxInt}
)

// boundsOf returns the bounds of a set of claims.
func boundsOf(source Source) bounds {
	if source == Answer {
		return ofIssuer
	}
	return ofStranger
}

// The function take subtracts one from the number *left. It returns false if the number was already
// zero.
func take(left *int) bool {
	*left--
	return *left >= 0
}
