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
// A [Validator] turns an access token into the [User] it stands for. A JWT is verified locally with the keys that the
// issuer publishes; any other token is introspected (RFC 7662) where [Config] has [Introspection]. The constructor does
// no I/O: a service starts while its issuer is down, answers 503 meanwhile, and heals by itself; [Validator.Warm] is for
// start-up checks and readiness probes.
//
// A [Middleware] takes the token from the Authorization field, asks the Validator (or any other [TokenValidator]), holds
// the user to the route's [Requirement], and answers what it refuses: 400, 401 or 403 with a challenge (RFC 6750,
// section 3), or 503 with Retry-After when it is not the token's fault. Every refusal is one [*Error] with a stable
// [Reason].
//
// Requirements are built from [AllScopes], [AnyScope], [AnyUser], [Where] and [WhereRequest] with [AllOf] and [AnyOf].
//
// # The log
//
// Why a request is refused is told to log/slog, and to a client only by the [Reason]: what was expected and what came, 5
// times a minute for each reason in full, and then by their number. Options.Logger sends it elsewhere, or nowhere.
// Changes in the state of the issuer are told to Config.Logger. No line ever holds a token.
//
// # What is checked
//
// Syntax and size of the request's credentials; of a JWT its header (an allow-list of algorithms, no extension, no key
// brought along), its issuer before any key is fetched, its signature, its type (ID tokens and logout tokens are
// refused, whatever they call themselves), times, lifetime, audience, client and user; of an introspected token all of
// that which its answer holds. What was proven about a token is cached for as long as it and its key are good; whether
// it may pass is decided anew on every request.
package xenaauth
