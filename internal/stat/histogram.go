package stat

import (
	"encoding/json"
	"iter"
	"math"
	"sync/atomic"
	"time"
)

// Durations records how long things took. The zero value is ready; it must not be copied.
type Durations struct{ recorder }

// Observe counts d; a negative one counts as 0. It allocates nothing.
func (d *Durations) Observe(v time.Duration) {
	v = max(v, 0)
	// Not divided by 1e9, which would take a third of the time. The product may be wrong in its
	// last bit; no whole number of nanoseconds is so near to a bound that it matters, and a
	// test looks at all bounds.
	d.observe(bucketOf(float64(v)*1e-9, minDuration), uint64(v))
}

// Read returns what has been observed since the start, in seconds. An observation that
// runs meanwhile may be in Count and not yet in Sum.
func (d *Durations) Read() Histogram { return d.read(minDuration, 1e9) }

// Sizes records how large things were, in bytes or any other unit. The zero value is
// ready; it must not be copied.
type Sizes struct{ recorder }

// Observe counts n; a negative one counts as 0. It allocates nothing.
func (s *Sizes) Observe(n int64) {
	n = max(n, 0)
	s.observe(bucketOf(float64(n), minSize), uint64(n))
}

// Read returns what has been observed since the start. An observation that runs meanwhile
// may be in Count and not yet in Sum.
func (s *Sizes) Read() Histogram { return s.read(minSize, 1) }

type recorder struct {
	stripes Striped[struct {
		counts [buckets]atomic.Uint64
		sum    atomic.Uint64 // in nanoseconds or units: integers add up exactly
	}]
}

func (r *recorder) observe(bucket int, v uint64) {
	stripe := r.stripes.Here()
	stripe.counts[bucket].Add(1)
	stripe.sum.Add(v)
}

func (r *recorder) read(lowest int, perUnit float64) Histogram {
	h := Histogram{lowest: int32(lowest)}
	var sum uint64
	for stripe := range r.stripes.Each() {
		sum += stripe.sum.Load() // before the counts: Observe adds to it last
		for i := range h.counts {
			h.counts[i] += stripe.counts[i].Load()
		}
	}
	h.sum = float64(sum) / perUnit
	return h
}

// A Histogram is what a recorder had seen at one moment: a plain value that can be compared
// and kept. Its zero value is empty.
type Histogram struct {
	counts [buckets]uint64
	sum    float64
	lowest int32 // the exponent of the lowest bound
}

// Count returns the number of observations.
func (h Histogram) Count() (n uint64) {
	for _, c := range h.counts {
		n += c
	}
	return n
}

// Sum returns the sum of all observations: seconds for durations.
func (h Histogram) Sum() float64 { return h.sum }

// Mean returns Sum divided by Count, NaN if nothing was observed.
func (h Histogram) Mean() float64 { return h.sum / float64(h.Count()) }

// Quantile returns the value below which a share q, 0 to 1, of the observations lie: the
// geometric middle of its bucket, which is at most 9.1 % off between the outermost bounds;
// beyond them, the outermost bound. NaN if nothing was observed or q is not a share.
func (h Histogram) Quantile(q float64) float64 {
	count := h.Count()
	if count == 0 || !(q >= 0 && q <= 1) {
		return math.NaN()
	}
	rank := max(uint64(math.Ceil(q*float64(count))), 1)
	for i, c := range h.counts {
		if rank > c {
			rank -= c
			continue
		}
		switch i {
		case 0:
			return upperBound(0, int(h.lowest))
		case buckets - 1:
			return upperBound(buckets-2, int(h.lowest))
		}
		return math.Sqrt(upperBound(i-1, int(h.lowest)) * upperBound(i, int(h.lowest)))
	}
	return math.NaN()
}

// Buckets yields the upper bound of each bucket, the last one +Inf, and how many
// observations are in it (not cumulative).
func (h Histogram) Buckets() iter.Seq2[float64, uint64] {
	return func(yield func(float64, uint64) bool) {
		for i, c := range h.counts {
			if !yield(upperBound(i, int(h.lowest)), c) {
				return
			}
		}
	}
}

// Sub returns what was observed since earlier, an older reading of the same recorder.
func (h Histogram) Sub(earlier Histogram) Histogram {
	window := h
	for i, c := range earlier.counts {
		window.counts[i] -= min(c, window.counts[i])
	}
	window.sum = max(window.sum-earlier.sum, 0)
	return window
}

// MarshalJSON writes count, sum and three quantiles, null if there are none, so that a
// histogram under expvar can be read by people.
func (h Histogram) MarshalJSON() ([]byte, error) {
	quantile := func(q float64) *float64 {
		if v := h.Quantile(q); !math.IsNaN(v) {
			return &v
		}
		return nil
	}
	return json.Marshal(struct {
		Count uint64   `json:"count"`
		Sum   float64  `json:"sum"`
		P50   *float64 `json:"p50"`
		P95   *float64 `json:"p95"`
		P99   *float64 `json:"p99"`
	}{h.Count(), h.sum, quantile(0.50), quantile(0.95), quantile(0.99)})
}
