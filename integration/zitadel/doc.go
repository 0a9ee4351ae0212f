// Package zitadel tests xenaauth with an identity server that other authors wrote: the OpenID
// provider of github.com/zitadel/oidc. The server runs in the test process, with the example
// storage, the login page and the client library of its module. This package contains only tests.
// The README says what the tests prove and what the server needs.
package zitadel
