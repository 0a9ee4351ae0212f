package xenaauthtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/xenaauth/xenaauth"
)

// RouteAccess says who may use a route.
type RouteAccess struct {
	Route

	// Public is whether the route is declared to be for anybody.
	Public bool

	// Open is whether it let a request without a token in though it is not
	// declared so, or did something else that shows no guard.
	Open bool

	// Scopes are what challenges told: one set of scopes that is sufficient.
	Scopes []string

	// Policy is whether a valid token was refused without telling a scope: by
	// a policy of the service's own.
	Policy bool
}

func (a *RouteAccess) add(scopes []string) {
	for _, s := range scopes {
		if !slices.Contains(a.Scopes, s) {
			a.Scopes = append(a.Scopes, s)
		}
	}
}

// RouteTable is who may use which route, in the order of paths and methods.
type RouteTable []RouteAccess

// Markdown returns the table for people: one line a route, with what it
// requires in words.
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
	case a.Public:
		return "nothing: public"
	case len(a.Require) > 0:
		return strings.ReplaceAll(xenaauth.AllOf(a.Require...).String(), "|", `\|`)
	}
	parts := slices.Clone(a.Scopes)
	if a.Policy {
		parts = append(parts, "a policy")
	}
	if len(parts) == 0 {
		return "any user"
	}
	return strings.Join(parts, " and ")
}

// securityScheme is the scheme's name in what [RouteTable.OpenAPI] returns.
const securityScheme = "accessToken"

// openAPIMethods are the methods that OpenAPI 3.1 has operations for.
var openAPIMethods = []string{
	http.MethodGet, http.MethodPut, http.MethodPost, http.MethodDelete,
	http.MethodOptions, http.MethodHead, http.MethodPatch, http.MethodTrace,
}

// OpenAPI returns the part of an OpenAPI 3.1 document that is about access, as
// JSON to be merged with the rest: the security scheme "accessToken", and the
// security of every operation. metadataURL is where the issuer's OpenID
// Connect metadata is; with "", the scheme is just HTTP's bearer. Where
// [Route.Require] says so, an operation has several alternatives. Policies have
// no form in OpenAPI; open routes are written as what they are, public.
func (t RouteTable) OpenAPI(metadataURL string) []byte {
	type object = map[string]any
	scheme := object{"type": "http", "scheme": "bearer"}
	if metadataURL != "" {
		scheme = object{"type": "openIdConnect", "openIdConnectUrl": metadataURL}
	}
	paths := make(map[string]object)
	for _, a := range t {
		security := []map[string][]string{} // not nil: empty is public, absent is the document's default
		for _, scopes := range a.alternatives() {
			security = append(security, map[string][]string{securityScheme: append([]string{}, scopes...)})
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

// alternatives are the sets of scopes of which one is enough; none is public.
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
		panic("xenaauthtest: " + err.Error()) // strings and lists: it can't fail
	}
	return text
}
