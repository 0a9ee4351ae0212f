package main

import (
	"context"
	"time"

	"github.com/xenaauth/xenaauth"
)

// A record contains the data about one request for the access log and the metrics. Every stage in
// the processing of the request may write to the record. No stage makes a decision that depends on
// it.
type record struct {
	// listener is the listener of the gateway: "proxy", "forward_auth" or "ext_authz"
	listener string
	start    time.Time
	peer     string

	// method, host and path are from the client's request. If another proxy asks the gateway about
	// a request of a client, findNoted sets them from the client's request. Without findNoted, for
	// example for a peer that is not trusted, they are from the call of the proxy, or empty.
	method, host, path string
	// route is the pattern of the rule that applies to the request, or the path of one of the
	// gateway's own endpoints
	route string
	user  *xenaauth.User
	// upstream is the name of the upstream that gets the request
	upstream string
	status   int
	bytes    int64
	// reason says why the request was refused or failed. It is a [xenaauth.Reason], or one of the
	// constants below. It is "" for an allowed request.
	reason string
	cause  string // if the upstream failed, cause is a word for the failure
}

// The field reason in the access log and in a refusal contains one of these reasons, or a reason of
// package xenaauth.
const (
	reasonMethod          = "method"           // status 405: the method is TRACE or CONNECT
	reasonNotFound        = "not_found"        // status 404: the gateway has no endpoint with this path
	reasonNoUpstream      = "no_upstream"      // status 404: no upstream has this host and path
	reasonTooLarge        = "too_large"        // status 413: the body is longer than limits.body_bytes
	reasonBody            = "body"             // status 408: the body broke off or came too slowly
	reasonPeer            = "peer"             // status 403: the peer is not trusted
	reasonUpstreamTimeout = "upstream_timeout" // status 504: the upstream did not respond in time
	reasonUpstreamFailed  = "upstream_failed"  // status 502: the upstream failed
	reasonClientGone      = "client_gone"      // status 502: the client or the gateway broke it off
	reasonAborted         = "aborted"          // the response broke off, at the upstream or client
	reasonPanic           = "panic"            // status 500, or 503 to a proxy: a bug of the gateway
	reasonLogout          = "logout"           // status 400, 405 or 503: no accepted logout token
)

// recordContext is the context of a request. It also contains the record of the request. Other
// packages call the functions noteEvent and findNoted, and pass them only this context or a request
// with it, so they get the record from the context.
type recordContext struct {
	context.Context
	record *record
}

type recordKey struct{}

// Value returns the record of the request if key is a recordKey. It implements [context.Context].
func (c *recordContext) Value(key any) any {
	if key == (recordKey{}) {
		return c.record
	}
	return c.Context.Value(key)
}

// recordOf returns the record of a request from the context of the request, or nil.
func recordOf(ctx context.Context) *record {
	rec, _ := ctx.Value(recordKey{}).(*record)
	return rec
}

// gateway.noteEvent counts a decision about a request in the metrics, and writes it into the audit
// log and into the record of the request. The middleware of package xenaauth calls noteEvent for
// each request, with the event of its decision.
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

// record.outcome returns the outcome of a request for the access log: "allowed", "refused" or
// "failed". A request without a reason was allowed, also if the upstream responded with an error.
// "refused" means that something in the client's request is the cause, and "failed" means that the
// cause is not in the request.
func (rec *record) outcome() string {
	switch {
	case rec.reason == "":
		return "allowed"
	case rec.status >= 500 || rec.reason == reasonAborted || rec.reason == reasonClientGone:
		return "failed"
	}
	return "refused"
}

// A recorder writes the records of requests to the access log, and counts them in the metrics.
type recorder struct {
	log     *accessLog
	metrics *requestMetrics
}

// recorder.finish writes the record of a request to the access log, and counts the request in the
// metrics. It is called at the end of each request.
func (r *recorder) finish(rec *record) {
	took := time.Since(rec.start)
	r.metrics.observe(rec, took.Seconds())
	r.log.writeLine(rec, took)
}
