// Package bench measures xenaauth through its public middleware, beside the limit that the standard library's
// cryptography sets and beside other libraries. docs/performance.md says how to run it and what came out.
package bench
