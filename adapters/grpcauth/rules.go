package grpcauth

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc"

	"github.com/xenaauth/xenaauth"
)

// Rules say who may call which method. A method is named as gRPC does, "/invoices.v1.Invoices/Get", or with all others
// of its service, "/invoices.v1.Invoices/*"; its own name goes first. A method that has no rule is refused with
// [codes.PermissionDenied] and without a challenge, whoever calls, and the token isn't looked at: see [Guard.Check].
type Rules struct {
	// Require is what methods require: [xenaauth.AllOf] and [xenaauth.AnyOf] combine, [xenaauth.AnyUser] asks for no more
	// than a token. A policy of [xenaauth.WhereRequest] is given a POST request to the method's full name, with the
	// Authorization field and no other; the rest of the metadata is in the request's context. A method has no path values:
	// [http.Request.PathValue] is "" for every name. The message is not at hand either, so a decision about its content
	// belongs in the handler.
	Require map[string]xenaauth.Requirement
	// Public are methods that anybody may call. Their context is left alone.
	Public []string
}

// rules are requirements by name; nil is none.
type rules map[string]*xenaauth.Requirement

func compile(m *xenaauth.Middleware, r Rules) rules {
	all := make(rules)
	add := func(name string, requirement *xenaauth.Requirement) {
		service, method, ok := strings.Cut(strings.TrimPrefix(name, "/"), "/")
		if !ok || name[0] != '/' || service == "" || method == "" || strings.ContainsAny(service, "/*") ||
			strings.Contains(method, "/") || method != "*" && strings.Contains(method, "*") {
			panic(fmt.Sprintf("grpcauth: %q is neither /service/method nor /service/*", name))
		}
		if _, twice := all[name]; twice {
			panic(fmt.Sprintf("grpcauth: %q has two rules", name))
		}
		all[name] = requirement
	}
	for name, requirement := range r.Require {
		m.Require(requirement) // for its panics: a mistake shows when the server is set up
		add(name, &requirement)
	}
	for _, name := range r.Public {
		add(name, nil)
	}
	return all
}

// find returns the rule for a method: nil if it is public.
func (all rules) find(method string) (requirement *xenaauth.Requirement, listed bool) {
	if requirement, listed = all[method]; !listed {
		requirement, listed = all[wildcard(method)]
	}
	return requirement, listed
}

func wildcard(method string) string { return method[:strings.LastIndexByte(method, '/')+1] + "*" }

// Check tells, at start or in a test, every method of a server that has no rule, and every rule without a method:
//
//	err := guard.Check(server.GetServiceInfo())
func (g *Guard) Check(services map[string]grpc.ServiceInfo) error {
	var errs []error
	unused := make(map[string]bool)
	for name := range g.rules {
		unused[name] = true
	}
	for service, info := range services {
		for _, m := range info.Methods {
			method := "/" + service + "/" + m.Name
			if _, listed := g.rules.find(method); !listed {
				errs = append(errs, fmt.Errorf("grpcauth: %s has no rule, so it is refused to everybody", method))
			}
			delete(unused, method)
			delete(unused, wildcard(method))
		}
	}
	for name := range unused {
		errs = append(errs, fmt.Errorf("grpcauth: the rule for %s has no method", name))
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}
