package xenaauthtest

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
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

	// AnyUser lists the names of the routes that need a valid token and no scope, as [Route.Name]
	// returns them.
	AnyUser []string

	// Token is a valid access token without any scope:
	//
	//	issuer.JWT(Token{Scopes: []string{}})
	//
	// If Token is "", TestRoutes tests neither scopes nor AnyUser.
	Token string

	// Params are the values for the parameters in the paths of routes, by the name of the
	// parameter. A parameter without a value here gets "1".
	Params map[string]string
}

// TestRoutes fails if a route of a service is not guarded. It sends a request without a token to
// each route. The response must be 401 or 403 with a Bearer challenge. Every other response means
// that the route has no guard. The statuses 404, 405 and 500 count as such responses too. A handler
// without a guard can send these statuses, and a router can send them if the path of the route is
// wrong.
//
// After that, TestRoutes sends a request with a token without scopes to each guarded route. The
// response must be 403 with a Bearer challenge. If a route has every method, TestRoutes calls it
// with GET, POST, PUT, PATCH and DELETE.
//
// TestRoutes also fails if a declaration is wrong: a public route has a guard, a route in AnyUser
// requires more than a valid token, or a declared name is not the name of a route.
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
	routes := slices.Clone(c.Routes)
	slices.SortStableFunc(routes, func(a, b Route) int {
		return cmp.Or(cmp.Compare(a.template(), b.template()), cmp.Compare(a.Method, b.Method))
	})
	var found findings
	var table RouteTable
	for _, route := range routes {
		table = append(table, c.test(t.Context(), route, &found))
	}
	for _, name := range slices.Concat(c.Public, c.AnyUser) {
		if !slices.ContainsFunc(routes, func(r Route) bool { return r.Name() == name }) {
			found.unknown = append(found.unknown, name)
		}
	}
	found.report(t)
	return table
}

// findings are the mistakes that TestRoutes has found. There is one list for each kind of mistake.
// Each string in a list names a route, and sometimes also the response of this route.
type findings struct{ open, anyUser, closed, demanding, token, unknown []string }

func (f *findings) report(t testing.TB) {
	t.Helper()
	for _, list := range []struct {
		what  string
		names []string
	}{
		{"open: guard these routes, or declare them in Public", f.open},
		{"for any user: require a scope of these routes, or declare them in AnyUser", f.anyUser},
		{"declared in Public, but guarded", f.closed},
		{"declared in AnyUser, but requiring more", f.demanding},
		{"scopes not tested: Coverage.Token is not valid there", f.token},
		{"declared, but no such route", f.unknown},
	} {
		if len(list.names) > 0 {
			t.Errorf("%s:\n\t%s", list.what, strings.Join(list.names, "\n\t"))
		}
	}
}

// everyMethod are the methods with which TestRoutes calls a route that has every method. OPTIONS is
// missing, because routers and CORS handlers answer preflight requests before a route is found.
var everyMethod = []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}

func (r Route) methods() []string {
	if r.Method == "" {
		return everyMethod
	}
	return []string{r.Method}
}

// Coverage.test sends the requests of TestRoutes to one route, and adds the mistakes that it finds
// to the findings.
func (c Coverage) test(ctx context.Context, route Route, found *findings) RouteAccess {
	access := RouteAccess{Route: route, Public: slices.Contains(c.Public, route.Name())}
	anyUser := slices.Contains(c.AnyUser, route.Name())
	for _, method := range route.methods() {
		addFinding := func(list *[]string, o outcome, how string) {
			name := strings.TrimPrefix(route.Name(), route.Method+" ")
			line := fmt.Sprintf("%s %s: %s %s", method, name, o.summary, how)
			if route.Source != "" {
				line += " (" + route.Source + ")"
			}
			*list = append(*list, line)
		}
		bare := c.send(ctx, route, method, "")
		switch {
		case access.Public && bare.isRefusal:
			addFinding(&found.closed, bare, "without a token")
			continue
		case access.Public:
			continue
		case !bare.isRefusal:
			access.Open = true
			addFinding(&found.open, bare, "without a token")
			continue
		}
		access.add(bare.scopes)
		if c.Token == "" {
			continue
		}
		scopeless := c.send(ctx, route, method, c.Token)
		switch {
		case scopeless.status == http.StatusUnauthorized && scopeless.isRefusal:
			addFinding(&found.token, scopeless, "with it")
		case scopeless.isRefusal && anyUser:
			addFinding(&found.demanding, scopeless, "with a token without a scope")
		case !scopeless.isRefusal && !anyUser:
			addFinding(&found.anyUser, scopeless, "with a token without a scope")
		}
		if scopeless.isRefusal {
			access.add(scopeless.scopes)
			access.Policy = access.Policy || scopeless.status == http.StatusForbidden && len(scopeless.scopes) == 0
		}
	}
	return access
}

// outcome describes the response of a route to a request of TestRoutes.
type outcome struct {
	summary   string // summary is a text for messages, for example "/orders answers 200"
	status    int
	isRefusal bool     // isRefusal means that the response is 401 or 403 with a Bearer challenge
	scopes    []string // scopes are the scopes that the challenge names
}

func (c Coverage) send(ctx context.Context, route Route, method, token string) (o outcome) {
	ctx, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	host, path := route.requestTarget(c.Params)
	r := httptest.NewRequestWithContext(ctx, method, path, nil)
	if host != "" {
		r.Host = host
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	defer func() {
		if v := recover(); v != nil {
			o = outcome{summary: fmt.Sprintf("%s panics with %v", path, v)}
		}
	}()
	w := httptest.NewRecorder()
	c.Handler.ServeHTTP(w, r)
	o.status = w.Code
	o.summary = fmt.Sprintf("%s answers %d", path, o.status)
	if o.status != http.StatusUnauthorized && o.status != http.StatusForbidden {
		return o
	}
	for _, challenge := range w.Header().Values("WWW-Authenticate") {
		scheme, params, _ := strings.Cut(challenge, " ")
		if strings.EqualFold(scheme, "Bearer") {
			o.isRefusal = true
			o.scopes = strings.Fields(challengeParam(params, "scope"))
		}
	}
	if !o.isRefusal {
		o.summary += " without a Bearer challenge"
	}
	return o
}

// challengeParam returns one parameter of a challenge (the value of WWW-Authenticate), for example
// the scope. [xenaauth.Middleware] writes values in quotes, and its values contain no escaped
// character.
func challengeParam(params, name string) string {
	for params != "" {
		key, rest, _ := strings.Cut(params, `="`)
		value, after, _ := strings.Cut(rest, `"`)
		if strings.TrimLeft(key, ", ") == name {
			return value
		}
		params = after
	}
	return ""
}
