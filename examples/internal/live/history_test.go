package live

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

func TestBetween(t *testing.T) {
	h := func(counts ...uint64) *dto.Histogram {
		h, total := new(dto.Histogram), uint64(0)
		for i, n := range counts {
			total += n
			bound, sum := float64(i+1), total
			h.Bucket = append(h.Bucket, &dto.Bucket{UpperBound: &bound, CumulativeCount: &sum})
		}
		h.SampleCount = &total
		return h
	}
	last, now := h(10, 0, 0), h(10, 5, 5)
	if p50, p99 := between(last, now, 0.5), between(last, now, 0.99); p50 != 2 || p99 != 3 {
		t.Errorf("%v and %v, want 2 and 3: what was there before does not count", p50, p99)
	}
	if p := between(now, now, 0.5); p == p {
		t.Errorf("%v of nothing", p)
	}
	// After a reset all that is there came.
	if p := between(h(10, 0, 0), h(0, 20, 0), 0.5); p != 2 {
		t.Errorf("%v after a reset that the count does not show, want 2", p)
	}
	if p := between(h(10, 10, 0), h(0, 0, 4), 0.5); p != 3 {
		t.Errorf("%v after a reset, want 3", p)
	}
	if p := between(h(1), h(1, 2, 3), 0.99); p != 3 {
		t.Errorf("%v after other buckets, want 3", p)
	}
	other, bound := h(8, 0), 0.5
	other.Bucket[0].UpperBound = &bound
	if p := between(other, h(9, 9), 0.5); p != 1 {
		t.Errorf("%v after other bounds, want 1", p)
	}
	beyond, many := h(1, 0), uint64(10) // nine above all bounds
	beyond.SampleCount = &many
	if p := between(beyond, h(1, 4), 0.5); p != 2 {
		t.Errorf("%v after a reset that only the count shows, want 2", p)
	}
}

// add takes a sample of reg.
func add(t *testing.T, h *history, at int, reg *prometheus.Registry) (e event) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(h.add(time.Unix(int64(at), 0), families, nil), &e); err != nil {
		t.Fatal(err)
	}
	for _, r := range h.series {
		if len(r.values) != len(h.times) {
			t.Errorf("%s %v has %d values at %d times", r.Name, r.Labels, len(r.values), len(h.times))
		}
	}
	return e
}

// Series that come and go are forgotten when nothing of them is on the page, which is told; one that is there
// and has no value is not one of them.
func TestHistory_ForgetsWhatIsGone(t *testing.T) {
	stays := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "stays", Help: "Its quantiles have no value."})
	h, told, forgotten := newHistory(), 0, map[int]bool{}
	for i := range 1000 {
		reg := prometheus.NewRegistry()
		reg.MustRegister(stays, prometheus.NewGauge(prometheus.GaugeOpts{Name: fmt.Sprint("t", i), Help: "."}))
		e := add(t, h, i, reg)
		told += len(e.Series)
		for _, id := range e.Gone {
			if forgotten[id] || id < 4 { // it has the first four
				t.Errorf("%d is forgotten", id)
			}
			forgotten[id] = true
		}
	}
	if len(h.series) != 4+kept || told != 4+1000 || len(forgotten) != 1000-kept {
		t.Errorf("%d series kept, %d told, %d forgotten; want %d, 1004, %d", len(h.series), told, len(forgotten), 4+kept, 1000-kept)
	}
}

// A series has one value at each time, whatever others are called.
func TestHistory_NamesThatMeet(t *testing.T) {
	hist := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "x", Help: "x"})
	gauge := prometheus.NewGauge(prometheus.GaugeOpts{Name: "x_p99", Help: "y"})
	two := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "two", Help: "z"}, []string{"a", "b"})
	two.WithLabelValues("1", "\x00b\x002").Set(1)
	two.WithLabelValues("1\x00b\x00", "2").Set(2)
	reg := prometheus.NewRegistry()
	reg.MustRegister(hist, gauge, two)
	h := newHistory()
	for i := range 5 {
		hist.Observe(1)
		gauge.Set(42)
		if e := add(t, h, i, reg); i == 0 && len(e.Series) != 7 {
			t.Errorf("%d series, want 7: %+v", len(e.Series), e.Series)
		}
	}
	for _, r := range h.series {
		if last := r.values[4]; r.Name == "x_p99" && (last == nil || *last != 42 && *last != 1) {
			t.Errorf("%s is %v, want 42 of the gauge or 1 of the histogram", r.Name, last)
		}
	}
	// A gatherer that says one thing twice: the last counts.
	name, one, other := "dup", 1.0, 2.0
	twice := []*dto.MetricFamily{{Name: &name, Metric: []*dto.Metric{{Gauge: &dto.Gauge{Value: &one}}, {Gauge: &dto.Gauge{Value: &other}}}}}
	h = newHistory()
	for i := range 3 {
		h.add(time.Unix(int64(i), 0), twice, nil)
	}
	for _, r := range h.series {
		if len(r.values) != 3 || *r.values[2] != 2 {
			t.Errorf("%d values", len(r.values))
		}
	}
}

// Summaries, as client_golang has for garbage collections, and values without a type are shown too.
func TestHistory_SummariesAndUntyped(t *testing.T) {
	s := prometheus.NewSummary(prometheus.SummaryOpts{Name: "s_seconds", Help: ".", Objectives: map[float64]float64{0.5: 0.05}})
	s.Observe(3)
	reg := prometheus.NewRegistry()
	reg.MustRegister(s, prometheus.NewUntypedFunc(prometheus.UntypedOpts{Name: "u", Help: "."}, func() float64 { return 7 }))
	h := newHistory()
	add(t, h, 0, reg)
	got := map[string]float64{}
	for _, r := range h.series {
		got[fmt.Sprint(r.Name, r.Labels, r.Type)] = *r.values[0]
	}
	want := map[string]float64{"s_seconds_countmap[]c": 1, "s_seconds_summap[]c": 3, "s_secondsmap[quantile:0.5]g": 3, "umap[]g": 7}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", got, want)
	}
}
