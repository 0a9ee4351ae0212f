// Package bench measures xenaauth through its public middleware. It compares the results with other
// libraries, and with the limit: the time that the cryptography of Go's standard library takes
// alone. docs/performance.md says how to run the benchmarks and has the results.
package bench
