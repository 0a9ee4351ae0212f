// Package decisions has no code. Its tests send the same requests through net/http, gRPC, Connect,
// forward authentication and Envoy's external authorization, with one table of routes, and compare
// the decisions.
package decisions
