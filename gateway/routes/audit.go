package routes

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Audit compares the table with the methods of a gRPC or Connect server. Call it when the server
// starts, or in a test. A method is named /package.Service/Method, as the functions Methods and
// Procedures of the adapters return it.
//
// The error lists each method that no rule matches as a POST request: the table refuses the POST
// requests of this method. A Connect client can still call the method by GET if a rule for GET
// matches it. The error also lists each rule that names one of the services and matches no method.
// The method in this rule is probably misspelled, and a wider rule or no rule decides about the
// calls. Audit ignores the hosts of rules. An argument that is not the name of a method is an error
// too.
func (t *Table) Audit(methods ...string) error {
	var errs []error
	services := make(map[string]bool)
	used := make(map[*parsedRule]bool)
	for _, method := range methods {
		p, err := parsePattern(method, t.ignoreCase)
		if err != nil {
			errs = append(errs, fmt.Errorf("routes: method %q: %w", method, err))
			continue
		}
		services[p.path[0].literal] = true
		matched, matchedPath := false, false
		for _, r := range t.rules {
			if pathCovers(r.pattern.path, p.path) {
				used[r], matchedPath = true, true
				matched = matched || methodCovers(r.pattern.method, http.MethodPost)
			}
		}
		switch {
		case !matchedPath:
			errs = append(errs, fmt.Errorf("routes: no rule matches %s: each call is refused", method))
		case !matched:
			errs = append(errs, fmt.Errorf("routes: no rule matches POST %s: each call by POST is refused", method))
		}
	}
	for _, r := range t.rules {
		if !used[r] && services[r.pattern.path[0].literal] {
			errs = append(errs, fmt.Errorf("routes: %v matches no method", r))
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}
