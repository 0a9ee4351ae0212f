// Package forwardauth answers reverse proxies that ask about each request whether it may pass: nginx's auth_request,
// Traefik's ForwardAuth, Caddy's forward_auth, Envoy's ext_authz over HTTP, and HAProxy by a few lines of Lua.
//
//	handler, err := forwardauth.New(forwardauth.Config{
//		Middleware:   auth,
//		Find:         routes.Find,
//		Dialect:      forwardauth.Nginx,
//		TrustedPeers: forwardauth.Loopback(),
//		Identity:     id,
//	})
//
// It decides by the method, host and URI of the original request, as the proxy tells them, and by the Authorization
// field, which every proxy passes on. It reads no body. The answer is
//
//   - 200 with an empty body if the request may pass. Every field of [identity.Identity.Names] is set, empty where there
//     is nothing to tell: a proxy that copies only what it finds would else leave the client's own. No other success is
//     used, since Envoy takes 200 alone for one;
//   - what [xenaauth.Middleware.Deny] answers if it may not, its challenges in one WWW-Authenticate field, since old
//     proxies copy no more, and no identity fields, which some proxies would show to the client;
//   - 403 with an empty body, and no look at the token, to a peer that is not trusted.
//
// # Who says what
//
// What the original request was is the proxy's word, and a stranger's if he can reach the handler: hence
// [Config.TrustedPeers]. Proxies also pass on fields that the client sent, some under names that others use for their own
// word. So a field of those below that is repeated, empty or not of legal syntax, or that contradicts another, is
// answered 400, and so is a field Forwarded (RFC 7239), which none of them writes in a subrequest and services may
// believe. Where a proxy before yours does, clear it in the subrequest.
//
//	Nginx, HAProxy   X-Original-Method, X-Original-Host, X-Original-URI
//	Traefik, Caddy   X-Forwarded-Method, X-Forwarded-Host, X-Forwarded-Uri
//	Envoy            the request's own method, Host and target
//
// The host is required, since rules may be about hosts, and what the proxy's connection to us says is our own.
//
// A policy ([xenaauth.WhereRequest]) sees that method, host and URI, the other fields of the subrequest, identity fields
// removed, and no body. Its RemoteAddr is the proxy.
//
// # Dialects
//
// To nginx every refusal but 401 and 403 is an error of ours: there, 400 is answered as 401, with the challenge that says
// invalid_request still. 503 stays and reaches the client as 500; docs/gateway.md shows how to make it 503 again, what
// to configure in each proxy, and what each gets wrong.
package forwardauth

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"strings"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/gateway/identity"
	"github.com/xenaauth/xenaauth/gateway/routes"
	"github.com/xenaauth/xenaauth/internal/target"
)

// Dialect is which proxy asks.
type Dialect string

// The dialects.
const (
	Nginx   Dialect = "nginx"   // auth_request, with fields set as docs/gateway.md shows
	Traefik Dialect = "traefik" // the middleware ForwardAuth
	Caddy   Dialect = "caddy"   // forward_auth
	Envoy   Dialect = "envoy"   // the filter ext_authz with http_service
	HAProxy Dialect = "haproxy" // Lua's core.httpclient, with fields set as docs/gateway.md shows
)

// Config is about one proxy, or several of one kind. All of Middleware, Find, Dialect, TrustedPeers and Identity are
// required.
type Config struct {
	// Middleware checks tokens, and words refusals.
	Middleware *xenaauth.Middleware
	// Find finds the rule for the original request: that of a [routes.Table], say.
	Find func(*http.Request) (routes.Rule, error)
	// Dialect is which proxy it is.
	Dialect Dialect
	// TrustedPeers are the networks that the proxy connects from: see [Loopback]. One of all addresses is refused.
	TrustedPeers []netip.Prefix
	// Identity tells the service behind the proxy who the user is.
	Identity *identity.Identity
	// PathPrefix is what Envoy is told to put before the path, its path_prefix: "/auth", say. Requests without it are
	// refused. "" is none. It is for Envoy alone. Mind that an [http.ServeMux] before the handler answers paths with ".."
	// or "//" by a redirect of its own.
	PathPrefix string
}

// Loopback is the networks of a proxy on the same host, for [Config.TrustedPeers].
func Loopback() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
}

// New returns the handler that the proxy asks. It answers every path and method, and is safe for concurrent use. The
// error tells every mistake in cfg, joined by [errors.Join].
func New(cfg Config) (http.Handler, error) {
	var errs []error
	wrong := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("forwardauth: Config.%s %s", field, fmt.Sprintf(format, args...)))
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
		wrong("Dialect", "is %q, which is none", string(cfg.Dialect))
	}
	if p := cfg.PathPrefix; p != "" && (cfg.Dialect != Envoy || target.CheckOrigin(p) != nil || strings.HasSuffix(p, "/") ||
		strings.Contains(p, "?")) {
		wrong("PathPrefix", "is not the beginning of a path without a slash at its end, or not for Envoy")
	}
	if len(cfg.TrustedPeers) == 0 {
		wrong("TrustedPeers", "is empty: name the networks that the proxy connects from")
	}
	h.TrustedPeers = nil
	for _, p := range cfg.TrustedPeers {
		if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 { // peers are compared as IPv4
			p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
		}
		if !p.IsValid() || p.Bits() == 0 {
			wrong("TrustedPeers", "holds %v, which is no network, or all addresses", p)
		}
		h.TrustedPeers = append(h.TrustedPeers, p)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	h.guard = routes.NewGuard(cfg.Middleware, cfg.Find)
	return h, nil
}

type handler struct {
	Config
	guard *routes.Guard
	read  func(*http.Request) (origin, error)
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !h.trusted(r.RemoteAddr) {
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusForbidden) // no challenge: nobody should bring a token here
		return
	}
	decided := false
	defer func() {
		if !decided { // a policy or a hook panicked: without a status the response would be 200
			w.WriteHeader(h.Middleware.Challenge(w.Header(), errPanicked))
		}
	}()
	original, allowed, err := h.check(r)
	decided = true
	if err != nil {
		h.deny(w, original, err)
		return
	}
	user, _ := xenaauth.UserFromContext(allowed.Context())
	fields := make(http.Header) // of its own: a refusal has none of them
	if err := h.Identity.Set(fields, user); err != nil {
		h.deny(w, original, err)
		return
	}
	maps.Copy(w.Header(), fields)
	w.Header().Del("Content-Type")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Vary", "Authorization")
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusOK)
}

// check decides about the original request of a subrequest. If the original request can't be read,
// check returns the subrequest in its place, for the refusal.
func (h *handler) check(r *http.Request) (original, allowed *http.Request, err error) {
	original, err = h.originalRequest(r)
	if err != nil {
		return r, nil, h.Middleware.Refuse(r, err)
	}
	allowed, _, err = h.guard.Check(original)
	return original, allowed, err
}

var errPanicked = &xenaauth.Error{
	Reason: xenaauth.ReasonUnavailable, Err: errors.New("the check of the request panicked"),
}

// trusted reports whether a peer may say what the original request was. One that has no IP address may not.
func (h *handler) trusted(peer string) bool {
	a, err := netip.ParseAddrPort(peer)
	if err != nil {
		return false
	}
	address := a.Addr().Unmap().WithZone("")
	for _, p := range h.TrustedPeers {
		if p.Contains(address) {
			return true
		}
	}
	return false
}

// deny answers a refusal as the dialect needs it.
func (h *handler) deny(w http.ResponseWriter, r *http.Request, err error) {
	h.Middleware.Deny(&refusal{ResponseWriter: w, only401: h.Dialect == Nginx}, r, err)
}

// refusal is a ResponseWriter for a refusal. It has no Unwrap: through it the status could be reached.
type refusal struct {
	http.ResponseWriter
	only401 bool // 400 is an error to the proxy
}

// WriteHeader folds challenges into one field (RFC 9110, section 11.6.1) and sends the status.
func (w *refusal) WriteHeader(status int) {
	if challenges := w.Header()["Www-Authenticate"]; len(challenges) > 1 {
		w.Header()["Www-Authenticate"] = []string{strings.Join(challenges, ", ")}
	}
	if w.only401 && status == http.StatusBadRequest {
		status = http.StatusUnauthorized
	}
	w.ResponseWriter.WriteHeader(status)
}
