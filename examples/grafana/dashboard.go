package main

import (
	"encoding/json"
	"fmt"
	"strings"
)

// A panel is one picture: a title, what it means, the unit of its axis, and what it asks.
type panel struct {
	title, about, unit string
	kind               string // "": timeseries; stat
	queries            []query
}

type query struct{ expr, legend string }

// A row holds the panels of a package. Rows of packages that are not there are collapsed.
type row struct {
	title     string
	collapsed bool
	panels    []panel
}

// of is what every query selects besides its own labels.
const of = `job=~"$job", instance=~"$instance"`

// rate is the increase of a counter per second, summed by labels.
func rate(metric, by string, labels ...string) string {
	return fmt.Sprintf("sum by (%s) (rate(%s{%s}[$__rate_interval]))", by, metric, strings.Join(append(labels, of), ", "))
}

// value is a gauge, summed by labels.
func value(metric, by string, labels ...string) string {
	return fmt.Sprintf("sum by (%s) (%s{%s})", by, metric, strings.Join(append(labels, of), ", "))
}

// share is a / b, nothing at all while there is no b: a ratio of zeros would be no number.
func share(a, b string) string { return fmt.Sprintf("%s / (%s > 0)", a, b) }

// quantile is that of a histogram, in both forms in which Prometheus may have stored it: with native
// histograms the buckets have no series of their own. Without observations there is none, not NaN.
func quantile(q float64, metric, by string, labels ...string) string {
	classic := fmt.Sprintf("histogram_quantile(%v, %s)", q, rate(metric+"_bucket", "le, "+by, labels...))
	native := fmt.Sprintf("histogram_quantile(%v, %s)", q, rate(metric, by, labels...))
	return fmt.Sprintf("(%s or %s) >= 0", classic, native)
}

// mean is that of a histogram, in both forms.
func mean(metric, by string) string {
	selected := fmt.Sprintf("rate(%s{%s}[$__rate_interval])", metric, of)
	classic := share(rate(metric+"_sum", by), rate(metric+"_count", by))
	native := fmt.Sprintf("sum by (%s) (histogram_sum(%s)) / (sum by (%s) (histogram_count(%s)) > 0)", by, selected, by, selected)
	return fmt.Sprintf("(%s or %s)", classic, native)
}

func quantiles(metric, by, legend string, labels ...string) (all []query) {
	for _, q := range []float64{0.5, 0.95, 0.99} {
		all = append(all, query{quantile(q, metric, by, labels...), fmt.Sprintf("%s p%v", legend, q*100)})
	}
	return all
}

// requests is the count of a histogram of requests, which a native one has inside.
func requests(by string, labels ...string) string {
	const d = "hotpath_http_request_duration_seconds"
	native := fmt.Sprintf("sum by (%s) (histogram_count(rate(%s{%s}[$__rate_interval])))", by, d, strings.Join(append(labels, of), ", "))
	return fmt.Sprintf("(%s or %s)", rate(d+"_count", by, labels...), native)
}

func one(expr, legend string) []query { return []query{{expr, legend}} }

func rows() []row {
	const (
		duration = "hotpath_http_request_duration_seconds"
		fast     = `code=~"[2-5]xx"` // streams and hijacked connections live for minutes and are not slow
		bad      = `code=~"5xx|aborted"`
		cached   = "hotpath_cache_requests_total"
		answers  = "hotpath_httpcache_requests_total"
	)
	return []row{
		{"Golden signals", false, []panel{
			{"Requests", "Requests per second, by route.", "reqps", "", one(requests("route"), "{{route}}")},
			{"Errors", "Share of 5xx, panics and aborts, by route.", "percentunit", "", one(share(requests("route", bad), requests("route")), "{{route}}")},
			{"Latency", "Time in the handler, slow clients included; without streams and hijacked connections.", "s", "", quantiles(duration, "job", "all", fast)},
			{"Latency by route, p99", "The slowest hundredth of each route.", "s", "", one(quantile(0.99, duration, "route", fast), "{{route}}")},
			{"In flight", "Requests being served.", "short", "", one(value("hotpath_http_requests_in_flight", "instance"), "{{instance}}")},
		}},
		{"Cache", true, []panel{
			{"Lookups", "Lookups per second, by how they were answered.", "ops", "", one(rate(cached, "name, outcome"), "{{name}} {{outcome}}")},
			{"Hit ratio", "Share of lookups answered without a load.", "percentunit", "", one(share(rate(cached, "name", `outcome=~"hit|stale|not_found"`), rate(cached, "name")), "{{name}}")},
			{"Time of a load", "What a miss costs.", "s", "", quantiles("hotpath_cache_load_seconds", "name", "{{name}}")},
			{"Memory", "Bytes charged to entries.", "bytes", "", one(value("hotpath_cache_bytes", "name"), "{{name}}")},
		}},
		{"HTTP cache", true, []panel{
			{"Answers", "Requests per second, by how they were answered.", "reqps", "", one(rate(answers, "name, outcome"), "{{name}} {{outcome}}")},
			{"Answered from memory", "Share of requests that did not reach the handler.", "percentunit", "", one(share(rate(answers, "name", `outcome=~"hit|stale|coalesced"`), rate(answers, "name")), "{{name}}")},
			{"Not stored", "Why responses were not stored.", "ops", "", one(rate("hotpath_httpcache_not_stored_total", "name, reason")+" > 0", "{{name}} {{reason}}")},
		}},
		{"Compression", true, []panel{
			{"Ratio", "Coded bytes as a share of plain ones, kept forms included.", "percentunit", "", one(share(rate("hotpath_compress_out_bytes_total", "name"), rate("hotpath_compress_in_bytes_total", "name")), "{{name}}")},
			{"Bytes saved", "Bytes per second that did not have to be sent.", "Bps", "", one(rate("hotpath_compress_in_bytes_total", "name")+" - "+rate("hotpath_compress_out_bytes_total", "name"), "{{name}}")},
			{"CPU in encoders", "Cores busy with encoding.", "percentunit", "", one(rate("hotpath_compress_encode_seconds_total", "name"), "{{name}}")},
			{"Skipped", "Why responses were sent as they are.", "ops", "", one(rate("hotpath_compress_skipped_total", "name, reason")+" > 0", "{{name}} {{reason}}")},
		}},
		{"Throttle", true, []panel{
			{"Decisions", "Requests per second, by outcome.", "reqps", "", one(rate("hotpath_throttle_requests_total", "name, outcome"), "{{name}} {{outcome}}")},
			{"Refused by policy", "Refusals per second; every violated policy counts.", "reqps", "", one(rate("hotpath_throttle_denied_total", "name, policy"), "{{name}} {{policy}}")},
		}},
		{"Batch", true, []panel{
			{"Parts per batch", "Requests in an envelope, on average.", "short", "", one(mean("hotpath_batch_parts_per_request", "name"), "{{name}}")},
			{"Keys per fetch", "Keys that a Loader asks for at once, on average: one means that nothing comes together.", "short", "", one(mean("hotpath_batch_loader_keys_per_fetch", "name"), "{{name}}")},
		}},
		{"Pool and bulkhead", true, []panel{
			{"Tasks", "Tasks per second, by how they ended.", "ops", "", one(rate("hotpath_pool_tasks_total", "name, outcome"), "{{name}} {{outcome}}")},
			{"Queue", "Tasks that wait, and how many may.", "short", "", []query{{value("hotpath_pool_waiting", "name"), "{{name}} waiting"}, {value("hotpath_pool_queue_capacity", "name"), "{{name}} room"}}},
			{"Slots", "Requests in the bulkhead, and its limit.", "short", "", []query{{value("hotpath_bulkhead_in_flight", "name"), "{{name}} in use"}, {value("hotpath_bulkhead_limit", "name"), "{{name}} limit"}}},
			{"Refused", "Tasks and requests refused per second.", "reqps", "", []query{{rate("hotpath_pool_refused_total", "name, reason"), "pool {{name}} {{reason}}"}, {rate("hotpath_bulkhead_refused_total", "name, reason"), "bulkhead {{name}} {{reason}}"}}},
		}},
		{"Database", true, []panel{
			{"Connections", "Open connections, and those in use.", "short", "", []query{{value("go_sql_open_connections", "db_name"), "{{db_name}} open"}, {value("go_sql_in_use_connections", "db_name"), "{{db_name}} in use"}}},
			{"Waiting for a connection", "Seconds waited per second.", "s", "", one(rate("go_sql_wait_duration_seconds_total", "db_name"), "{{db_name}}")},
		}},
		{"Runtime", true, []panel{
			{"Scheduler latency, p99", "How long runnable goroutines wait for a core: the first sign of too little CPU.", "s", "", one(quantile(0.99, "go_sched_latencies_seconds", "instance"), "{{instance}}")},
		}},
		{"Ledger: what was avoided since the start", false, []panel{
			{"Time not waited", "Seconds that loads and handlers would have taken had there been no caches.", "s", "stat", one("sum(hotpath:saved_seconds:total{"+of+"})", "saved")},
		}},
	}
}

// dashboard renders the rows as Grafana reads them.
func dashboard() ([]byte, error) {
	source := map[string]any{"type": "prometheus", "uid": "${datasource}"}
	id, y := 0, 0
	var all []any
	draw := func(p panel, x, y int) map[string]any {
		id++
		kind := p.kind
		if kind == "" {
			kind = "timeseries"
		}
		var targets []any
		for i, q := range p.queries {
			targets = append(targets, map[string]any{"refId": string(rune('A' + i)), "datasource": source, "expr": q.expr, "legendFormat": q.legend})
		}
		return map[string]any{
			"id": id, "type": kind, "title": p.title, "description": p.about, "datasource": source, "targets": targets,
			"gridPos":     map[string]any{"h": 7, "w": 8, "x": x, "y": y},
			"fieldConfig": map[string]any{"defaults": map[string]any{"unit": p.unit, "min": 0}, "overrides": []any{}},
			"options":     map[string]any{},
		}
	}
	for _, r := range rows() {
		id++
		head := map[string]any{"id": id, "type": "row", "title": r.title, "collapsed": r.collapsed, "gridPos": map[string]any{"h": 1, "w": 24, "x": 0, "y": y}}
		y++
		var panels []any
		for i, p := range r.panels {
			panels = append(panels, draw(p, i%3*8, y+i/3*7))
		}
		y += (len(r.panels) + 2) / 3 * 7
		all = append(all, head)
		if head["panels"] = []any{}; r.collapsed {
			head["panels"] = panels
		} else {
			all = append(all, panels...)
		}
	}
	choice := func(name, expr string) map[string]any {
		return map[string]any{
			"name": name, "label": name, "type": "query", "datasource": source, "query": expr, "definition": expr,
			"refresh": 2, "includeAll": true, "multi": true, "allValue": ".*", "current": map[string]any{"text": "All", "value": "$__all"},
		}
	}
	return json.MarshalIndent(map[string]any{
		"title": "hotpath", "uid": "hotpath", "schemaVersion": 38, "version": 1, "editable": false, "tags": []string{"hotpath"},
		"time": map[string]any{"from": "now-1h", "to": "now"}, "refresh": "30s", "timezone": "",
		"templating": map[string]any{"list": []any{
			map[string]any{"name": "datasource", "label": "datasource", "type": "datasource", "query": "prometheus"},
			choice("job", "label_values(hotpath_http_requests_in_flight, job)"),
			choice("instance", `label_values(hotpath_http_requests_in_flight{job=~"$job"}, instance)`),
		}},
		"annotations": map[string]any{"list": []any{}},
		"panels":      all,
	}, "", "\t")
}
