// Package chaos tests one promise: if the issuer fails, the API does not. Most tests run a real API
// with the middleware of xenaauth, the issuer of the test kit, and a TCP proxy between them that
// causes the faults of networks. Each fault is tried over HTTP/1.1 and over HTTP/2 with TLS. The
// package exports nothing.
//
// The results are in docs/reliability.md. The tests compare the tables in that page with the
// observed responses. This command writes the tables:
//
//	go test -run 'TestFaults|TestKeys' -update
//
// If the environment has XENAAUTH_FLOOD=full, TestFlood sends many more requests at the same time,
// and its flood may take five minutes and not only 15 seconds.
package chaos
