package routes

import (
	"net/http"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/internal/target"
)

// readTarget returns the target of a request. A server has received this request, or a program has
// built it. For example, package forwardauth builds a request from the fields of a subrequest.
// readTarget reads the path from r.URL, because handlers and upstreams see r.URL.
func readTarget(r *http.Request) (target.Target, error) {
	u := r.URL
	switch {
	case u == nil:
		return target.Target{}, target.Ambiguity("the target is missing")
	case u.Opaque != "" || u.User != nil || u.Fragment != "" || u.Host != "" && u.Host != r.Host:
		return target.Target{}, target.Ambiguity("the target is more than a path and a query")
	}
	return target.Read(target.Request{
		Method: r.Method, Host: r.Host, RequestURI: r.RequestURI, Path: u.Path, RawPath: u.RawPath,
		Header: r.Header,
	})
}

func ambiguous(cause error) error {
	return &xenaauth.Error{Reason: xenaauth.ReasonAmbiguousTarget, Err: cause}
}

func noRule(cause error) error {
	return &xenaauth.Error{Reason: xenaauth.ReasonNoRule, Err: cause}
}
