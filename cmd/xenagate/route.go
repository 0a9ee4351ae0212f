package main

import (
	"context"
	"net/http"
	"sync/atomic"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/cmd/internal/config"
	"github.com/xenaauth/xenaauth/gateway/routes"
)

// The type routeTables contains the table of routes that is in force now.
type routeTables struct{ current atomic.Pointer[routeTable] }

// routeTable is a table of routes together with its guard, which checks whether a request may pass.
// A routeTable never changes. One routeTable decides about the whole request, also if another table
// is put in force while the request runs.
type routeTable struct {
	*config.Routes
	guard *routes.Guard
}

// newRouteTable returns the table of routes together with a guard, which checks the requests that
// the gateway forwards.
func newRouteTable(auth *xenaauth.Middleware, from *config.Routes) *routeTable {
	find := func(r *http.Request) (routes.Rule, error) {
		rule, err := from.Table.Find(r)
		if err == nil && (r.Host == "" || r.Host[0] == ':') {
			// If a request without a Host passed, net/http would send the address of the upstream
			// as the host, and a service could write this address into links.
			err = &xenaauth.Error{Reason: xenaauth.ReasonAmbiguousTarget}
		}
		return rule, err
	}
	return &routeTable{Routes: from, guard: routes.NewGuard(auth, find)}
}

// proxy.checkRoute is a stage of the proxy. It finds the rule for a request, and checks whether the
// request may pass. It also sets the identity fields. These header fields tell the upstream who the
// user is.
//
// checkRoute passes a requirement to the guard, the object that checks the request. This
// requirement sets the identity fields. If a field can't be set because the user's data is not
// valid, the requirement fails and the guard refuses the request. So the event of the request and
// the audit log report this refusal too. gateway.noteEvent writes the decision into the record of
// the request.
func (p *proxy) checkRoute(w *response, q *passage) (ok bool) {
	q.table = p.tables.current.Load()
	q.identity = make(http.Header)
	fits := xenaauth.Where("identity fields", func(_ context.Context, u *xenaauth.User) error {
		return p.identity.Set(q.identity, u)
	})
	allowed, _, err := q.table.guard.Check(q.request, fits)
	// the request has no user, so this call sets all identity fields to empty values
	if err == nil && len(q.identity) == 0 {
		err = p.identity.Set(q.identity, nil)
	}
	if err != nil {
		p.auth.Deny(w, q.request, err)
		return false
	}
	q.request = allowed
	return true
}

// findNoted finds the rule for a client's request about which another proxy asks the gateway. It
// writes the method, host and path of the client's request into the record for the access log.
func (t *routeTables) findNoted(r *http.Request) (routes.Rule, error) {
	rule, err := t.current.Load().Table.Find(r)
	if rec := recordOf(r.Context()); rec != nil {
		rec.method, rec.host = r.Method, r.Host
		if r.URL != nil {
			rec.path = r.URL.Path
		}
	}
	return rule, err
}
