// Package statstest checks, in one line of a package's tests, that its Stats can be exported.
package statstest

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"

	"github.com/hotpath-go/hotpath/metrics"
)

// Check does with stats what users do, and fails t where they would be let down: two instances
// in one pedantic registry, a scrape, the linter of Prometheus, unregister and register again.
// For our own Stats every exported field must have a tag and every name begin with hotpath_.
//
// It returns what the scrape said, under names like
//
//	hotpath_cache_requests_total{outcome="hit"}
//
// without the label name; of a histogram its _count and _sum.
func Check[S any](t testing.TB, stats func() S) map[string]float64 {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	for _, instance := range []string{"one", "two"} {
		if err := reg.Register(metrics.Collector(instance, stats)); err != nil {
			t.Fatal(err)
		}
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "hotpath_") {
			t.Errorf("%s does not begin with hotpath_", f.GetName())
		}
	}
	untagged(t, reflect.TypeFor[S]())

	if !reg.Unregister(metrics.Collector("two", stats)) {
		t.Error("a second Collector of the same name does not unregister the first")
	}
	if err := reg.Register(metrics.Collector("two", stats)); err != nil {
		t.Errorf("registering again: %v", err)
	}
	all := Series(families)
	one := maps.Collect(func(yield func(string, float64) bool) {
		for series, v := range all {
			if rest, ok := without(series, "one"); ok && !yield(rest, v) {
				return
			}
		}
	})
	if 2*len(one) != len(all) {
		t.Errorf("%d of %d series are of one of the two instances, want half", len(one), len(all))
	}
	return one
}

// untagged fails t for exported fields without a tag: a counter that nobody sees.
func untagged(t testing.TB, s reflect.Type) {
	t.Helper()
	for i := range s.NumField() {
		f := s.Field(i)
		metric, tagged := f.Tag.Lookup("metric")
		_, label := f.Tag.Lookup("label")
		switch {
		case metric == "-":
			continue
		case f.IsExported() && !f.Anonymous && !tagged && !label:
			t.Errorf("%v.%s has no tag: if it is not meant to be exported, say metric:\"-\"", s, f.Name)
			continue
		}
		held := f.Type
		if held.Kind() == reflect.Map {
			held = held.Elem()
		}
		// A struct with a name is a value, such as time.Time.
		if name, _, _ := strings.Cut(metric, ","); name == "" && held.Kind() == reflect.Struct {
			untagged(t, held)
		}
	}
}

// Series lists what was gathered, by name and labels; of histograms _count and _sum.
func Series(families []*dto.MetricFamily) map[string]float64 {
	all := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			labels := labels(m)
			switch {
			case m.GetHistogram() != nil:
				all[f.GetName()+"_count"+labels] = float64(m.GetHistogram().GetSampleCount())
				all[f.GetName()+"_sum"+labels] = m.GetHistogram().GetSampleSum()
			case m.GetCounter() != nil:
				all[f.GetName()+labels] = m.GetCounter().GetValue()
			default:
				all[f.GetName()+labels] = m.GetGauge().GetValue()
			}
		}
	}
	return all
}

func labels(m *dto.Metric) string {
	var pairs []string
	for _, l := range m.GetLabel() {
		pairs = append(pairs, l.GetName()+`="`+l.GetValue()+`"`)
	}
	slices.Sort(pairs)
	return "{" + strings.Join(pairs, ",") + "}"
}

// without takes name="instance" out of a series, and reports whether it was there.
func without(series, instance string) (string, bool) {
	label := `name="` + instance + `"`
	for _, form := range [][2]string{{"{" + label + "}", ""}, {"{" + label + ",", "{"}, {"," + label + "}", "}"}, {"," + label + ",", ","}} {
		if before, after, found := strings.Cut(series, form[0]); found {
			return before + form[1] + after, true
		}
	}
	return series, false
}
