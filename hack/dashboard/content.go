// SPDX-License-Identifier: Apache-2.0

package main

// A row is a headline with panels below it, from left to right.
type row struct {
	title  string
	panels []panel
}

// A panel shows what its queries return.
type panel struct {
	kind, title, about string
	unit               string
	width              int // of 24
	stacked            bool
	queries            []query
}

// A query is in PromQL; the legend has labels in braces.
type query struct{ expr, legend string }

// Kinds of panels, by their names in Grafana.
const (
	number     = "stat"
	series     = "timeseries"
	tableOfNow = "table"
)

const (
	inFleet  = `cluster=~"$cluster", namespace=~"$namespace"`
	ofOne    = inFleet + `, name=~"$name"`
	operator = `cluster=~"$cluster", job=~"$job"`

	// While the leader changes, two pods may export an object: each counts once.
	object   = `max by (cluster, namespace, name) `
	listener = `cluster, namespace, name, load_balancer_id, region, listener_port, listener_protocol`
	backends = `max by (` + listener + `, status) `
)

var content = []row{
	{"Fleet", []panel{
		{kind: number, title: "Healthy", width: 4, about: "Objects whose policy is met on every listener.",
			queries: []query{{`sum(` + object + `(slb_health_condition{` + inFleet + `, condition="Healthy", status="True"})) or vector(0)`, ""}}},
		{kind: number, title: "Unhealthy", width: 4, about: "Objects below their minimum, or without backends.",
			queries: []query{{`sum(` + object + `(slb_health_condition{` + inFleet + `, condition="Healthy", status="False"})) or vector(0)`, ""}}},
		{kind: number, title: "Unknown", width: 4, about: "Objects nothing current is known of, or whose verdict hangs on backends without a result.",
			queries: []query{{`sum(` + object + `(slb_health_condition{` + inFleet + `, condition="Healthy", status="Unknown"})) or vector(0)`, ""}}},
		{kind: number, title: "Stalled", width: 4, about: "Objects that require manual action.",
			queries: []query{{`sum(` + object + `(slb_health_condition{` + inFleet + `, condition="Stalled", status="True"})) or vector(0)`, ""}}},
		{kind: number, title: "Abnormal backends", width: 4, about: "Backends whose health check fails, behind each listener.",
			queries: []query{{`sum(` + backends + `(slb_health_backends{` + inFleet + `, status="abnormal"})) or vector(0)`, ""}}},
		{kind: number, title: "Oldest answer", unit: "s", width: 4, about: "How long ago the load balancer answered that was not heard of for longest.",
			queries: []query{{`time() - min(` + object + `(slb_health_last_observation_timestamp_seconds{` + inFleet + `}))`, ""}}},
		{kind: series, title: "Backends", width: 12, stacked: true,
			queries: []query{{`sum by (status) (` + backends + `(slb_health_backends{` + inFleet + `}))`, "{{status}}"}}},
		{kind: series, title: "Backends that turned", width: 12, about: "Transitions in the range of a point.",
			queries: []query{{`sum by (to) (increase(slb_health_backend_transitions_total{` + inFleet + `}[$__rate_interval]))`, "to {{to}}"}}},
		{kind: tableOfNow, title: "Worst listeners", width: 24, about: "Share of the backends that are normal, the smallest first.",
			queries: []query{{`bottomk(20, sum by (` + listener + `) (` + backends + `(slb_health_backends{` + inFleet + `, status="normal"}))
/ sum by (` + listener + `) (` + backends + `(slb_health_backends{` + inFleet + `})))`, ""}}},
	}},
	{"One load balancer", []panel{
		{kind: series, title: "Backends by listener", width: 12, stacked: true,
			queries: []query{{`sum by (listener_port, listener_protocol, status) (` + backends + `(slb_health_backends{` + ofOne + `}))`, "{{listener_port}}/{{listener_protocol}} {{status}}"}}},
		{kind: series, title: "Conditions", width: 12, about: "1 while a condition has the status.",
			queries: []query{{`max by (condition, status) (slb_health_condition{` + ofOne + `, condition=~"Healthy|Observed|Stalled"}) == 1`, "{{condition}} {{status}}"}}},
		{kind: series, title: "Age of the last answer", unit: "s", width: 12,
			queries: []query{{`time() - ` + object + `(slb_health_last_observation_timestamp_seconds{` + ofOne + `})`, "{{namespace}}/{{name}} {{cluster}}"}}},
		{kind: series, title: "Backends that turned", width: 12,
			queries: []query{{`sum by (to) (increase(slb_health_backend_transitions_total{` + ofOne + `}[$__rate_interval]))`, "to {{to}}"}}},
	}},
	{"API budget", []panel{
		{kind: series, title: "Calls", unit: "reqps", width: 12, stacked: true, about: "Calls of the SLB API by how they ended.",
			queries: []query{{`sum by (region, code) (rate(slb_api_requests_total{` + operator + `}[$__rate_interval]))`, "{{region}} {{code}}"}}},
		{kind: series, title: "Calls allowed", unit: "reqps", width: 12, about: "Halved by each throttling, restored while it is calm.",
			queries: []query{{`max by (region, account) (slb_api_rate_limit{` + operator + `})`, "{{region}} {{account}}"}}},
		{kind: series, title: "Duration of calls", unit: "s", width: 12,
			queries: []query{
				{`histogram_quantile(0.5, sum by (le, region) (rate(slb_api_request_duration_seconds_bucket{` + operator + `}[$__rate_interval])))`, "{{region}} p50"},
				{`histogram_quantile(0.99, sum by (le, region) (rate(slb_api_request_duration_seconds_bucket{` + operator + `}[$__rate_interval])))`, "{{region}} p99"},
			}},
		{kind: series, title: "Observations start late by", unit: "s", width: 12,
			queries: []query{{`histogram_quantile(0.99, sum by (le) (rate(slb_health_observation_lag_seconds_bucket{` + operator + `}[$__rate_interval])))`, "p99"}}},
	}},
	{"Operator", []panel{
		{kind: series, title: "CPU", unit: "short", width: 8, about: "Cores.",
			queries: []query{{`rate(process_cpu_seconds_total{` + operator + `}[$__rate_interval])`, "{{instance}}"}}},
		{kind: series, title: "Memory", unit: "bytes", width: 8,
			queries: []query{{`process_resident_memory_bytes{` + operator + `}`, "{{instance}}"}}},
		{kind: series, title: "Requests to Kubernetes", unit: "reqps", width: 8,
			queries: []query{{`sum by (method, code) (rate(rest_client_requests_total{` + operator + `}[$__rate_interval]))`, "{{method}} {{code}}"}}},
	}},
}
