// Package chaos holds tests of one promise: the issuer may fail, the API does not. A real API, guarded by xenaauth's
// middleware, stands on one side, the test kit's issuer on the other, and between them a TCP proxy that can do to a
// connection what networks do. Each fault is tried over HTTP/1.1 and over HTTP/2 with TLS. There is nothing in it to import.
//
// docs/reliability.md has the results. Its tables are checked by these tests, and written by
//
//	go test -run 'TestFaults|TestKeys' -update
//
// XENAAUTH_FLOOD=full sends the flood in full size, which takes minutes.
package chaos
