package routes

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/gateway/routes"
)

// These are the names of the security schemes in the OpenAPI document. accessToken is a token
// alone. The other two are for tokens that are bound to a key. dpopToken is a token with a DPoP
// proof (RFC 9449). clientCertificate is the certificate that a client sends in addition to its
// token (RFC 8705).
const (
	scheme      = "accessToken"
	dpopToken   = "dpopToken"
	certificate = "clientCertificate"
)

// defaultMethods are the methods that the OpenAPI document lists for a rule that names no method.
var defaultMethods = []string{
	http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
}

// openAPIMethods are all methods for which OpenAPI 3.1 has operations.
var openAPIMethods = append([]string{http.MethodOptions, http.MethodHead, http.MethodTrace}, defaultMethods...)

// An operation is the entry of an OpenAPI document for one method of one path.
type operation struct {
	Description string `json:"description,omitempty"`
	// Security has the security schemes that the operation needs. An empty list means that the
	// operation is public.
	Security []map[string][]string `json:"security"`
}

// openAPI returns the parts of an OpenAPI 3.1 document that describe access: the security schemes,
// and the security of each operation. In a path of OpenAPI, a parameter stands for one segment. If
// a rule is for all paths below a path, openAPI writes a parameter for the rest of the path
// nevertheless. A path of OpenAPI has no host. If two rules differ only in the host and give
// different access, openAPI returns an error that names the two rules.
func openAPI(table *routes.Table) (string, error) {
	type owner struct {
		rule routes.Rule
		any  bool
	}
	anyBound := false
	owners := make(map[string]owner)
	paths := make(map[string]map[string]operation)
	for _, r := range table.Rules() {
		method, route := splitPattern(r.Pattern)
		path, op := openAPIPath(route), newOperation(r.Access)
		anyBound = anyBound || slices.ContainsFunc(op.Security, func(s map[string][]string) bool { return s[dpopToken] != nil })
		operations := []string{method}
		if method == "" {
			operations = defaultMethods
		}
		for _, m := range operations {
			if !slices.Contains(openAPIMethods, m) {
				continue
			}
			key := m + " " + path
			before, exists := owners[key]
			switch {
			case exists && before.any == (method == "") &&
				!reflect.DeepEqual(op, paths[path][strings.ToLower(m)]):
				return "", fmt.Errorf("%s and %s are one operation of OpenAPI, and differ in what they require",
					before.rule.Source, r.Source)
			// Two rules can match the same request: one with a method and one without. Then the
			// rule with the method decides.
			case exists && method == "":
				continue
			}
			owners[key] = owner{r, method == ""}
			if paths[path] == nil {
				paths[path] = make(map[string]operation)
			}
			paths[path][strings.ToLower(m)] = op
		}
	}
	schemes := map[string]any{scheme: map[string]string{"type": "http", "scheme": "bearer"}}
	if anyBound {
		schemes[dpopToken] = map[string]string{"type": "http", "scheme": "DPoP"}
		schemes[certificate] = map[string]string{"type": "mutualTLS"}
	}
	text, err := json.MarshalIndent(map[string]any{
		"components": map[string]any{"securitySchemes": schemes},
		"paths":      paths,
	}, "", "  ")
	return string(text) + "\n", err
}

func newOperation(access routes.Access) operation {
	token := map[string][]string{scheme: {}}
	if r, ok := access.Requirement(); ok {
		op := operation{}
		isBound := slices.Contains(r.Policies(), xenaauth.BoundToken().Policies()[0])
		for _, scopes := range r.Alternatives() {
			scopes = append([]string{}, scopes...)
			if isBound {
				op.Security = append(op.Security, map[string][]string{dpopToken: scopes},
					map[string][]string{scheme: scopes, certificate: {}})
				continue
			}
			op.Security = append(op.Security, map[string][]string{scheme: scopes})
		}
		return op
	}
	switch {
	case access.IsPublic():
		return operation{Security: []map[string][]string{}}
	case access.IsOptional():
		return operation{Security: []map[string][]string{token, {}}}
	}
	return operation{"No request may pass.", []map[string][]string{token}}
}

// openAPIPath converts the path in the pattern of a route to the form of OpenAPI.
func openAPIPath(route string) string {
	path := route[strings.IndexByte(route, '/'):]
	switch {
	case strings.HasSuffix(path, "/{$}"):
		return strings.TrimSuffix(path, "{$}")
	case strings.HasSuffix(path, "/"):
		return path + "{path}"
	}
	return strings.ReplaceAll(path, "...}", "}")
}
