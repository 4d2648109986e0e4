//go:build !race

package metrics_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hotpath-go/hotpath/metrics"
)

const keys = 1000

// The price of a scrape, beside the same series in a CounterVec: it allocates two things for
// each, besides what the registry does; ours are one for each, and a few for the whole.
func TestAllocs_Scrape(t *testing.T) {
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "app_refused_total", Help: "."}, []string{"reason"})
	s := mails{Reasons: map[string]uint64{}}
	for i := range keys {
		vec.WithLabelValues(fmt.Sprint(i)).Inc()
		s.Reasons[fmt.Sprint(i)] = 1
	}
	theirs := prometheus.NewRegistry()
	theirs.MustRegister(vec)
	ours := prometheus.NewRegistry()
	ours.MustRegister(metrics.Collector("x", always(s)))
	count := func(reg *prometheus.Registry) float64 {
		return testing.AllocsPerRun(20, func() {
			if _, err := reg.Gather(); err != nil {
				t.Fatal(err)
			}
		})
	}
	if a, b := count(ours), count(theirs); a > b {
		t.Errorf("%v allocations, a CounterVec %v", a, b)
	}
}

// Collecting alone: the Stats itself, the list that is read, the samples, for each map its
// iterator, a key, a value and a list of one, and for each histogram its buckets.
func TestAllocs_Collect(t *testing.T) {
	s := mails{Reasons: map[string]uint64{}}
	for i := range keys {
		s.Reasons[fmt.Sprint(i)] = 1
	}
	var d metrics.Durations
	d.Observe(time.Second)
	s.Took = d.Read()
	c := metrics.Collector("x", always(s))
	ch := make(chan prometheus.Metric, 2*keys)
	got := testing.AllocsPerRun(20, func() {
		c.Collect(ch)
		for len(ch) > 0 {
			<-ch
		}
	})
	if got > 9 {
		t.Errorf("%v allocations for %d series, want at most 9", got, keys)
	}
}

// A measured request costs its writer.
func TestAllocs_Handler(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })
	h := newHTTP(t, metrics.Config{})
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
	bare := testing.AllocsPerRun(100, func() { mux.ServeHTTP(w, r) })
	measured := h.Handler(mux)
	if got := testing.AllocsPerRun(100, func() { measured.ServeHTTP(w, r) }); got != bare+1 {
		t.Errorf("%v allocations, %v without", got, bare)
	}
}
