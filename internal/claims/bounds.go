package claims

import "math"

// maxMembers is how many members one object may have.
const maxMembers = 512

// bounds limits the parts of a text that cost more to read than their length suggests.
type bounds struct {
	members  int // of all objects together
	elements int // of all arrays together
	strings  int // of all lists that are read, for example scopes
}

var (
	// ofStranger are the bounds of the claims of a token, which a stranger may have written. Only a
	// token that was made to be expensive comes near them.
	ofStranger = bounds{members: maxMembers, elements: 2048, strings: 1024}
	// ofHeader are the bounds of a JOSE header. The longest headers in use have a dozen members and
	// a chain of certificates.
	ofHeader = bounds{members: 128, elements: 128, strings: 128}
	// ofIssuer are the bounds of texts that the issuer sends: metadata, key sets, introspection
	// responses. The code that fetches them bounds their length.
	ofIssuer = bounds{members: 8 * maxMembers, elements: math.MaxInt, strings: math.MaxInt}
)

// boundsOf returns the bounds of a set of claims.
func boundsOf(source Source) bounds {
	if source == Answer {
		return ofIssuer
	}
	return ofStranger
}

// take subtracts one from left. It reports whether there was one.
func take(left *int) bool {
	*left--
	return *left >= 0
}
