// Package zitadel holds tests of xenaauth against an identity server that its authors didn't write: the OpenID provider
// of github.com/zitadel/oidc, run in process with that module's own example storage, login page and client library.
// There is nothing in it to import. The README tells what the tests prove and what the server's dialect asks for.
package zitadel
