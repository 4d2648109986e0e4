// Package metrics exports the Stats of any hotpath package, or of your own types, to
// Prometheus.
//
//	reg := prometheus.NewRegistry()
//	reg.MustRegister(metrics.Collector("catalog", catalog.Stats)) // a cache, say
//	admin := http.NewServeMux()
//	admin.Handle("/metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
//
// The golden signals of a service, by route, come from [New]: rate, errors and durations in one
// histogram, and the requests in flight.
//
//	h, err := metrics.New(metrics.Config{})
//	reg.MustRegister(metrics.Collector("api", h.Stats))
//	http.ListenAndServe(addr, h.Handler(mux))
//
// The other packages know nothing of Prometheus: they count with an atomic add, and who does
// not import this package links nothing of client_golang. What their counters are called stands
// in the struct tags of their Stats, which [Collector] reads once.
//
// # Tags
//
// A Stats of your own is exported in the same way:
//
//	type Stats struct {
//		Sent    uint64            `metric:"shop_mails_total,result=sent" help:"Mails, by how they ended."`
//		Failed  uint64            `metric:"shop_mails_total,result=failed"` // help once per name is enough
//		Waiting int               `metric:"shop_mails_waiting" help:"Mails to be sent."`
//		Took    metrics.Histogram `metric:"shop_mail_seconds" help:"Time to send a mail."`
//		Refused map[string]uint64 `metric:"shop_mails_refused_total" label:"reason" help:"Mails refused, by reason."`
//		Text    PartStats         `metric:",part=text"` // a struct: its fields, with this label added
//		Hosts   map[string]Host   `label:"host"`        // a map of structs: likewise, by key
//	}
//
// A name that ends in _total is a counter; every other number is a gauge; a [Histogram] is a
// histogram. Values are integers, floats, bool (0 or 1), [time.Duration] (exported in seconds,
// the name says so), [time.Time] (Unix seconds; no series while it is zero), maps from strings
// to them, and structs and maps of structs of them. A field without a tag, or with "-", is not
// exported; an embedded struct without a tag counts as if its fields stood there; pointers are
// not followed, and one that is embedded for its tagged fields is a mistake.
//
// # Guarantees
//
// Mistakes are found at registration, all at once: a name that Prometheus or its linter would
// not have, a type or unit that the name contradicts, a missing help, two fields that make the
// same series, or one family of OpenMetrics (x and x_total), a tag that package reflect does not hear.
//
// A scrape calls the Stats function once and holds no lock; if that panics the scrape fails, and not
// the process. Counters never go down. The count
// of a histogram is what its buckets add up to; its sum may be a few observations apart.
//
// No scrape fails for what is in a map. Keys are made valid UTF-8 and cut at 128 bytes; numbers
// and histograms whose keys become one label value are added up, of times the latest counts.
//
// Buckets end at powers of two, from 7.6 us to 16 s for names that end in _seconds, from 1 to
// 65536 for others, and never change, so that rates and sums over instances stay right.
//
// A request counts once, with the route that the handler set, however it ends: panics, aborts and
// Goexit are "aborted" and go on as they were, a hijacked connection is "1xx", an event stream that did
// not fail is "stream" with the time to its first byte or flush. Nothing of a request becomes a label: URLs, methods and hosts
// that clients choose make no series.
//
// # Limits
//
// A Stats function returns values that nobody writes to: maps are copies. A type of your own that
// is a time.Duration underneath counts as the integer that it is.
//
// Every key of a map is a series, for as long as it is in the map: keys MUST come from your
// code or its configuration, never from a request. The labels name, le, quantile, job and
// instance are taken.
//
// # Composition
//
//   - [HTTP.Handler] stands around the whole handler of a framework and outside of every other layer; it
//     changes nothing that the others do. Around a batch it counts one request, inside of it each part.
//   - What http.ServeMux redirects, to a clean path or to one with a slash, counts at the pattern it leads
//     to; as "other" where Go leaves the path of the client in its place (before Go 1.26, and for CONNECT).
//   - http.StripPrefix and whatever else copies the request hides the inner route: then the outer one
//     counts. Set [Config.Route], or stand directly around the mux.
//   - /metrics belongs on an admin listener, not beside what clients may ask for.
//   - The runtime: reg.MustRegister(collectors.NewGoCollector(
//     collectors.WithGoCollectorRuntimeMetrics(collectors.MetricsScheduler))), in a newer client_golang
//     than the oldest that hotpath takes: go get github.com/prometheus/client_golang@latest.
//   - A database: collectors.NewDBStatsCollector(db, "shop"); for pgx see examples/frameworks.
//   - OpenTelemetry: the bridge go.opentelemetry.io/contrib/bridges/prometheus reads the same registry.
//   - No Prometheus at all: expvar.Publish("catalog", expvar.Func(func() any { return catalog.Stats() })).
package metrics
