// Package routes holds the requests to a gateway to one table of rules. A service that prefers one
// table to a guard on each route can use it too.
//
//	table, err := routes.New([]routes.Rule{
//		{Pattern: "GET /orders/{id}", Access: routes.Require(xenaauth.AllScopes("orders.read"))},
//		{Pattern: "/orders/", Access: routes.Require(xenaauth.AllScopes("orders.write"))},
//		{Pattern: "GET /health", Access: routes.Public()},
//	}, nil)
//	guard := routes.NewGuard(auth, table.Find)
//	handler := guard.Handler(next)
//
// A request that no rule matches is refused. So is a request whose target two servers can read
// differently, such as one with the path /a/../b: see [Table.Find].
//
// # One table for REST, gRPC and Connect
//
// A method of a gRPC service is a path: the method Get of the service invoices.v1.Invoices is
// POST /invoices.v1.Invoices/Get. A pattern that ends in a slash stands for every method of a
// service. The pattern of the method alone is more specific and wins.
//
//	{Pattern: "/invoices.v1.Invoices/", Access: routes.Require(xenaauth.AllScopes("invoices"))},
//	{Pattern: "/invoices.v1.Invoices/Delete", Access: routes.Deny()},
//	{Pattern: "/grpc.health.v1.Health/", Access: routes.Public()},
package routes
