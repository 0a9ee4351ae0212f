// Package forwardauth is the handler that reverse proxies call before they forward a request: nginx
// with auth_request, Traefik with ForwardAuth, Caddy with forward_auth, Envoy with ext_authz over
// HTTP, and HAProxy with a few lines of Lua.
//
//	handler, err := forwardauth.New(forwardauth.Config{
//		Middleware:   auth,
//		Find:         table.Find,
//		Dialect:      forwardauth.Nginx,
//		TrustedPeers: forwardauth.Loopback(),
//		Identity:     id,
//	})
//
// The proxy sends a subrequest, which describes the original request. The handler decides by the
// method, host and URI of the original request, and by the Authorization field, which every proxy
// passes on. It reads no body. Its response is one of these:
//
//   - 200 with an empty body, if the original request is allowed. The response has every field of
//     [identity.Identity.Names]. A field without a value is sent as an empty field: otherwise a
//     proxy that copies only the fields of the response would keep the field that the client sent.
//     The status is 200 because Envoy accepts no other success status.
//   - The response of [xenaauth.Middleware.Deny], if the original request is refused. All
//     challenges are in one WWW-Authenticate field, because old proxies copy only one. The response
//     has no identity fields, because some proxies would send them to the client.
//   - 403 with an empty body, if the peer is not trusted. The handler does not look at the token.
//
// # What the handler trusts
//
// Any program that reaches the handler could describe an original request, so the handler answers
// only the peers in [Config.TrustedPeers]. Each kind of proxy describes the original request in its
// own fields:
//
//	Nginx, HAProxy   X-Original-Method, X-Original-Host, X-Original-URI
//	Traefik, Caddy   X-Forwarded-Method, X-Forwarded-Host, X-Forwarded-Uri
//	Envoy            the method, Host and target of the subrequest itself
//
// A client can send fields from this list too, for example the fields of Traefik to nginx, and the
// proxy passes them on. So the handler refuses a subrequest with 400 if a field of the list is
// repeated, empty or malformed, or contradicts another field of the list. It also refuses a
// subrequest in which a field of its own proxy is missing.
//
// The host is required, because rules can name hosts.
//
// The handler also refuses a subrequest with a Forwarded field (RFC 7239). None of the proxies
// above writes this field, but a service behind the proxy may believe it. If another proxy in front
// writes a Forwarded field, remove the field from the subrequest.
//
// A policy ([xenaauth.WhereRequest]) sees the method, host and URI of the original request and the
// other fields of the subrequest, without identity fields and without a body. RemoteAddr is the
// address of the proxy.
//
// # Proofs of possession
//
// Proofs ([xenaauth.Options]) see the original request. A DPoP proof must name the method and the
// URL that the client used. The TLS connection of the subrequest is that of the proxy, so a client
// certificate must be in a header field that the proxy writes (package mtls).
//
// A proof may add fields to the response to an allowed request, such as DPoP-Nonce. The proxy must
// copy them into the response to the client. A refusal reaches the client with its fields.
// docs/possession.md shows how to configure each proxy.
//
// # Dialects
//
// nginx treats each refusal except 401 and 403 as an error of the handler. For nginx the handler
// therefore sends 401 instead of 400, with the same challenge, which says invalid_request. If the
// handler sends 503, the client gets 500 from nginx. docs/gateway.md shows how to turn this 500
// into 503 again, how to configure each proxy, and what each proxy gets wrong.
package forwardauth
