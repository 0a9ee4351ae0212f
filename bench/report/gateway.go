package main

import (
	"fmt"
	"strings"

	"github.com/xenaauth/xenaauth/bench/results"
)

// gatewayPairs contains the rows of the table about xenagate in the report. Each row names the
// program that xenagate is compared with.
var gatewayPairs = []struct{ pair, what, unit string }{
	{"proxy", "reverse proxy, against `httputil.ReverseProxy`", "x-bare"},
	{"forward_auth", "forward-auth, against a server that always answers 200", "x-empty"},
	{"ext_authz", "ext_authz by gRPC, against the same by HTTP/1.1", "x-empty"},
	{"nginx", "nginx that asks by `auth_request`, against nginx alone", "x-alone"},
}

// gatewayTable returns the table about xenagate: how many requests it serves in a second, and the
// cost of checking a token, with 8 clients and with one client.
func gatewayTable(r results.Results) string {
	var b strings.Builder
	b.WriteString("| What | Clients | Requests a second | Ratio | Median | of the other | 99 % | " +
		"Processor time of a request | of the other |\n|---|---|---|---|---|---|---|---|---|\n")
	for _, p := range gatewayPairs {
		for _, clients := range []string{"8", "1"} {
			name := "Gateway/pair=" + p.pair + "/clients=" + clients
			value := func(unit, shown string) string {
				m, n := r.Median(name, unit)
				if n == 0 || m == 0 {
					return "—"
				}
				return formatNumber(m) + shown
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", p.what, clients,
				value("requests/s", ""), value(p.unit, ""), value("p50-µs", " µs"), value("other-p50-µs", " µs"),
				value("p99-µs", " µs"), value("cpu-µs", " µs"), value("other-cpu-µs", " µs"))
		}
	}
	_, rounds := r.Median("Gateway/pair=proxy/clients=8", "x-bare")
	fmt.Fprintf(&b, "\nRounds: %d.\n", rounds)
	return b.String()
}
