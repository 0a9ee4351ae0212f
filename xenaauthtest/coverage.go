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

// Route is one route of a service, as its router knows it.
type Route struct {
	// Method is the method that it is registered for. Empty is every method.
	Method string

	// Pattern is the path as the router writes it, "/invoices/{id}" or
	// "/invoices/:id". A host may stand before it, as in a ServeMux.
	Pattern string

	// Template is the path with its parameters in braces, as OpenAPI has it.
	// Empty is that of Pattern, read as one of net/http or chi;
	// [ColonTemplate] reads those of gin and echo.
	Template string

	// Path is a path that reaches the route. Empty is the Template with the
	// values of [Coverage.Params] in place of parameters.
	Path string

	// Source is where the route comes from: a file and line, or the name of
	// its handler. It is for messages, and may be empty.
	Source string

	// Require is what the route requires, where the service knows it, from a
	// table of routes of its own for example. Nil is what challenges tell.
	Require []xenaauth.Requirement
}

// Name is the method and the pattern, "GET /invoices/{id}", and for a route of
// every method the pattern alone.
func (r Route) Name() string { return strings.TrimPrefix(r.Method+" "+r.Pattern, " ") }

// Coverage is a service whose routes are to be guarded, all but some.
type Coverage struct {
	// Handler is the whole service. Its routes are called: one that is open
	// runs, so let the service work on test data.
	Handler http.Handler

	// Routes are those of the service: chiauthtest, ginauthtest, echoauthtest and
	// echov4authtest read them from a router, and [Mux] records them.
	Routes []Route

	// Public names, by [Route.Name], the routes that anybody may use.
	Public []string

	// AnyUser names the routes for which a valid token is enough, whatever
	// its scopes.
	AnyUser []string

	// Token is a valid access token without any scope:
	//
	//	issuer.JWT(Token{Scopes: []string{}})
	//
	// Empty leaves out everything about scopes, and AnyUser.
	Token string

	// Params are values for the parameters of routes, by their names, where
	// the handlers or the patterns want more than the default, "1".
	Params map[string]string
}

// TestRoutes fails if a route of a service is not guarded. It sends a request
// without a token to each route, which has to be answered 401 or 403 with a
// Bearer challenge. Nothing else is taken for a guard, not even 404, 405 or
// 500: so answers a handler that has been reached, and so answers a router that
// was asked for the wrong path. Then it sends a token without scopes, which has
// to be answered 403 in the same way. A route of every method is asked by GET,
// POST, PUT, PATCH and DELETE.
//
// It also fails for what is declared and not so: a public route that is
// guarded, a route for any user that asks for more, a name that no route has.
//
// The table says what the routes require, to be kept as documentation. Unless
// [Route.Require] says it, that is what challenges tell: the scopes that the
// refusals of both requests name, of several guards one within the other at
// most two. Of alternatives, a challenge names one.
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

// findings are lists of routes, each with what it did.
type findings struct{ open, anyUser, closed, demanding, token, unknown []string }

func (f *findings) report(t testing.TB) {
	t.Helper()
	for _, list := range []struct {
		what  string
		names []string
	}{
		{"open: guard these routes, or declare them in Public", f.open},
		{"for any user: require a scope of these routes, or declare them in AnyUser", f.anyUser},
		{"declared in Public, and guarded", f.closed},
		{"declared in AnyUser, and asking for more", f.demanding},
		{"not tested for scopes, since Coverage.Token is not valid there", f.token},
		{"declared, and no route", f.unknown},
	} {
		if len(list.names) > 0 {
			t.Errorf("%s:\n\t%s", list.what, strings.Join(list.names, "\n\t"))
		}
	}
}

// everyMethod stands for the methods of a route that has none. OPTIONS is not
// in it: preflights are answered before routing.
var everyMethod = []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}

func (r Route) methods() []string {
	if r.Method == "" {
		return everyMethod
	}
	return []string{r.Method}
}

// test sends the requests for one route.
func (c Coverage) test(ctx context.Context, route Route, found *findings) RouteAccess {
	access := RouteAccess{Route: route, Public: slices.Contains(c.Public, route.Name())}
	anyUser := slices.Contains(c.AnyUser, route.Name())
	for _, method := range route.methods() {
		told := func(list *[]string, o outcome, how string) {
			name := strings.TrimPrefix(route.Name(), route.Method+" ")
			line := fmt.Sprintf("%s %s: %s %s", method, name, o.what, how)
			if route.Source != "" {
				line += " (" + route.Source + ")"
			}
			*list = append(*list, line)
		}
		bare := c.send(ctx, route, method, "")
		switch {
		case access.Public && bare.refused:
			told(&found.closed, bare, "without a token")
			continue
		case access.Public:
			continue
		case !bare.refused:
			access.Open = true
			told(&found.open, bare, "without a token")
			continue
		}
		access.add(bare.scopes)
		if c.Token == "" {
			continue
		}
		scopeless := c.send(ctx, route, method, c.Token)
		switch {
		case scopeless.status == http.StatusUnauthorized && scopeless.refused:
			told(&found.token, scopeless, "with it")
		case scopeless.refused && anyUser:
			told(&found.demanding, scopeless, "with a token without a scope")
		case !scopeless.refused && !anyUser:
			told(&found.anyUser, scopeless, "with a token without a scope")
		}
		if scopeless.refused {
			access.add(scopeless.scopes)
			access.Policy = access.Policy || scopeless.status == http.StatusForbidden && len(scopeless.scopes) == 0
		}
	}
	return access
}

// outcome is what a route did with a request.
type outcome struct {
	what    string // for messages
	status  int
	refused bool     // by 401 or 403 with a Bearer challenge
	scopes  []string // that the challenge tells
}

func (c Coverage) send(ctx context.Context, route Route, method, token string) (o outcome) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	host, path := route.concrete(c.Params)
	r := httptest.NewRequestWithContext(ctx, method, path, nil)
	if host != "" {
		r.Host = host
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	defer func() {
		if v := recover(); v != nil {
			o = outcome{what: fmt.Sprintf("%s panics with %v", path, v)}
		}
	}()
	w := httptest.NewRecorder()
	c.Handler.ServeHTTP(w, r)
	o.status = w.Code
	o.what = fmt.Sprintf("%s answers %d", path, o.status)
	if o.status != http.StatusUnauthorized && o.status != http.StatusForbidden {
		return o
	}
	for _, challenge := range w.Header().Values("WWW-Authenticate") {
		scheme, params, _ := strings.Cut(challenge, " ")
		if strings.EqualFold(scheme, "Bearer") {
			o.refused = true
			o.scopes = strings.Fields(param(params, "scope"))
		}
	}
	if !o.refused {
		o.what += " without a Bearer challenge"
	}
	return o
}

// param finds the value of a parameter of a challenge, as [xenaauth.Middleware]
// writes them: quoted, without escapes.
func param(params, name string) string {
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
