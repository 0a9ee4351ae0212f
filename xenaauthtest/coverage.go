package xenaauthtest

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/xenaauth/xenaauth"
)

// Route is one route of a service, as its router describes it.
type Route struct {
	// Method is the method of the route. "" means every method.
	Method string

	// Pattern is the path as the router writes it: "/invoices/{id}" or "/invoices/:id". Pattern may
	// begin with a host, as in the patterns of [http.ServeMux].
	Pattern string

	// Template is the path with parameters in braces, as in OpenAPI. "" means that Template is
	// derived from Pattern, which must have the syntax of net/http or chi. [ColonTemplate] reads
	// the syntax of gin and echo.
	Template string

	// Path is a path that reaches the route. "" means the Template, with the values of
	// [Coverage.Params] for its parameters.
	Path string

	// Source says where the route is defined: a file and line, or the name of its handler. Source
	// may be "". TestRoutes writes Source in messages.
	Source string

	// Require are the requirements of the route, if the service can list them, for example from a
	// table of rules. If Require is nil, TestRoutes reads the scopes from the challenges of the
	// route, and writes these scopes into the RouteTable.
	Require []xenaauth.Requirement
}

// Name is the method and the pattern, for example "GET /invoices/{id}". If the route has every
// method, Name is the pattern alone.
func (r Route) Name() string { return strings.TrimPrefix(r.Method+" "+r.Pattern, " ") }

// Coverage describes a service for [TestRoutes]: its routes, and the routes without a guard.
type Coverage struct {
	// Handler is the whole service. TestRoutes calls its routes. TestRoutes also calls routes
	// without a guard, and their handlers run. So the service should use test data.
	Handler http.Handler

	// Routes are the routes of the service. chiauthtest, ginauthtest, echoauthtest and echov4authtest
	// read them from a router, and [Mux] records them.
	Routes []Route

	// Public lists the names of the routes that need no token, as [Route.Name] returns them.
	Public []string

	// Optional lists the names of the routes that accept requests without a token and refuse bad
	// tokens, as [xenaauth.Middleware.Optional] does. The names are those of [Route.Name].
	Optional []string

	// AnyUser lists the names of the routes that need a valid token and no scope, as [Route.Name]
	// returns them.
	AnyUser []string

	// Token is a valid access token without any scope:
	//
	//	issuer.JWT(Token{Scopes: []string{}})
	//
	// If Token is "" and Client is nil, TestRoutes tests neither scopes nor AnyUser.
	Token string

	// Client sends the requests with a token to routes that require a token that is bound to a key
	// ([xenaauth.BoundToken], [xenaauth.Options].RequireProof). If Token is "", Client sends these
	// requests to all routes, and the RouteTable does not show which routes require a client
	// certificate. The token of the client is a valid token without any scope:
	//
	//	client := NewDPoPClient(nil)
	//	client.Token = issuer.JWT(Token{Scopes: []string{}, BoundTo: client})
	//
	// The fields Handler and Transport of the client have no effect.
	Client *Client

	// Origin is the scheme and the host of the requests, for example "https://api.example". For
	// DPoP proofs, Origin must be one of the PublicOrigins of the service. If Origin is "", the
	// host is example.com, and the requests of Client begin with https://. If the Pattern of a
	// route begins with a host, the requests to this route have that host.
	Origin string

	// Params are the values for the parameters in the paths of routes, by the name of the
	// parameter. A parameter without a value here gets "1".
	Params map[string]string
}

// TestRoutes fails if a route of a service is not guarded. It sends a request without a token to
// each route. The response must be 401 or 403 with a challenge of the scheme Bearer or DPoP. A
// challenge of another scheme counts too if the route then refuses a bad token with the error
// invalid_token. Every other response means that the route has no guard. The statuses 404, 405 and
// 500 count as such responses too. A handler without a guard can send these statuses, and a router
// can send them if the path of the route is wrong.
//
// After that, TestRoutes sends a request with a token without scopes to each guarded route. The
// response must be 403 with such a challenge. If a route requires a bound token, [Coverage].Client
// sends this request. If a route has every method, TestRoutes calls it with GET, POST, PUT, PATCH
// and DELETE.
//
// If a route lets the request without a token pass, TestRoutes sends a request with a bad token.
// If the response is 401 with a challenge, the token is optional, and the route must be declared in
// [Coverage].Optional.
//
// TestRoutes also fails if a declaration is wrong: a public route has a guard, an optional route
// requires a token or accepts a bad one, a route in AnyUser requires more than a valid token, or a
// declared name is not the name of a route. And TestRoutes fails if a route refuses the token in
// Coverage as not valid, because then TestRoutes can't test the scopes of this route.
//
// The table that TestRoutes returns says what the routes require. You can keep the table as
// documentation. For a route without [Route.Require], the table contains the scopes that the
// challenges of the two refusals name. If guards are nested, these are the scopes of at most two
// guards. If a route accepts alternative scopes, a challenge names only one alternative.
func TestRoutes(t testing.TB, c Coverage) RouteTable {
	t.Helper()
	if len(c.Routes) == 0 {
		t.Errorf("no route to test")
	}
	if _, err := c.origin(); err != nil {
		t.Errorf("Coverage.Origin: %v", err)
		return nil
	}
	if c.Client != nil && c.Client.Token == "" {
		t.Errorf("Coverage.Client has no Token")
		return nil
	}
	routes := slices.Clone(c.Routes)
	slices.SortStableFunc(routes, func(a, b Route) int {
		return cmp.Or(cmp.Compare(a.template(), b.template()), cmp.Compare(a.Method, b.Method))
	})
	var found findings
	var table RouteTable
	for _, route := range routes {
		table = append(table, c.testRoute(t.Context(), route, &found))
	}
	for _, name := range slices.Concat(c.Public, c.Optional, c.AnyUser) {
		if !slices.ContainsFunc(routes, func(r Route) bool { return r.Name() == name }) {
			found.unknown = append(found.unknown, name)
		}
	}
	found.report(t)
	return table
}

// findings are what TestRoutes has found. There is one list for each kind of finding. Each string
// in a list names a route, and sometimes also the response of this route.
type findings struct {
	// The routes in these lists lack a guard of xenaauth, or a declaration in Coverage.
	open, optional, anyUser, foreign []string
	// Coverage declares the routes in these lists as Public, Optional or AnyUser. But these routes
	// behave in another way, or they do not exist.
	closed, required, lax, demanding, unknown []string
	// TestRoutes could not test the scopes of the routes in these lists, because Coverage lacks a
	// token or a Client that these routes accept. This is an error.
	token, bound, client []string
	// TestRoutes can't test the scopes of the routes in this list, because no Client can make a
	// proof for them. This is not an error.
	untestable []string
}

func (f *findings) report(t testing.TB) {
	t.Helper()
	const untested = "scopes and AnyUser not tested: "
	for _, list := range []struct {
		what  string
		names []string
	}{
		{"open: guard these routes, or declare them in Public", f.open},
		{"optional: require a token of these routes, or declare them in Optional", f.optional},
		{"refused, but not by a guard of xenaauth: leave these routes out of Routes", f.foreign},
		{"for any user: require a scope of these routes, or declare them in AnyUser", f.anyUser},
		{"declared in Public, but guarded: remove these routes from Public", f.closed},
		{"declared in Optional, but requiring a token: remove these routes from Optional", f.required},
		{"declared in Optional, but not refusing a bad token: guard these routes", f.lax},
		{"declared in AnyUser, but requiring more", f.demanding},
		{untested + "Coverage.Token is not valid there", f.token},
		{untested + "these routes require a bound token, so set Coverage.Client", f.bound},
		{untested + "the token or the proof of Coverage.Client is not valid there", f.client},
		{"declared, but no such route", f.unknown},
	} {
		if len(list.names) > 0 {
			t.Errorf("%s:\n\t%s", list.what, strings.Join(list.names, "\n\t"))
		}
	}
	if len(f.untestable) > 0 {
		names := strings.Join(f.untestable, "\n\t")
		t.Logf("%sno Client can make a proof for these routes:\n\t%s", untested, names)
	}
}
