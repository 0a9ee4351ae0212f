package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	"github.com/xenaauth/xenaauth/cmd/xenagate/internal/config"
)

// upstream is a service behind the gateway.
type upstream struct {
	name   string
	url    *url.URL
	host   string // "" is any
	prefix string // without a slash at the end

	connections *connections
}

func newUpstreams(cfg *config.Config) []*upstream {
	var all []*upstream
	for _, u := range cfg.Upstreams {
		to, err := url.Parse(u.URL)
		if err != nil {
			continue // config.Load has told it
		}
		all = append(all, &upstream{
			name: u.Name, host: u.Host, prefix: strings.TrimSuffix(u.Path, "/"),
			url: &url.URL{Scheme: to.Scheme, Host: to.Host}, connections: newConnections(cfg.Timeouts),
		})
	}
	return all
}

// choose is the upstream for a request that the table has let pass: one for its host goes before one for any, then the
// longest path wins. It is nil if there is none.
func choose(all []*upstream, hostport, path string, ignoreCase bool) (best *upstream) {
	host := strings.ToLower(hostport)
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	for _, u := range all {
		if u.host != "" && u.host != host || !under(path, u.prefix, ignoreCase) {
			continue
		}
		if best == nil || u.host != "" && best.host == "" ||
			(u.host == best.host && len(u.prefix) > len(best.prefix)) {
			best = u
		}
	}
	return best
}

// under reports whether path is prefix or something under it.
func under(path, prefix string, ignoreCase bool) bool {
	if prefix == "" {
		return true
	}
	if len(path) < len(prefix) || len(path) > len(prefix) && path[len(prefix)] != '/' {
		return false
	}
	if ignoreCase {
		return strings.EqualFold(path[:len(prefix)], prefix)
	}
	return path[:len(prefix)] == prefix
}

// upstreamFailed answers a request that an upstream didn't. The error may hold addresses, so only what kind it is goes
// on.
func (p *proxy) upstreamFailed(w http.ResponseWriter, r *http.Request, err error) {
	rec := recordOf(r.Context())
	tooLarge, isTooLarge := errors.AsType[*http.MaxBytesError](err)
	timeout, isTimeout := errors.AsType[net.Error](err)
	switch {
	case isTooLarge && tooLarge != nil:
		rec.reason = reasonTooLarge
		problem(w, http.StatusRequestEntityTooLarge, rec.reason, "The request is too large.")
	case rec.bodyFailed.Load():
		rec.reason = reasonBody
		problem(w, http.StatusRequestTimeout, rec.reason, "The request's body broke off or came too slowly.")
	case r.Context().Err() != nil:
		rec.reason = reasonClientGone
		problem(w, http.StatusBadGateway, rec.reason, "The request was given up.")
	case isTimeout && timeout.Timeout():
		rec.reason, rec.cause = reasonUpstreamTimeout, "timeout"
		p.metrics.upstreamFailed(rec)
		problem(w, http.StatusGatewayTimeout, rec.reason, "The service behind the gateway didn't answer in time.")
	default:
		rec.reason, rec.cause = reasonUpstreamFailed, causeOf(err)
		p.metrics.upstreamFailed(rec)
		problem(w, http.StatusBadGateway, rec.reason, "The service behind the gateway can't be reached.")
	}
}

// causeOf is what kind of failure err is.
func causeOf(err error) string {
	_, dns := errors.AsType[*net.DNSError](err)
	text := err.Error()
	switch {
	case dns:
		return "name"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF),
		errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return "closed"
	case strings.Contains(text, "tls: "), strings.Contains(text, "x509: "):
		return "tls"
	case errors.Is(err, context.Canceled):
		return "canceled"
	}
	return "other"
}
