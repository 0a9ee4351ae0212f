// Package zitadel tests xenaauth with an identity server of other authors: the OpenID provider of
// github.com/zitadel/oidc. The server runs in the test process, with the example storage, the login
// page and the client library of that module. The package has only tests. The README says what they
// prove and what the server needs.
package zitadel
