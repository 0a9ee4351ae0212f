package main

import (
	"context"
	"time"

	"github.com/xenaauth/xenaauth"
)

// record contains the data about one request for the access log and the metrics. Every stage in the
// processing of the request writes to the record. No stage makes a decision that depends on the
// record.
type record struct {
	listener string // listener is "proxy", "forward_auth" or "ext_authz"
	start    time.Time
	peer     string

	// method, host and path are from the request of the client. If another proxy calls the gateway
	// about a request, they are from the request that the proxy asks about.
	method, host, path string
	route              string // route is the pattern of the rule
	user               *xenaauth.User
	upstream           string // upstream is the name of the upstream
	status             int
	bytes              int64
	// reason says why the request was refused or failed. It is a [xenaauth.Reason], or one of the
	// constants below.
	reason string
	cause  string // if the upstream failed, cause is the kind of the failure
}

// These reasons are used in addition to the reasons of package xenaauth.
const (
	reasonMethod          = "method"           // status 405: the method is TRACE or CONNECT
	reasonNotFound        = "not_found"        // status 404: the gateway has no endpoint with this path
	reasonNoUpstream      = "no_upstream"      // status 404: no upstream has this host and path
	reasonTooLarge        = "too_large"        // status 413: the body is longer than limits.body_bytes
	reasonBody            = "body"             // status 408: the client did not send the whole body in time
	reasonIdentity        = "identity"         // status 403 or 401: the user has no valid identity fields
	reasonPeer            = "peer"             // status 403: the peer is not trusted
	reasonUpstreamTimeout = "upstream_timeout" // status 504: the upstream did not respond in time
	reasonUpstreamFailed  = "upstream_failed"  // status 502: the upstream failed
	reasonClientGone      = "client_gone"      // no status: the client has closed the connection
	reasonAborted         = "aborted"          // the response is incomplete: the upstream stopped sending it
	reasonPanic           = "panic"            // status 500: a bug of the gateway
	reasonLogout          = "logout"           // status 400 or 503: a logout token was not accepted
)

// recordContext is a context that contains a record. noteEvent and findNoted need a recordContext,
// because xenaauth calls these functions and passes them only a context.
type recordContext struct {
	context.Context
	record *record
}

type recordKey struct{}

// Value implements [context.Context].
func (c *recordContext) Value(key any) any {
	if key == (recordKey{}) {
		return c.record
	}
	return c.Context.Value(key)
}

// recordOf returns the record in ctx, or nil.
func recordOf(ctx context.Context) *record {
	rec, _ := ctx.Value(recordKey{}).(*record)
	return rec
}

// noteEvent is called by the middleware for each request. noteEvent counts the decision, and writes
// the decision into the audit log and into the record.
func (g *gateway) noteEvent(ctx context.Context, e xenaauth.Event) {
	g.metrics.auth.Event(ctx, e)
	g.audit.note(ctx, e)
	rec := recordOf(ctx)
	if rec == nil {
		return
	}
	rec.user, rec.route = e.User, e.Route
	if e.Err != nil {
		rec.reason = string(e.Err.Reason)
	}
}

// The method outcome returns "allowed", "refused" or "failed". "refused" means that something in
// the client's request is the cause, and "failed" means that the cause is not in the request.
func (rec *record) outcome() string {
	switch {
	case rec.reason == "":
		return "allowed"
	case rec.status >= 500 || rec.reason == reasonAborted || rec.reason == reasonClientGone:
		return "failed"
	}
	return "refused"
}

// recorder writes records to the access log, and counts them in the metrics.
type recorder struct {
	log     *accessLog
	metrics *requestMetrics
}

// The method done writes and counts the record at the end of each request.
func (r *recorder) done(rec *record) {
	took := time.Since(rec.start)
	r.metrics.observe(rec, took.Seconds())
	r.log.line(rec, took)
}
