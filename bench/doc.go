// Package bench measures xenaauth through its public middleware. It compares the results with the
// limit that the cryptography of the standard library sets, and with other libraries.
// docs/performance.md says how to run it and has the results.
package bench
