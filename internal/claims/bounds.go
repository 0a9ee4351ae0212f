package claims

import "math"

// maxMembers is the largest number of members in one object.
const maxMembers = 512

// bounds limits the parts of a text that cost more time and memory than their length.
type bounds struct {
	members  int // of all objects in the text
	elements int // of all arrays in the text
	strings  int // of all lists that are stored, for example scopes
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

// take subtracts one from *left. It returns false if nothing was left.
func take(left *int) bool {
	*left--
	return *left >= 0
}
