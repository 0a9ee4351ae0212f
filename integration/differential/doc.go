// Package differential holds the verification of tokens to two other libraries, go-jose and golang-jwt: a token that
// xenaauth accepts is accepted by both, with the same claims. There is nothing in it to import.
package differential
