// Package xenaauth is an OAuth 2.0 resource server for net/http: it lets exactly those requests through to a handler
// that carry a valid access token with the scopes that the route requires, and the handler knows the user.
//
// # Protecting a route
//
//	v, err := xenaauth.NewValidator(xenaauth.Config{Audiences: []string{"testapi"}})
//	if err != nil {
//		log.Fatal(err)
//	}
//	auth := xenaauth.NewMiddleware(v, nil)
//	full := auth.Require(xenaauth.AllScopes(xenaauth.ScopeTestAPI))
//	mux := http.NewServeMux()
//	mux.Handle("GET /Api/User/FiscalSetup", full(http.HandlerFunc(fiscalSetup)))
//	log.Fatal(http.ListenAndServe("localhost:8080", mux))
//
// and in the handler
//
//	user, _ := xenaauth.UserFromContext(r.Context())
//	fmt.Fprintln(w, user.Subject(), user.ClientID())
//
// # The parts
//
// A [Validator] returns the [User] of an access token. It verifies a JWT locally with the keys that
// the issuer publishes. It introspects any other token (RFC 7662) if [Config] has [Introspection].
// The constructor does no I/O. So a service can start while its issuer is down: it answers 503 until
// the issuer is back, and needs no restart. [Validator.Warm] is for start-up checks and readiness
// probes.
//
// A [Middleware] takes the token from the Authorization field, calls the Validator (or any other
// [TokenValidator]) and checks the user against the [Requirement] of the route. A refusal is 400, 401
// or 403 with a challenge (RFC 6750, section 3), or 503 with Retry-After if the token could not be
// checked. Every refusal is an [*Error] with a stable [Reason].
//
// Requirements are built from [AllScopes], [AnyScope], [AnyUser], [Where] and [WhereRequest] with [AllOf] and [AnyOf].
//
// # The log
//
// The log (log/slog) says why a request is refused: what was expected and what came. A client sees
// only the [Reason]. For each reason at most 5 refusals a minute are logged in full, and the others
// are counted. Options.Logger changes the logger, and [slog.DiscardHandler] turns this log off.
// Config.Logger receives changes in the state of the issuer. No line contains a token.
//
// # What is checked
//
// Syntax and size of the request's credentials; of a JWT its header (an allow-list of algorithms, no extension, no key
// brought along), its issuer before any key is fetched, its signature, its type (ID tokens and logout tokens are
// refused, whatever they call themselves), times, lifetime, audience, client and user; of an introspected token all of
// that which its answer holds. What was proven about a token is cached for as long as it and its key are good; whether
// it may pass is decided anew on every request.
package xenaauth
