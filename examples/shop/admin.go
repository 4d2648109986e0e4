package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/hotpath-go/hotpath/examples/internal/live"
	"github.com/hotpath-go/hotpath/metrics"
)

// collectors are what Prometheus may see of the layers that are on.
func (l *Layers) collectors() (all []prometheus.Collector) {
	if l.Pages != nil {
		all = append(all, metrics.Collector("pages", l.Pages.Stats))
	}
	if l.Answers != nil {
		all = append(all, metrics.Collector("answers", l.Answers.Stats))
	}
	if l.Small != nil {
		all = append(all, metrics.Collector("answers", l.Small.Stats))
	}
	if l.Fields != nil {
		all = append(all, metrics.Collector("fields", l.Fields.Stats))
	}
	if l.Products != nil {
		all = append(all, metrics.Collector("products", l.Products.Stats), metrics.Collector("envelopes", l.Many.Stats))
	}
	if l.Fair != nil {
		all = append(all, metrics.Collector("consumers", l.Fair.Stats))
	}
	if l.Later != nil {
		all = append(all, metrics.Collector("side work", l.Later.Stats))
	}
	if l.Database != nil {
		all = append(all, metrics.Collector("database", l.Database.Stats))
	}
	return all
}

// An admin is a second listener, for those who run the shop: / is the live page, /metrics is for
// Prometheus, /debug/pprof/ for go tool pprof.
type admin struct {
	signals *metrics.HTTP
	server  *http.Server
	done    chan error
}

// wrap measures what is served.
func (a *admin) wrap(next Wrap) Wrap {
	return func(name string, h http.Handler) http.Handler {
		if next != nil {
			h = next(name, h)
		}
		return a.signals.Handler(h)
	}
}

// listen serves what the layers of v count, and its database pool, at addr.
func (a *admin) listen(addr string, v *Variant) (url string, err error) {
	reg := prometheus.NewRegistry()
	reg.MustRegister(
		metrics.Collector("shop", a.signals.Stats),
		collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(collectors.MetricsScheduler)),
	)
	reg.MustRegister(v.Layers.collectors()...)
	reg.MustRegister(collectors.NewDBStatsCollector(v.Store.readers, "readers"), collectors.NewDBStatsCollector(v.Store.writer, "writer"))
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", live.Handler(reg))
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return "", fmt.Errorf("cannot listen on %s: %w", addr, reason(err))
	}
	a.server, a.done = &http.Server{
		Handler: mux, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
	}, make(chan error, 1)
	go func() { a.done <- a.server.Serve(listener) }()
	return "http://" + listener.Addr().String(), nil
}

func (a *admin) close() {
	if a.server != nil {
		_ = a.server.Close() // live pages stay open for as long as somebody looks
		<-a.done
	}
}
