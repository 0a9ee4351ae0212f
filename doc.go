// Package xenaauth is an OAuth 2.0 resource server for net/http. It lets a request reach a handler
// only if the request has a valid access token with the scopes that the route requires. The handler
// can ask for the user of the token.
//
// # Protecting a route
//
//	v, err := xenaauth.NewValidator(xenaauth.Config{
//		Issuer:    "https://login.xena.biz", // Xena's: put your issuer here
//		Audiences: []string{"testapi"},
//	})
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
// A [Validator] returns the [User] of an access token. It verifies a JWT locally, with the keys
// that the issuer publishes. It introspects any other token (RFC 7662) if [Config] has
// [Introspection]. [NewValidator] does no I/O. So a service can start while its issuer is down: the
// service answers 503 until the issuer is up again, and needs no restart. [Validator.Warm] is for
// start-up checks and readiness probes.
//
// A [Middleware] reads the token from the Authorization field, calls the Validator (or any other
// [TokenValidator]) and checks whether the user meets the [Requirement] of the route. A refusal is
// 400, 401 or 403 with a challenge (RFC 6750, section 3), or 503 with Retry-After if the token
// could not be checked. Every refusal is an [*Error] with a stable [Reason].
//
// [AllScopes], [AnyScope], [AnyUser], [Where] and [WhereRequest] return requirements. [AllOf] and
// [AnyOf] combine them.
//
// # The log
//
// The log (log/slog) says why a request is refused: which value was expected, and which value the
// token has. A client sees only the [Reason]. For each reason, at most 5 refusals a minute get a
// record of their own. Further refusals are counted, and one record contains their number.
// Options.Logger changes the logger, and [slog.DiscardHandler] turns this log off. Config.Logger
// receives changes in the state of the issuer. No record contains a token.
//
// # What is checked
//
// The credentials: their syntax and size.
//
// A JWT: its header (only known algorithms, and no extensions; a key in the header is ignored), its
// issuer before any key is fetched, its signature, its type (ID tokens and logout tokens are
// refused, also if their typ says otherwise), its times, lifetime, audience, client and user.
//
// An introspected token: the same claims, as far as the introspection response contains them.
//
// Facts about a token are cached while the token and its key are valid: for example, that a key
// verified its signature. The decision whether a request may pass is made for every request.
package xenaauth
