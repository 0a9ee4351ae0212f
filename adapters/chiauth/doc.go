// Package chiauth says how [xenaauth] guards routes of chi. It has no code: what [xenaauth.Middleware.Require] returns is
// a middleware of chi as it is, and [xenaauth.Middleware.Optional] is one too:
//
//	r.With(auth.Require(xenaauth.AllScopes("testapi"))).Get("/invoices/{id}", invoice)
//
// Handlers get the user from [xenaauth.UserFromContext]. Package chiauthtest reads the routes of a router, for a test that
// none of them is open.
//
// # Path values
//
// chi sets the parameters of a route in the request, so a policy of [xenaauth.WhereRequest] gets them from
// [http.Request.PathValue]: r.PathValue("id") for "{id}". Put a guard whose policy reads them on the route, with With, or
// on a Group. A guard of Use, on a router or in Route, runs before that router has found the route: its policy sees the
// parameters of the routers around it and "" for those of its own.
package chiauth
