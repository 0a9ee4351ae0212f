// Package harness is what the tests in conformance share: an API under test, a signer for tokens
// that no issuer would make, and the refusals that a client expects. Only tests may import it.
package harness
