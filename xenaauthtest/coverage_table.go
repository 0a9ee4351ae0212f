package xenaauthtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/xenaauth/xenaauth"
)

// RouteAccess says what a route requires.
type RouteAccess struct {
	Route

	// Public is true if the route is declared in [Coverage.Public] and is not guarded.
	Public bool

	// Optional is true if the route accepts requests without a token and refuses bad tokens.
	Optional bool

	// Open is true if the route has no guard and should have one. This means: the route is not in
	// [Coverage.Public], and the response to a request without a token was not 401 or 403 with a
	// challenge of a guard, and a bad token was not refused either.
	Open bool

	// Bound is true if the route accepts only tokens that are bound to a key.
	Bound bool

	// Scopes are the scopes that the challenges of the route named. A token with all these scopes
	// may pass.
	Scopes []string

	// Policy is true if the response to a valid token was 403 and the challenge named no scope.
	// This means that a policy of the service refused the token.
	Policy bool
}

func (a *RouteAccess) addScopes(scopes []string) {
	for _, s := range scopes {
		if !slices.Contains(a.Scopes, s) {
			a.Scopes = append(a.Scopes, s)
		}
	}
}

// RouteTable says what each route requires. It is sorted by path, and then by method.
type RouteTable []RouteAccess

// Markdown returns the table in Markdown: one line for each route, with its requirements in words.
func (t RouteTable) Markdown() string {
	var b strings.Builder
	b.WriteString("| Method | Route | Requires |\n| --- | --- | --- |\n")
	for _, a := range t {
		method := a.Method
		if method == "" {
			method = "any"
		}
		pattern := strings.ReplaceAll(a.Pattern, "|", `\|`)
		_, _ = fmt.Fprintf(&b, "| %s | `%s` | %s |\n", method, pattern, a.words())
	}
	return b.String()
}

func (a RouteAccess) words() string {
	switch {
	case a.Open:
		return "**not guarded**"
	case a.Optional:
		return "a token is optional"
	case a.Public:
		return "nothing: public"
	case len(a.Require) > 0:
		return strings.ReplaceAll(xenaauth.AllOf(a.Require...).String(), "|", `\|`)
	}
	var parts []string
	if a.Bound {
		parts = append(parts, xenaauth.BoundToken().String())
	}
	parts = append(parts, a.Scopes...)
	if a.Policy {
		parts = append(parts, "a policy")
	}
	if len(parts) == 0 {
		return "any user"
	}
	return strings.Join(parts, " and ")
}

// securityScheme is the name of the security scheme that [RouteTable.OpenAPI] returns.
const securityScheme = "accessToken"

// openAPIMethods are the HTTP methods for which OpenAPI 3.1 allows an operation.
var openAPIMethods = []string{
	http.MethodGet, http.MethodPut, http.MethodPost, http.MethodDelete,
	http.MethodOptions, http.MethodHead, http.MethodPatch, http.MethodTrace,
}

// OpenAPI returns the part of an OpenAPI 3.1 document about access: the security scheme
// "accessToken" and the security of every operation. The result is JSON that can be merged into the
// document. metadataURL is the URL of the issuer's OpenID Connect metadata. If metadataURL is "",
// the security scheme is HTTP bearer. If [Route.Require] has alternatives, the operation has the
// same alternatives. OpenAPI can't express policies, so the result does not contain policies. Open
// routes are written as public. For an optional route, the alternatives are a token and no token.
func (t RouteTable) OpenAPI(metadataURL string) []byte {
	type object = map[string]any
	scheme := object{"type": "http", "scheme": "bearer"}
	if metadataURL != "" {
		scheme = object{"type": "openIdConnect", "openIdConnectUrl": metadataURL}
	}
	paths := make(map[string]object)
	for _, a := range t {
		// The list security contains the security requirements of an operation: one method of one
		// path. In OpenAPI, an empty list means that the operation is public. The list must not be
		// nil, because JSON would then contain null in place of an empty list.
		security := []map[string][]string{}
		for _, scopes := range a.alternatives() {
			security = append(security, map[string][]string{securityScheme: append([]string{}, scopes...)})
		}
		if a.Optional {
			security = append(security, map[string][]string{})
		}
		for _, method := range a.methods() {
			if !slices.Contains(openAPIMethods, method) {
				continue
			}
			path := a.template()
			if paths[path] == nil {
				paths[path] = make(object)
			}
			paths[path][strings.ToLower(method)] = object{"security": security}
		}
	}
	return append(mustIndent(object{
		"components": object{"securitySchemes": object{securityScheme: scheme}},
		"paths":      paths,
	}), '\n')
}

// RouteAccess.alternatives returns sets of scopes. The guard of the route accepts a token that has
// all scopes of at least one set. The result is empty for a route that needs no token.
func (a RouteAccess) alternatives() [][]string {
	switch {
	case a.Public || a.Open:
		return nil
	case len(a.Require) > 0:
		return xenaauth.AllOf(a.Require...).Alternatives()
	}
	return [][]string{a.Scopes}
}

func mustIndent(v any) []byte {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		// MarshalIndent can't fail here, because the value v consists of strings and lists.
		panic("xenaauthtest: " + err.Error())
	}
	return text
}
