package live

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
)

// A series is told to viewers once. Its number is never given to another.
type series struct {
	ID     int               `json:"i"`
	Name   string            `json:"n"`
	Labels map[string]string `json:"l,omitempty"`
	Type   string            `json:"t"` // c: counter, g: gauge
	Help   string            `json:"h,omitempty"`
}

// A history is what the last samples had.
type history struct {
	times  []int64            // Unix milliseconds
	series map[string]*record // by name and labels
	next   int                // number of a series
}

// A record is a series and its past.
type record struct {
	series
	values  []*float64     // as many as there are times; nil: it was not there
	absent  int            // samples since it was last gathered, that one included
	buckets *dto.Histogram // of the count of a histogram: what it had at the last sample
}

func newHistory() *history { return &history{series: map[string]*record{}} }

// Lists and maps are never nil: in the page they would be null.

// all is for a viewer who comes.
func (h *history) all() []byte {
	list, values := make([]series, 0, len(h.series)), make([][]*float64, 0, len(h.series))
	for _, r := range slices.SortedFunc(maps.Values(h.series), func(a, b *record) int { return cmp.Compare(a.ID, b.ID) }) {
		list, values = append(list, r.series), append(values, r.values)
	}
	return encode(map[string]any{"series": list, "times": h.times, "values": values})
}

// add takes a sample, and returns for those who look what differs from the last: new series, values (null:
// gone), series that are forgotten, and why something is missing.
func (h *history) add(t time.Time, families []*dto.MetricFamily, err error) []byte {
	s := sample{history: h, fresh: []series{}, changed: map[int]*float64{}, gone: []int{}}
	if len(h.times) == kept {
		h.times = h.times[1:]
		for _, r := range h.series {
			r.values = r.values[1:]
		}
	}
	h.times = append(h.times, t.UnixMilli())
	for _, f := range families {
		for _, m := range f.Metric {
			s.metric(f, m)
		}
	}
	for key, r := range h.series {
		if r.absent >= kept { // no value of it is on the page
			delete(h.series, key)
			s.gone = append(s.gone, r.ID)
			continue
		}
		r.absent++
		if last := len(r.values) - 1; len(r.values) < len(h.times) { // it has none now
			if last >= 0 && r.values[last] != nil {
				s.changed[r.ID] = nil
			}
			r.values = append(r.values, nil)
		}
	}
	slices.Sort(s.gone)
	e := map[string]any{"t": t.UnixMilli(), "series": s.fresh, "v": s.changed, "gone": s.gone}
	if err != nil {
		e["error"] = err.Error()
	}
	return encode(e)
}

// encode cannot fail: there are no numbers but those that JSON has.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// A sample is what one of them brings.
type sample struct {
	*history
	fresh   []series
	changed map[int]*float64
	gone    []int
}

func (s *sample) metric(f *dto.MetricFamily, m *dto.Metric) {
	switch {
	case m.Histogram != nil:
		now := m.Histogram
		count := s.of(f, m, "_count", "c")
		s.note(count, float64(now.GetSampleCount()))
		s.note(s.of(f, m, "_sum", "c"), now.GetSampleSum())
		p50, p99 := s.of(f, m, "_p50", "g"), s.of(f, m, "_p99", "g")
		if last := count.buckets; last != nil {
			s.note(p50, between(last, now, 0.5))
			s.note(p99, between(last, now, 0.99))
		}
		count.buckets = now
	case m.Summary != nil:
		s.note(s.of(f, m, "_count", "c"), float64(m.Summary.GetSampleCount()))
		s.note(s.of(f, m, "_sum", "c"), m.Summary.GetSampleSum())
		for _, q := range m.Summary.Quantile {
			s.note(s.of(f, m, "", "g", "quantile", fmt.Sprint(q.GetQuantile())), q.GetValue())
		}
	case m.Counter != nil:
		s.note(s.of(f, m, "", "c"), m.Counter.GetValue())
	case m.Gauge != nil:
		s.note(s.of(f, m, "", "g"), m.Gauge.GetValue())
	case m.Untyped != nil:
		s.note(s.of(f, m, "", "g"), m.Untyped.GetValue())
	}
}

// note adds a value; of two in one sample the last counts.
func (s *sample) note(r *record, v float64) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return
	}
	if len(r.values) == len(s.times) {
		r.values = r.values[:len(r.values)-1]
	}
	if n := len(r.values); n == 0 || r.values[n-1] == nil || *r.values[n-1] != v {
		s.changed[r.ID] = &v
	}
	r.values = append(r.values, &v)
}

// of returns a series, which is made when it first comes. The suffix is apart in the key: x_p99 may be that
// of a histogram x, and a gauge.
func (s *sample) of(f *dto.MetricFamily, m *dto.Metric, suffix, kind string, label ...string) *record {
	const apart = "\xff" // in no name and no value, for they are UTF-8
	var key strings.Builder
	key.WriteString(f.GetName() + apart + suffix)
	for _, l := range m.Label {
		key.WriteString(apart + l.GetName() + apart + l.GetValue())
	}
	key.WriteString(apart + strings.Join(label, apart))
	if r := s.series[key.String()]; r != nil {
		r.absent = 0
		return r
	}
	labels := map[string]string{}
	for _, l := range m.Label {
		labels[l.GetName()] = l.GetValue()
	}
	for i := 0; i < len(label); i += 2 {
		labels[label[i]] = label[i+1]
	}
	r := &record{
		series: series{ID: s.next, Name: f.GetName() + suffix, Labels: labels, Type: kind, Help: f.GetHelp()},
		values: make([]*float64, len(s.times)-1, kept),
	}
	s.next++
	s.series[key.String()] = r
	s.fresh = append(s.fresh, r.series)
	return r
}

// between is a quantile of what came between two states of a histogram, the upper end of its bucket; NaN if
// nothing came. After a reset everything came.
func between(last, now *dto.Histogram, q float64) float64 {
	before := make([]uint64, len(now.Bucket))
	if continues(last, now) {
		for i, b := range last.Bucket {
			before[i] = b.GetCumulativeCount()
		}
	} else {
		last = new(dto.Histogram)
	}
	total := float64(now.GetSampleCount() - last.GetSampleCount())
	if total == 0 {
		return math.NaN()
	}
	for i, b := range now.Bucket {
		if float64(b.GetCumulativeCount()-before[i]) >= q*total {
			return b.GetUpperBound()
		}
	}
	return math.NaN()
}

// continues reports whether nothing of last is missing in now.
func continues(last, now *dto.Histogram) bool {
	return last.GetSampleCount() <= now.GetSampleCount() && slices.EqualFunc(last.Bucket, now.Bucket, func(a, b *dto.Bucket) bool {
		return a.GetUpperBound() == b.GetUpperBound() && a.GetCumulativeCount() <= b.GetCumulativeCount()
	})
}
