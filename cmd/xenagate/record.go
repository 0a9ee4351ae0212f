package main

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/gateway/routes"
)

// record is what becomes of one request, for the access log and the metrics. It travels in the request's context, so
// that the same lines serve every door: find fills in what was asked for, noteEvent who asked.
type record struct {
	door  string // "proxy", "forward_auth" or "ext_authz"
	start time.Time
	peer  string

	method, host, path, route string
	user                      *xenaauth.User
	status                    int
	bytes                     int64
	reason                    string // why it didn't get what it asked for: a [xenaauth.Reason], or one of ours
	cause                     string // what an upstream's failure was, in a word

	table    *table
	rule     routes.Rule
	upstream *upstream
	fields   http.Header // of the identity, for the upstream

	bodyFailed atomic.Bool // the client's body could not be read; told by the goroutine that sends it on
}

// The reasons that are not those of xenaauth.
const (
	reasonMethod          = "method"           // 405: TRACE and CONNECT
	reasonNotFound        = "not_found"        // 404: no such endpoint
	reasonNoUpstream      = "no_upstream"      // 404: allowed, but no upstream is for it
	reasonTooLarge        = "too_large"        // 413: a body above limits.body_bytes
	reasonBody            = "body"             // 408: the client's body broke off, or came too slowly
	reasonIdentity        = "identity"         // 403 or 401: the user doesn't fit into the identity headers
	reasonPeer            = "peer"             // 403: not a trusted peer
	reasonUpstreamTimeout = "upstream_timeout" // 504
	reasonUpstreamFailed  = "upstream_failed"  // 502
	reasonClientGone      = "client_gone"      // nobody waits for the answer any more
	reasonAborted         = "aborted"          // the answer broke off
	reasonPanic           = "panic"            // 500: a mistake of ours
	reasonLogout          = "logout"           // 400 or 503: a logout token that did not do
)

type recordKey struct{}

func withRecord(ctx context.Context, rec *record) context.Context {
	return context.WithValue(ctx, recordKey{}, rec)
}

// recordOf is nil for a request that came through no door.
func recordOf(ctx context.Context) *record {
	rec, _ := ctx.Value(recordKey{}).(*record)
	return rec
}

// noteEvent is the hook of the middleware.
func noteEvent(ctx context.Context, e xenaauth.Event) {
	rec := recordOf(ctx)
	if rec == nil {
		return
	}
	rec.user = e.User
	if e.Err != nil {
		rec.reason = string(e.Err.Reason)
	}
}

// outcome sums up: "allowed", "refused" by what the client sent, or "failed" for another cause.
func (rec *record) outcome() string {
	switch {
	case rec.reason == "":
		return "allowed"
	case rec.status >= 500 || rec.reason == reasonAborted || rec.reason == reasonClientGone:
		return "failed"
	}
	return "refused"
}
