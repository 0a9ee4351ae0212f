package claims

import "math"

// maxMembers is the largest number of members in one JSON object.
const maxMembers = 512

// bounds limits how many members, elements and strings a JSON text may contain, because these parts
// cost more time and memory than other parts of the same length.
type bounds struct {
	members int // members limits the number of object members in the whole text
	// elements limits the number of array elements in the whole text. It counts only arrays whose
	// elements the decoder skips without reading them. The decoder does not skip a list of strings,
	// or an array for Decoder.Elements.
	elements int
	// listStrings limits the number of strings in values that are read as lists of strings, in the
	// whole text. For example, the scopes and the audiences are such lists.
	listStrings int
}

var (
	// strangerBounds contains the bounds for the claims of a token, because a stranger may have
	// written them. Ordinary tokens are far below these bounds.
	strangerBounds = bounds{members: maxMembers, elements: 2048, listStrings: 1024}
	// headerBounds contains the bounds for a JOSE header. Real headers have up to a dozen members
	// and a certificate chain.
	headerBounds = bounds{members: 128, elements: 128, listStrings: 128}
	// issuerBounds contains the bounds for JSON texts of the issuer: metadata, key sets and
	// introspection responses. The code that fetches these texts limits their length.
	issuerBounds = bounds{members: 8 * maxMembers, elements: math.MaxInt, listStrings: math.MaxInt}
)

// boundsOf returns how many members, elements and strings the claims from the given source may
// contain. The source is a JWT or an introspection response.
func boundsOf(source Source) bounds {
	if source == Answer {
		return issuerBounds
	}
	return strangerBounds
}

// spendOne subtracts one from *budget. This is the number of members, elements or strings that a
// JSON text may still contain. spendOne returns false if the number was already zero.
func spendOne(budget *int) bool {
	*budget--
	return *budget >= 0
}
