package main

import (
	"context"
	"time"

	"github.com/xenaauth/xenaauth"
)

// record is what the access log and the metrics say about one request. Every stage of a request
// writes to it, and none decides by it.
type record struct {
	listener string // "proxy", "forward_auth" or "ext_authz"
	start    time.Time
	peer     string

	method, host, path string // of the client's request, also if another proxy asks about it
	route              string // the pattern of the rule
	user               *xenaauth.User
	upstream           string // the name of the upstream
	status             int
	bytes              int64
	reason             string // why the request was refused or failed: a [xenaauth.Reason], or a reason below
	cause              string // the kind of an upstream's failure
}

// The reasons that xenaauth does not have.
const (
	reasonMethod          = "method"           // 405: TRACE and CONNECT
	reasonNotFound        = "not_found"        // 404: no such endpoint
	reasonNoUpstream      = "no_upstream"      // 404: allowed, but no upstream has this host and path
	reasonTooLarge        = "too_large"        // 413: a body above limits.body_bytes
	reasonBody            = "body"             // 408: the client's body broke off, or came too slowly
	reasonIdentity        = "identity"         // 403 or 401: the user doesn't fit into the identity headers
	reasonPeer            = "peer"             // 403: the peer is not trusted
	reasonUpstreamTimeout = "upstream_timeout" // 504
	reasonUpstreamFailed  = "upstream_failed"  // 502
	reasonClientGone      = "client_gone"      // the client has closed the connection
	reasonAborted         = "aborted"          // the response broke off
	reasonPanic           = "panic"            // 500: a bug of the gateway
	reasonLogout          = "logout"           // 400 or 503: a logout token was not accepted
)

// recordContext is a context with a record, for the hooks of xenaauth: noteEvent and findNoted see
// only a context.
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

// noteEvent is the hook of the middleware. It counts and notes the decision about a request.
func (g *gateway) noteEvent(ctx context.Context, e xenaauth.Event) {
	g.metrics.auth.Event(ctx, e)
	rec := recordOf(ctx)
	if rec == nil {
		return
	}
	rec.user, rec.route = e.User, e.Route
	if e.Err != nil {
		rec.reason = string(e.Err.Reason)
	}
}

// outcome returns "allowed", "refused" if the client's request is the reason, or "failed" for
// another reason.
func (rec *record) outcome() string {
	switch {
	case rec.reason == "":
		return "allowed"
	case rec.status >= 500 || rec.reason == reasonAborted || rec.reason == reasonClientGone:
		return "failed"
	}
	return "refused"
}

// recorder writes records to the access log and counts them.
type recorder struct {
	log     *accessLog
	metrics *requestMetrics
}

// done is called at the end of each request.
func (r *recorder) done(rec *record) {
	took := time.Since(rec.start)
	r.metrics.observe(rec, took.Seconds())
	r.log.line(rec, took)
}
