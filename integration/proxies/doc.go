// Package proxies holds tests of forward-auth behind real reverse proxies: nginx, Caddy and HAProxy as Debian has them,
// and Traefik and Envoy where they are installed. Each is started with its sample configuration, cmd/xenagate/deploy, of
// which only addresses, paths of files and, where a test waits for it, a timeout are changed.
//
// The service behind them is one of net/http that looks at each request, and for upgrades Hypercorn, a server that
// changes to HTTP/2 where a client asks for it.
//
// A program is looked for in PATH. The environment variables NGINX, CADDY, HAPROXY, HYPERCORN, TRAEFIK and ENVOY name
// another one. A test is skipped where the program is missing; with CI set, the first four must be there.
package proxies
