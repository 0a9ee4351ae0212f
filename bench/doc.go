// Package bench measures xenaauth through its public middleware. It compares the results with other
// libraries, and with the least possible time: the time that Go's standard library needs for the
// cryptography alone. This time is called the limit. docs/performance.md says how to run the
// benchmarks and has the results.
package bench
