// Package chiauth documents how [xenaauth] guards the routes of chi. It has no code, because the
// guards of [xenaauth.Middleware.Require] and [xenaauth.Middleware.Optional] are middlewares that
// chi accepts:
//
//	r.With(auth.Require(xenaauth.AllScopes("testapi"))).Get("/invoices/{id}", invoice)
//
// Handlers get the user from [xenaauth.UserFromContext]. Package chiauthtest lists the routes of a
// router, so that a test can check that each of them is guarded.
//
// # Path values
//
// chi sets the parameters of a route in the request. So a policy of [xenaauth.WhereRequest] gets
// them from [http.Request.PathValue]: r.PathValue("id") for "{id}". If a policy reads parameters,
// put its guard on the route, with With, or on a Group. A guard that is added with Use, on a router
// or in Route, runs before that router has found the route. Its policy gets the parameters that
// outer routers have found, and "" for the parameters of this router.
package chiauth
