package metrics

import (
	"math"
	"reflect"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// A sample is one series in one scrape.
type sample struct {
	metric *metric
	labels []*dto.LabelPair // sorted, shared by all scrapes
	number float64
	folded *folded // of a histogram
}

// read appends the sample of one field; of several values that count as one it is the sum, of
// moments the latest.
func (l *leaf) read(vs []reflect.Value, labels []*dto.LabelPair, out []sample) []sample {
	s := sample{metric: l.metric, labels: labels}
	var latest time.Time
	for _, v := range vs {
		v = at(v, l.index)
		switch l.value {
		case signed:
			s.number += float64(v.Int())
		case unsigned:
			s.number += float64(v.Uint())
		case float:
			s.number += v.Float()
		case duration:
			s.number += time.Duration(v.Int()).Seconds()
		case boolean:
			if v.Bool() {
				s.number = 1
			}
		case moment:
			if t := v.Addr().Interface().(*time.Time); t.After(latest) {
				latest = *t
			}
		case histogram:
			if s.folded == nil {
				s.folded = &folded{}
			}
			s.folded.add(v.Addr().Interface().(*Histogram), l.metric.bounds)
		}
	}
	if l.value == moment {
		if latest.IsZero() { // it has not happened yet
			return out
		}
		s.number = float64(latest.Unix()) + float64(latest.Nanosecond())/1e9
	}
	return append(out, s)
}

func (s *sample) Desc() *prometheus.Desc { return s.metric.desc }

func (s *sample) Write(m *dto.Metric) error {
	m.Label = s.labels
	switch {
	case s.folded != nil:
		m.Histogram = s.folded.write(s.metric.bounds)
	case s.metric.counts:
		c := &struct {
			counter dto.Counter
			number  float64
		}{number: s.number} // one allocation instead of two
		c.counter.Value = &c.number
		m.Counter = &c.counter
	default:
		g := &struct {
			gauge  dto.Gauge
			number float64
		}{number: s.number}
		g.gauge.Value = &g.number
		m.Gauge = &g.gauge
	}
	return nil
}

// The classic buckets end at powers of two. They are the same for every service, always:
// buckets that differ cannot be added up, and a rate over a change of them is wrong.
const (
	minSeconds, maxSeconds = -17, 4 // 2^-17 s = 7.6 us to 2^4 s = 16 s
	minUnits, maxUnits     = 0, 16  // 1 to 65536
	maxBounds              = maxSeconds - minSeconds + 1
)

// bounds returns the upper bounds of the buckets of a histogram, without +Inf. The name says
// what is in it, so that a histogram that has seen nothing yet has its buckets too.
func bounds(name string) (bounds []float64) {
	lowest, highest := minUnits, maxUnits
	if strings.HasSuffix(name, "_seconds") {
		lowest, highest = minSeconds, maxSeconds
	}
	for e := lowest; e <= highest; e++ {
		bounds = append(bounds, math.Ldexp(1, e))
	}
	return bounds
}

// A folded is a Histogram in classic buckets, the last one of them +Inf. Not cumulative.
type folded struct {
	counts [maxBounds + 1]uint64
	sum    float64
}

// add counts each bucket of h in the first that reaches as far: bounds are among those of h.
func (f *folded) add(h *Histogram, bounds []float64) {
	i := 0
	for bound, n := range h.Buckets() {
		for i < len(bounds) && bounds[i] < bound {
			i++
		}
		f.counts[i] += n
	}
	f.sum += h.Sum()
}

// write makes the count from the same buckets, so that it always is what +Inf must be.
func (f *folded) write(bounds []float64) *dto.Histogram {
	h := &struct {
		histogram dto.Histogram
		buckets   [maxBounds]dto.Bucket
		pointers  [maxBounds]*dto.Bucket
		counts    [maxBounds]uint64
		count     uint64
		sum       float64
	}{sum: f.sum} // one allocation instead of seventy
	for i := range bounds {
		h.count += f.counts[i]
		h.counts[i] = h.count
		h.buckets[i].CumulativeCount, h.buckets[i].UpperBound = &h.counts[i], &bounds[i]
		h.pointers[i] = &h.buckets[i]
	}
	h.count += f.counts[len(bounds)]
	h.histogram.Bucket = h.pointers[:len(bounds)]
	h.histogram.SampleCount, h.histogram.SampleSum = &h.count, &h.sum
	return &h.histogram
}
