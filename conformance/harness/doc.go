// Package harness contains what the tests in conformance share: an API to test, a signer for tokens
// that no issuer would make, and the refusals that a client must get. Only tests may import it.
package harness
