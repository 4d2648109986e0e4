package metrics

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hotpath-go/hotpath/internal/stat"
)

// Histogram is how often which durations or sizes were seen: the type of a field of a Stats.
// It is a plain value; [Durations] and [Sizes] make it. Its methods: Count, Sum and Mean (seconds
// of durations), Quantile, Buckets, and Sub of an earlier reading.
type Histogram = stat.Histogram

// Durations records how long things took, from 1 microsecond to 64 seconds, four buckets to a
// doubling. The zero value is ready, Observe allocates nothing, and Read returns a [Histogram]
// in seconds. The name of its metric ends in _seconds.
type Durations = stat.Durations

// Sizes records how large things were, from 1 to 2^26, in bytes or any other unit. The zero
// value is ready, Observe allocates nothing, and Read returns a [Histogram].
type Sizes = stat.Sizes

// Collector exports what stats returns under the label name="name", for instance
//
//	reg.MustRegister(metrics.Collector("catalog", catalog.Stats))
//
// What stats returns must not be written to any more: a map that goes on counting needs a
// copy (maps.Clone), or a scrape that meets a write ends the process.
//
// It reads the struct tags of S once, here, and calls stats once per scrape; scrapes at the
// same time call it at the same time. Two instances of one type need two names. A mistake in
// the tags is reported by Register (MustRegister panics with it), all mistakes at once, one
// line each:
//
//	metrics: Collector("catalog"): cache.Stats.Hits: "hotpath_cache_hits_total" has a histogram value: counters end in _total, histograms do not
//
// A stats function that panics fails the scrape, which says so, and not the process.
//
// To remove it: reg.Unregister(metrics.Collector(name, stats)), no need to keep the value.
func Collector[S any](name string, stats func() S) prometheus.Collector {
	var read func() reflect.Value
	if stats != nil {
		read = func() reflect.Value {
			s := new(S) // on the heap, so that its fields can be read in place
			*s = stats()
			return reflect.ValueOf(s).Elem()
		}
	}
	return newCollector(name, reflect.TypeFor[S](), read)
}

type collector struct {
	name string
	read func() reflect.Value // calls stats
	plan *plan
	err  error // what is wrong with the tags; a registry learns it from Describe
}

func newCollector(name string, t reflect.Type, read func() reflect.Value) *collector {
	var mistakes []error
	if name == "" {
		mistakes = append(mistakes, errors.New("the name is empty: to Prometheus that is no label at all"))
	}
	if read == nil {
		mistakes = append(mistakes, errors.New("stats is nil: must be a function"))
	}
	plan, more := newPlan(t, clean(name))
	mistakes = append(mistakes, more...)
	for i, err := range mistakes {
		mistakes[i] = fmt.Errorf("metrics: Collector(%q): %w", name, err)
	}
	return &collector{name, read, plan, errors.Join(mistakes...)}
}

func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	if c.err != nil {
		ch <- prometheus.NewInvalidDesc(c.err)
		return
	}
	for _, m := range c.plan.metrics {
		ch <- m.desc
	}
}

func (c *collector) Collect(ch chan<- prometheus.Metric) {
	if c.err != nil { // no registry would have it, but a scrape without one must not look right
		ch <- prometheus.NewInvalidMetric(prometheus.NewInvalidDesc(c.err), c.err)
		return
	}
	samples, err := c.samples()
	if err != nil {
		ch <- prometheus.NewInvalidMetric(c.plan.metrics[0].desc, err)
		return
	}
	for i := range samples {
		ch <- &samples[i]
	}
}

// samples reads all of them before the first is handed out. It is called on a goroutine of the
// registry, where nobody else recovers.
func (c *collector) samples() (samples []sample, err error) {
	defer func() {
		if p := recover(); p != nil {
			samples, err = nil, fmt.Errorf("metrics: Collector(%q): stats panicked: %v", c.name, p)
		}
	}()
	return c.plan.read(c.read()), nil
}
