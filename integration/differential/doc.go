// Package differential compares the verification of tokens with two other libraries, go-jose and
// golang-jwt. Both accept each token that xenaauth accepts, and read the same claims. The package
// has only tests.
package differential
