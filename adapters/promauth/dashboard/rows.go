package main

import "strings"

// row is a row of panels on the Grafana dashboard. If the field closed is true, Grafana shows the
// panels of the row only after a click.
type row struct {
	title  string
	closed bool
	charts []chart
}

// chart describes one panel of the Grafana dashboard, for example a graph.
type chart struct {
	title       string
	description string
	unit        string  // unit is the unit of the panel's values, as Grafana names it
	redLimit    float64 // the graph has a red line at redLimit; 0 means no line
	asNumbers   bool    // if asNumbers is set, the panel shows the latest numbers instead of a graph
	queries     []query
}

// query is one Prometheus query of a panel. The field expr has a short form, in which the parts
// that all queries have in common are left out. The method fullQuery adds these parts. The field
// legend may contain labels of the result.
type query struct{ expr, legend string }

// query.fullQuery returns the whole Prometheus query. In the short form of the query, "{}" and "{,"
// stand for the jobs and instances that the user of the dashboard selects, and "[]" stands for the
// range of time that Grafana chooses.
func (q query) fullQuery() string {
	const selection = `{job=~"$job",instance=~"$instance"`
	return strings.NewReplacer(
		"{}", selection+"}", "{,", selection+",", "[]", "[$__rate_interval]",
	).Replace(q.expr)
}

// quantileQueries returns the Prometheus queries for the three quantiles of a histogram that the
// dashboard shows.
func quantileQueries(metric string) (all []query) {
	for _, q := range []struct{ value, name string }{{"0.5", "median"}, {"0.9", "90 %"}, {"0.99", "99 %"}} {
		all = append(all, query{
			"histogram_quantile(" + q.value + ", sum by (le) (rate(" + metric + "_bucket{}[])))", q.name,
		})
	}
	return all
}

var rows = []row{
	{title: "Decisions", charts: []chart{
		{
			title: "Requests by outcome", unit: "reqps",
			description: "What was decided about requests. Unavailable means 503: the token could not be checked.",
			queries:     []query{{`sum by (outcome) (rate(xenaauth_decisions_total{}[]))`, "{{outcome}}"}},
		},
		{
			title: "Refusals by reason", unit: "reqps",
			description: "docs/troubleshooting.md has a section for each reason.",
			queries:     []query{{`sum by (reason) (rate(xenaauth_decisions_total{,outcome="refused"}[]))`, "{{reason}}"}},
		},
		{
			title: "Share of 503", unit: "percentunit", redLimit: 14.4 * 0.001,
			description: "The share of the requests whose token could not be checked. The alert XenaauthUnavailable has the same limit.",
			queries: []query{{`(sum(rate(xenaauth_decisions_total{,outcome="unavailable"}[])) or vector(0))` +
				` / sum(rate(xenaauth_decisions_total{}[]))`, "503"}},
		},
		{
			title: "Requests by source", unit: "reqps",
			description: "How the tokens were checked: jwt is a new signature, introspection a call to the issuer, cache a token in use.",
			queries: []query{
				{`sum by (source) (rate(xenaauth_decisions_total{,source!=""}[]))`, "{{source}}"},
				{`sum(rate(xenaauth_query_tokens_total{}[]))`, "access_token in the query"},
			},
		},
	}},
	{title: "Latency", charts: []chart{
		{
			title: "Duration of checks", unit: "s",
			description: "How long checks took, without the handler.",
			queries:     quantileQueries("xenaauth_check_duration_seconds"),
		},
		{
			title: "Wait for the issuer", unit: "s",
			description: "How long requests waited for the issuer, of those that waited.",
			queries:     quantileQueries("xenaauth_check_upstream_seconds"),
		},
	}},
	{title: "Issuer", charts: []chart{
		{
			title: "Calls to the issuer", unit: "reqps",
			description: "HTTP requests to the issuer. The status is none if there was no response.",
			queries: []query{{`sum by (document, status) (rate(xenaauth_issuer_calls_total{}[]))`,
				"{{document}} {{status}}"}},
		},
		{
			title: "Failed calls to the issuer", unit: "reqps",
			description: "Calls without a response, or with another status than 2xx and 304.",
			queries: []query{{`sum by (document, status) (rate(xenaauth_issuer_calls_total{,status!~"2..|304"}[]))`,
				"{{document}} {{status}}"}},
		},
		{
			title: "Duration of calls to the issuer, 99 %", unit: "s",
			queries: []query{{`histogram_quantile(0.99, sum by (le, document) ` +
				`(rate(xenaauth_issuer_call_duration_seconds_bucket{}[])))`, "{{document}}"}},
		},
		{
			title: "Documents that can't be fetched", unit: "none",
			description: "1 if the latest attempt of an instance failed. The log says why.",
			queries: []query{{`max by (job, instance, document) (xenaauth_issuer_failing{})`,
				"{{instance}} {{document}}"}},
		},
		{
			title: "Ready instances", unit: "none",
			description: "Instances that can check tokens now, and all instances.",
			queries: []query{
				{`sum(xenaauth_issuer_ready{})`, "ready"},
				{`count(xenaauth_issuer_ready{})`, "all"},
			},
		},
		{
			title: "Circuit breaker of introspection", unit: "none",
			description: "1 if an instance makes no introspection calls for now, because they failed.",
			queries:     []query{{`max by (job, instance) (xenaauth_introspection_open{})`, "{{instance}}"}},
		},
	}},
	{title: "Keys of each instance", charts: []chart{
		{
			title: "Age of the key set", unit: "s", redLimit: 12 * 3600,
			description: "How long ago the key set was fetched or found unchanged. The alert XenaauthKeySetOld has the same limit.",
			queries: []query{{`time() - max by (job, instance) ` +
				`(xenaauth_issuer_last_success_timestamp_seconds{,document="jwks"})`, "{{instance}}"}},
		},
		{
			title: "Usable keys", unit: "none",
			queries: []query{{`max by (job, instance) (xenaauth_issuer_keys{})`, "{{instance}}"}},
		},
		{
			title: "Hash of the key set", unit: "hex", asNumbers: true,
			description: "Instances with the same keys have the same value.",
			queries:     []query{{`max by (job, instance) (xenaauth_key_set_hash{})`, "{{instance}}"}},
		},
		{
			title: "Different key sets", unit: "none", redLimit: 1,
			description: "How many different key sets the instances of a job have. More than 1 is normal only during a rotation.",
			queries:     []query{{`count by (job) (count_values by (job) ("hash", xenaauth_key_set_hash{}))`, "{{job}}"}},
		},
	}},
	{title: "Caches and revocations", charts: []chart{
		{
			title: "Cache hits", unit: "percentunit",
			description: "The share of the lookups that found an entry.",
			queries: []query{{`sum by (cache) (rate(xenaauth_cache_hits_total{}[])) / (sum by (cache) ` +
				`(rate(xenaauth_cache_hits_total{}[])) + sum by (cache) (rate(xenaauth_cache_misses_total{}[])))`, "{{cache}}"}},
		},
		{
			title: "Cache entries", unit: "short",
			queries: []query{{`sum by (job, instance, cache) (xenaauth_cache_entries{})`, "{{instance}} {{cache}}"}},
		},
		{
			title: "Cache memory", unit: "bytes",
			queries: []query{{`sum by (job, instance, cache) (xenaauth_cache_bytes{})`, "{{instance}} {{cache}}"}},
		},
		{
			title: "Shared cache", unit: "ops",
			description: "Lookups in the cache that instances share, by result. After a failure, the instance introspects the token itself.",
			queries:     []query{{`sum by (result) (rate(xenaauth_shared_cache_lookups_total{}[]))`, "{{result}}"}},
		},
		{
			title: "Revocations", unit: "none",
			description: "Revocations in force. With a revocation bus, all instances of a fleet have the same number.",
			queries:     []query{{`max by (job, instance) (xenaauth_revocations{})`, "{{instance}}"}},
		},
	}},
	{title: "xenagate (only if the gateway runs)", closed: true, charts: []chart{
		{
			title: "Requests by status", unit: "reqps",
			queries: []query{{`sum by (door, code) (rate(xenagate_requests_total{}[]))`, "{{door}} {{code}}"}},
		},
		{
			title: "Duration of requests", unit: "s",
			description: "With the time of the upstream.",
			queries:     quantileQueries("xenagate_request_duration_seconds"),
		},
		{
			title: "Upstream failures", unit: "reqps",
			queries: []query{{`sum by (upstream, cause) (rate(xenagate_upstream_failures_total{}[]))`,
				"{{upstream}} {{cause}}"}},
		},
		{
			title: "Requests by route", unit: "reqps",
			queries: []query{{`topk(10, sum by (route, code) (rate(xenagate_route_requests_total{}[])))`,
				"{{route}} {{code}}"}},
		},
		{
			title: "Latest change taken over", unit: "none",
			description: "0 if the latest change of routes or keys was refused. The log says why.",
			queries:     []query{{`min by (job, instance, what) (xenagate_reload_success{})`, "{{instance}} {{what}}"}},
		},
		{
			title: "Requests under way, lost log lines", unit: "short",
			queries: []query{
				{`sum(xenagate_active_requests{})`, "requests under way"},
				{`sum(increase(xenagate_log_lines_dropped_total{}[]))`, "lost log lines"},
			},
		},
	}},
}
