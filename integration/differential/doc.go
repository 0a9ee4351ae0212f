// Package differential compares the verification of tokens with two other libraries, go-jose and
// golang-jwt. If xenaauth accepts a token, both libraries must accept it too and read the same sub,
// iss and client. The algorithm name Ed25519 is an exception: for it, crypto/ed25519 must accept
// the signature instead. The package contains only tests.
package differential
