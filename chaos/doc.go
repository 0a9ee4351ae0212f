// Package chaos tests one promise: if the issuer fails, the API does not. The tests run a real API
// with the middleware of xenaauth, the issuer of the test kit, and a TCP proxy between them that
// causes the faults of networks. Each fault is tried over HTTP/1.1 and over HTTP/2 with TLS. The
// package exports nothing.
//
// The results are in docs/reliability.md. These tests compare its tables with what they see. This
// command writes the tables:
//
//	go test -run 'TestFaults|TestKeys' -update
//
// With XENAAUTH_FLOOD=full the flood has its full size, which takes minutes.
package chaos
