package main

import (
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/xenaauth/xenaauth/cmd/internal/config"
)

// An upstream is a service behind the gateway.
type upstream struct {
	name string
	url  *url.URL
	// host is the only host that the upstream serves; "" means that it serves any host
	host string
	// the upstream serves the path pathPrefix and all paths below it; pathPrefix has no slash at
	// its end
	pathPrefix string

	connections *upstreamConnections
}

func newUpstreams(cfg *config.Config) []*upstream {
	var all []*upstream
	for _, u := range cfg.Upstreams {
		to, err := url.Parse(u.URL)
		if err != nil {
			continue // config.Load has already reported that the URL is wrong
		}
		all = append(all, &upstream{
			name: u.Name, host: u.Host, pathPrefix: strings.TrimSuffix(u.Path, "/"),
			url: &url.URL{Scheme: to.Scheme, Host: to.Host}, connections: newUpstreamConnections(cfg.Timeouts),
		})
	}
	return all
}

// findUpstream is the stage of the proxy that chooses the upstream for a request. It runs only if
// the request may pass.
func (p *proxy) findUpstream(w *response, q *passage, rec *record) (ok bool) {
	q.upstream = chooseUpstream(p.upstreams, q.request.Host, q.request.URL.Path, q.table.IgnoreCase)
	if q.upstream == nil {
		w.refuse(http.StatusNotFound, reasonNoUpstream, "Nothing is behind the gateway for this path.")
		return false
	}
	rec.upstream = q.upstream.name
	return true
}

// chooseUpstream returns the upstream for the host and path of a request, or nil. An upstream for
// exactly this host is preferred to an upstream for any host. Of several upstreams for the same
// host, the one with the longest path is chosen.
func chooseUpstream(all []*upstream, hostport, path string, ignoreCase bool) (best *upstream) {
	host := strings.ToLower(hostport)
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	for _, u := range all {
		if u.host != "" && u.host != host || !isUnder(path, u.pathPrefix, ignoreCase) {
			continue
		}
		if best == nil || u.host != "" && best.host == "" ||
			(u.host == best.host && len(u.pathPrefix) > len(best.pathPrefix)) {
			best = u
		}
	}
	return best
}

// isUnder reports whether the path of a request is prefix, or a path below prefix.
func isUnder(path, prefix string, ignoreCase bool) bool {
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
