// Package chiauth says how [xenaauth] guards routes of chi. It has no code: a guard of
// [xenaauth.Middleware.Require] or [xenaauth.Middleware.Optional] is a middleware of chi.
//
//	r.With(auth.Require(xenaauth.AllScopes("testapi"))).Get("/invoices/{id}", invoice)
//
// Handlers get the user from [xenaauth.UserFromContext]. Package chiauthtest reads the routes of a
// router, for a test that each of them is guarded.
//
// # Path values
//
// chi sets the parameters of a route in the request. So a policy of [xenaauth.WhereRequest] gets them
// from [http.Request.PathValue]: r.PathValue("id") for "{id}". Put a guard whose policy reads them on
// the route, with With, or on a Group. A guard of Use, on a router or in Route, runs before that router
// has found the route. Its policy gets the parameters of the outer routers, and "" for those of its own
// router.
package chiauth
