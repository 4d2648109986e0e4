package bench

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"reflect"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/hotpath-go/hotpath/internal/stat"
	"github.com/hotpath-go/hotpath/metrics"
)

// both has the work done b.N times by one goroutine, then by one on each core. The loop is in
// do: a call of a function for each of a few nanoseconds would be a third of what is measured.
func both(b *testing.B, do func(times int)) {
	b.Run("serial", func(b *testing.B) {
		b.ReportAllocs()
		do(b.N)
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		var wg sync.WaitGroup
		cores := runtime.GOMAXPROCS(0)
		for range cores {
			wg.Go(func() { do(b.N/cores + 1) })
		}
		wg.Wait()
	})
}

// BenchmarkCount adds one to a counter.
func BenchmarkCount(b *testing.B) {
	b.Run("hotpath", func(b *testing.B) {
		var s stat.Striped[struct{ n atomic.Uint64 }]
		both(b, func(times int) {
			for range times {
				s.Here().n.Add(1)
			}
		})
	})
	b.Run("one atomic", func(b *testing.B) {
		var n atomic.Uint64
		both(b, func(times int) {
			for range times {
				n.Add(1)
			}
		})
	})
}

// BenchmarkObserve records durations between 1 us and 1 s, each doubling as often as any other.
func BenchmarkObserve(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	var took [4096]time.Duration
	for i := range took {
		took[i] = time.Duration(1000 * math.Exp2(rng.Float64()*20))
	}
	b.Run("hotpath", func(b *testing.B) {
		var d metrics.Durations
		both(b, func(times int) {
			for i := range times {
				d.Observe(took[i%len(took)])
			}
		})
	})
	for name, opts := range map[string]prometheus.HistogramOpts{
		"classic": {Name: "took_seconds", Help: "."}, // with its eleven default buckets
		"native":  {Name: "took_seconds", Help: ".", NativeHistogramBucketFactor: 1.19},
	} {
		b.Run("client_golang "+name, func(b *testing.B) {
			h := prometheus.NewHistogram(opts)
			both(b, func(times int) {
				for i := range times {
					h.Observe(took[i%len(took)].Seconds())
				}
			})
		})
	}
}

const series = 1000

// BenchmarkScrape serves /metrics with 1,000 series of one counter.
func BenchmarkScrape(b *testing.B) {
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "app_refused_total", Help: "Refused.", ConstLabels: prometheus.Labels{"name": "x"},
	}, []string{"reason"})
	type stats struct {
		Refused map[string]uint64 `metric:"app_refused_total" label:"reason" help:"Refused."`
	}
	counters := map[string]*atomic.Uint64{}
	for i := range series {
		reason := fmt.Sprintf("reason-%03d", i)
		counters[reason] = new(atomic.Uint64)
		counters[reason].Store(uint64(i))
		vec.WithLabelValues(reason).Add(float64(i))
	}
	collector := metrics.Collector("x", func() stats {
		s := stats{make(map[string]uint64, len(counters))}
		for reason, n := range counters {
			s.Refused[reason] = n.Load()
		}
		return s
	})
	scrape(b, "keys of a map", collector, vec)

	// As fields, ten to a Stats, which is how most series of hotpath are made.
	type fields struct {
		A uint64 `metric:"app_refused_total,reason=a" help:"Refused."`
		B uint64 `metric:"app_refused_total,reason=b"`
		C uint64 `metric:"app_refused_total,reason=c"`
		D uint64 `metric:"app_refused_total,reason=d"`
		E uint64 `metric:"app_refused_total,reason=e"`
		F uint64 `metric:"app_refused_total,reason=f"`
		G uint64 `metric:"app_refused_total,reason=g"`
		H uint64 `metric:"app_refused_total,reason=h"`
		I uint64 `metric:"app_refused_total,reason=i"`
		J uint64 `metric:"app_refused_total,reason=j"`
	}
	var ours, theirs []prometheus.Collector
	for i := range series / reflect.TypeFor[fields]().NumField() {
		name := fmt.Sprintf("instance-%02d", i)
		ours = append(ours, metrics.Collector(name, func() fields { return fields{A: uint64(i)} }))
		vec := prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "app_refused_total", Help: "Refused.", ConstLabels: prometheus.Labels{"name": name},
		}, []string{"reason"})
		for reason := 'a'; reason <= 'j'; reason++ {
			vec.WithLabelValues(string(reason))
		}
		vec.WithLabelValues("a").Add(float64(i))
		theirs = append(theirs, vec)
	}
	scrape(b, "fields", group(ours), group(theirs))
}

// group is many Collectors as one.
type group []prometheus.Collector

func (g group) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range g {
		c.Describe(ch)
	}
}

func (g group) Collect(ch chan<- prometheus.Metric) {
	for _, c := range g {
		c.Collect(ch)
	}
}

func scrape(b *testing.B, name string, ours, theirs prometheus.Collector) {
	handler := func(c prometheus.Collector) (h http.Handler, text []byte) {
		reg := prometheus.NewRegistry()
		reg.MustRegister(c)
		h = promhttp.HandlerFor(reg, promhttp.HandlerOpts{DisableCompression: true})
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		return h, w.Body.Bytes()
	}
	a, textA := handler(ours)
	c, textC := handler(theirs)
	if !bytes.Equal(textA, textC) || bytes.Count(textA, []byte("\n")) != series+2 {
		b.Fatalf("the two do not say the same:\n%.300s\n%.300s", textA, textC)
	}
	for _, of := range []struct {
		name    string
		handler http.Handler
	}{{"hotpath", a}, {"CounterVec", c}} {
		b.Run(name+"/"+of.name, func(b *testing.B) {
			w, r := &discard{http.Header{}}, httptest.NewRequest("GET", "/metrics", nil)
			b.ReportAllocs()
			for b.Loop() {
				of.handler.ServeHTTP(w, r)
			}
		})
	}
}

// BenchmarkMeasured is what golden signals add to a request: a mux with one route, whose handler says 204.
func BenchmarkMeasured(b *testing.B) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	h, err := metrics.New(metrics.Config{})
	if err != nil {
		b.Fatal(err)
	}
	labels := []string{"code", "method"}
	inFlight := prometheus.NewGauge(prometheus.GaugeOpts{Name: "in_flight"})
	count := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "requests_total"}, labels)
	took := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "took_seconds"}, labels)
	size := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "size_bytes"}, labels)
	theirs := promhttp.InstrumentHandlerInFlight(inFlight, promhttp.InstrumentHandlerDuration(took,
		promhttp.InstrumentHandlerCounter(count, promhttp.InstrumentHandlerResponseSize(size, mux))))
	var sum time.Duration
	for _, tc := range []struct {
		name string
		h    http.Handler
	}{{"bare", mux}, {"hotpath", h.Handler(mux)}, {"promhttp", theirs}, {"clock", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		mux.ServeHTTP(w, r)
		sum += time.Since(began)
	})}} {
		b.Run(tc.name, func(b *testing.B) {
			w, r := &nowhere{http.Header{}}, httptest.NewRequest("GET", "/", nil)
			b.ReportAllocs()
			for b.Loop() {
				tc.h.ServeHTTP(w, r)
			}
		})
	}
}
