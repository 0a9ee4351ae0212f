// Package routes checks the requests to a gateway by one table of rules. A service can also use a
// table, instead of a guard on each route.
//
//	table, err := routes.New([]routes.Rule{
//		{Pattern: "GET /orders/{id}", Access: routes.Require(xenaauth.AllScopes("orders.read"))},
//		{Pattern: "/orders/", Access: routes.Require(xenaauth.AllScopes("orders.write"))},
//		{Pattern: "GET /health", Access: routes.Public()},
//	}, nil)
//	guard := routes.NewGuard(auth, table.Find)
//	handler := guard.Handler(next)
//
// A request that matches no rule is refused. A request is also refused if two servers could
// understand its target in different ways, for example a request to the path /a/../b: see
// [Table.Find].
//
// # One table for REST, gRPC and Connect
//
// A call of a gRPC method is a POST request, and its path names the service and the method. For
// example, a call of the method Get of the service invoices.v1.Invoices is the request POST
// /invoices.v1.Invoices/Get. A pattern that ends in a slash matches the calls of all methods of a
// service. The pattern of a single method is more specific, so it decides about that method.
//
//	{Pattern: "/invoices.v1.Invoices/", Access: routes.Require(xenaauth.AllScopes("invoices"))},
//	{Pattern: "/invoices.v1.Invoices/Delete", Access: routes.Deny()},
//	{Pattern: "/grpc.health.v1.Health/", Access: routes.Public()},
package routes
