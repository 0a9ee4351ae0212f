package connectauth

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/xenaauth/xenaauth"
)

// Rules say who may call which procedure. A procedure is named as Connect does, "/invoices.v1.Invoices/Get", or with all
// others of its service, "/invoices.v1.Invoices/*"; its own name goes first. A procedure that has no rule is refused with
// [connect.CodePermissionDenied] and without a challenge, whoever calls, and the token isn't looked at: see
// [Guard.Check].
type Rules struct {
	// Require is what procedures require: [xenaauth.AllOf] and [xenaauth.AnyOf] combine, [xenaauth.AnyUser] asks for no
	// more than a token. A policy of [xenaauth.WhereRequest] is given the request as it is; its path is the procedure. A
	// procedure has no path values: [http.Request.PathValue] is "" for every name, but for those that a mux around the
	// guard has set. The message is not at hand either, so a decision about its content belongs in the handler.
	Require map[string]xenaauth.Requirement
	// Public are procedures that anybody may call. Their context is left alone.
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
			panic(fmt.Sprintf("connectauth: %q is neither /service/method nor /service/*", name))
		}
		if _, twice := all[name]; twice {
			panic(fmt.Sprintf("connectauth: %q has two rules", name))
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

// find returns the rule for a procedure: nil if it is public.
func (all rules) find(procedure string) (requirement *xenaauth.Requirement, listed bool) {
	if requirement, listed = all[procedure]; !listed {
		requirement, listed = all[wildcard(procedure)]
	}
	return requirement, listed
}

func wildcard(procedure string) string {
	return procedure[:strings.LastIndexByte(procedure, '/')+1] + "*"
}

// Check tells, at start or in a test, every procedure of a server that has no rule, and every rule without a procedure.
// Generated code has the names as constants, or [Procedures] reads them:
//
//	err := guard.Check(connectauth.Procedures(invoicesv1.File_invoices_v1_invoices_proto)...)
func (g *Guard) Check(procedures ...string) error {
	var errs []error
	unused := make(map[string]bool)
	for name := range g.rules {
		unused[name] = true
	}
	for _, procedure := range procedures {
		if _, listed := g.rules.find(procedure); !listed {
			errs = append(errs, fmt.Errorf("connectauth: %s has no rule, so it is refused to everybody", procedure))
		}
		delete(unused, procedure)
		delete(unused, wildcard(procedure))
	}
	for name := range unused {
		errs = append(errs, fmt.Errorf("connectauth: the rule for %s has no procedure", name))
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}

// Procedures are the procedures of all services in files.
func Procedures(files ...protoreflect.FileDescriptor) (procedures []string) {
	for _, file := range files {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				procedures = append(procedures, fmt.Sprintf("/%s/%s", service.FullName(), service.Methods().Get(j).Name()))
			}
		}
	}
	return procedures
}
