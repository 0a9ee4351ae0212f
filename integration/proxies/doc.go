// Package proxies tests forward authentication behind real reverse proxies: nginx, Caddy and
// HAProxy in the versions of Debian, and Traefik and Envoy if they are installed. Each proxy starts
// with its sample configuration from cmd/xenagate/deploy. The tests change only the addresses and
// file paths in it, and the timeout if a test waits for the timeout.
//
// The service behind the proxies uses net/http and checks each request that arrives. For upgrades
// the service is Hypercorn, a server that changes to HTTP/2 if a client asks for it.
//
// The tests look for each program in PATH, unless the environment variable NGINX, CADDY, HAPROXY,
// HYPERCORN, TRAEFIK or ENVOY names another file. If a program is missing, its tests are skipped.
// If the variable CI is set, the first four programs are required.
package proxies
