// Package differential compares the verification of tokens with two other libraries, go-jose and
// golang-jwt. If xenaauth accepts a token, both libraries must accept it too and read the same
// claims. The package contains only tests.
package differential
