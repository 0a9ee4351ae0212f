// Package oidcprovider tests proof of possession with programs that other authors wrote: the issuer
// is oidc-provider, the clients are oauth4webapi and dpop, and jose computes the thumbprints of
// keys. They run in Node.js. This package contains only tests. The README says what the tests
// prove.
package oidcprovider
