// Package proxies tests forward authentication behind real reverse proxies: nginx, Caddy and
// HAProxy in the versions of Debian, and Traefik and Envoy if they are installed. Each proxy starts
// with its sample configuration from cmd/xenagate/deploy. The tests change only addresses, paths of
// files, and a timeout if a test waits for it.
//
// The service behind the proxies uses net/http and checks each request. For upgrades it is
// Hypercorn, a server that changes to HTTP/2 if a client asks for it.
//
// The tests look for a program in PATH. The environment variables NGINX, CADDY, HAPROXY, HYPERCORN,
// TRAEFIK and ENVOY name another program. A test is skipped if its program is missing. If CI is
// set, the first four programs are required.
package proxies
