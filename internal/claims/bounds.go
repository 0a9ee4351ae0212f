package claims

import "math"

// maxMembers is how many members one object may have.
const maxMembers = 512

// bounds say how much a text may have of what costs more to read than the bytes that it takes.
type bounds struct {
	members  int // of all objects together
	elements int // of all arrays together
	strings  int // of the lists that are read: audiences, scopes
}

var (
	// ofStranger are the bounds of a text that anybody may have written: the header and the claims of a token. No
	// token of 16 KiB comes near them unless it was made to be expensive.
	ofStranger = bounds{members: maxMembers, elements: 2048, strings: 1024}
	// ofHeader are the bounds of a JOSE header. The longest in use have a dozen members and a chain of certificates.
	ofHeader = bounds{members: 128, elements: 128, strings: 128}
	// ofIssuer are the bounds of what the issuer sends: metadata, key sets, introspection responses. Their length is
	// bounded by those who fetch them.
	ofIssuer = bounds{members: 8 * maxMembers, elements: math.MaxInt, strings: math.MaxInt}
)

// boundsOf returns the bounds of a set of claims.
func boundsOf(source Source) bounds {
	if source == Answer {
		return ofIssuer
	}
	return ofStranger
}

// take takes one of what is left, and reports whether there was one.
func take(left *int) bool {
	*left--
	return *left >= 0
}
