package forwardauth

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/gateway/identity"
	"github.com/xenaauth/xenaauth/gateway/routes"
	"github.com/xenaauth/xenaauth/internal/peers"
	"github.com/xenaauth/xenaauth/internal/target"
)

// Dialect says which proxy sends the subrequests. It decides how a subrequest describes the
// original request.
type Dialect string

// These constants are the dialects, one for each proxy. Each comment names the feature with which
// the proxy sends subrequests.
const (
	// Nginx sends subrequests with the directive auth_request. The configuration must set the
	// fields that describe the original request: see docs/gateway.md.
	Nginx Dialect = "nginx"
	// Traefik sends subrequests with the middleware ForwardAuth.
	Traefik Dialect = "traefik"
	// Caddy sends subrequests with the directive forward_auth.
	Caddy Dialect = "caddy"
	// Envoy sends subrequests with the filter ext_authz, configured with http_service.
	Envoy Dialect = "envoy"
	// HAProxy sends subrequests with the function core.httpclient of Lua. The script must set the
	// fields that describe the original request: see docs/gateway.md.
	HAProxy Dialect = "haproxy"
)

// Config configures a handler for one or several proxies of the same Dialect. Middleware, Find,
// Dialect, TrustedPeers and Identity are required.
type Config struct {
	// Middleware checks tokens and writes refusals.
	Middleware *xenaauth.Middleware
	// Find returns the rule for the original request, for example [routes.Table.Find].
	Find func(*http.Request) (routes.Rule, error)
	// Dialect says which proxy sends the subrequests.
	Dialect Dialect
	// TrustedPeers are the networks from which the proxy connects, for example [Loopback]. New
	// refuses a network that contains all addresses.
	TrustedPeers []netip.Prefix
	// Identity sets the header fields that name the user to the service behind the proxy.
	Identity *identity.Identity
	// PathPrefix is the path_prefix in Envoy's configuration, for example "/auth". Envoy writes
	// PathPrefix before the path of the original request. The handler refuses a subrequest whose
	// path does not begin with PathPrefix. In other dialects, PathPrefix must be empty. Do not put
	// an [http.ServeMux] in front of the handler: the handler should refuse a path with ".." or
	// "//", but a ServeMux would redirect it.
	PathPrefix string
}

// Loopback returns the networks of a proxy on the same host, for [Config.TrustedPeers].
func Loopback() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
}

// New returns the handler for the subrequests of a proxy. The handler answers every path and
// method, and is safe for concurrent use. The error of New lists every mistake in cfg, joined by
// [errors.Join].
func New(cfg Config) (http.Handler, error) {
	var errs []error
	wrong := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("forwardauth: Config.%s %w", field, fmt.Errorf(format, args...)))
	}
	if cfg.Middleware == nil {
		wrong("Middleware", "is nil")
	}
	if cfg.Find == nil {
		wrong("Find", "is nil")
	}
	if cfg.Identity == nil {
		wrong("Identity", "is nil")
	}
	h := &handler{Config: cfg}
	switch cfg.Dialect {
	case Nginx, HAProxy:
		h.read = readOriginal
	case Traefik, Caddy:
		h.read = readForwarded
	case Envoy:
		h.read = h.readEnvoy
	default:
		wrong("Dialect", "is %q, which is unknown", string(cfg.Dialect))
	}
	switch p := cfg.PathPrefix; {
	case p == "":
	case cfg.Dialect != Envoy:
		wrong("PathPrefix", "is set for another dialect than Envoy")
	case target.CheckOrigin(p) != nil || strings.HasSuffix(p, "/") || strings.Contains(p, "?"):
		wrong("PathPrefix", "is not a path without a slash at its end")
	}
	if len(cfg.TrustedPeers) == 0 {
		wrong("TrustedPeers", "is empty: it needs the networks from which the proxy connects")
	}
	var unusable []error
	h.peers, unusable = peers.New(cfg.TrustedPeers)
	for _, err := range unusable {
		wrong("TrustedPeers", "%w", err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	h.guard = routes.NewGuard(cfg.Middleware, cfg.Find)
	return h, nil
}
