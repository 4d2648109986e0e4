package load

import (
	"maps"
	"math"
	"math/bits"
	"slices"
	"time"
)

// A Result is what happened. Its samples are the latencies of successes, to the nanosecond.
type Result struct {
	Offered  float64        // actions a second by the plan; 0: a closed loop
	Took     time.Duration  // from the start to the end of the last action
	Failures map[string]int // by cause
	FirstErr error
	Requests int64 // as written
	In, Out  int64 // bytes at the socket, headers included
	CPU      time.Duration

	samples map[string][]time.Duration // by kind, sorted
	lags    []time.Duration            // sorted
}

func newResult() *Result {
	return &Result{Failures: map[string]int{}, samples: map[string][]time.Duration{}}
}

func (r *Result) sort() {
	for _, list := range r.samples {
		slices.Sort(list)
	}
	slices.Sort(r.lags)
}

// Kinds returns the kinds that have samples, in order.
func (r *Result) Kinds() []string { return slices.Sorted(maps.Keys(r.samples)) }

// Samples returns the latencies of a kind, or with "" of all, sorted. They must not be changed.
func (r *Result) Samples(kind string) []time.Duration {
	if kind != "" {
		return r.samples[kind]
	}
	var all []time.Duration
	for _, list := range r.samples {
		all = append(all, list...)
	}
	slices.Sort(all)
	return all
}

// Done is how many actions succeeded.
func (r *Result) Done() (n int) {
	for _, list := range r.samples {
		n += len(list)
	}
	return n
}

// Failed is how many did not, for whatever cause; those that were not sent are among them.
func (r *Result) Failed() (n int) {
	for _, count := range r.Failures {
		n += count
	}
	return n
}

// Over is how many succeeded later than limit.
func (r *Result) Over(limit time.Duration) (n int) {
	for _, list := range r.samples {
		at, _ := slices.BinarySearch(list, limit+1)
		n += len(list) - at
	}
	return n
}

// Quantile returns a quantile, 0 < q < 1, of the latencies of a kind, or with "" of all: the
// nearest rank, so always one of the samples. ok is false if fewer than ten samples lie beyond
// it: p95 needs 200, p99 needs 1,000, or it is an accident.
func (r *Result) Quantile(kind string, q float64) (d time.Duration, ok bool) {
	return quantile(r.Samples(kind), q)
}

// Lag returns the nearest-rank quantile of how much later than intended actions were started. It
// says how good the generator was, and so is given however few they were.
func (r *Result) Lag(q float64) time.Duration {
	if len(r.lags) == 0 {
		return 0
	}
	return r.lags[rank(len(r.lags), q)-1]
}

// beyond is how many samples have to lie beyond a quantile.
const beyond = 10

func quantile(sorted []time.Duration, q float64) (time.Duration, bool) {
	n := rank(len(sorted), q)
	if len(sorted)-n < beyond {
		return 0, false
	}
	return sorted[n-1], true
}

// rank is the nearest one, from 1 on. 0.95*200 is a bit more than 190.
func rank(n int, q float64) int { return max(int(math.Ceil(q*float64(n)-1e-9)), 1) }

// Only returns the samples of some kinds, and nothing else of r.
func (r *Result) Only(kinds ...string) *Result {
	only := newResult()
	for _, kind := range kinds {
		if list := r.samples[kind]; len(list) > 0 {
			only.samples[kind] = list
		}
	}
	return only
}

// Merge returns results as if they were one: samples, failures and counts together, and the
// time that they took one after the other.
func Merge(results ...*Result) *Result {
	all := newResult()
	for _, r := range results {
		all.Took += r.Took
		all.CPU += r.CPU
		all.Offered = r.Offered
		all.Requests += r.Requests
		all.In += r.In
		all.Out += r.Out
		all.lags = append(all.lags, r.lags...)
		if all.FirstErr == nil {
			all.FirstErr = r.FirstErr
		}
		for cause, n := range r.Failures {
			all.Failures[cause] += n
		}
		for kind, list := range r.samples {
			all.samples[kind] = append(all.samples[kind], list...)
		}
	}
	all.sort()
	return all
}

// perDoubling is how many buckets of a [Histogram] cover a factor of two.
const perDoubling = 4

// Histogram counts the latencies of r by bucket: four to each doubling, numbered from 1 us on.
// It is for drawing, and for merging runs that are over; quantiles come from the samples.
func (r *Result) Histogram() map[int]int {
	h := map[int]int{}
	for _, list := range r.samples {
		for _, d := range list {
			h[bucket(d)]++
		}
	}
	return h
}

// bucket returns the bucket of a latency: within a doubling the quarters are linear.
func bucket(d time.Duration) int {
	us := max(d/time.Microsecond, 1)
	exponent := bits.Len64(uint64(us)) - 1
	quarter := int((us<<2)>>exponent) & 3
	return exponent*perDoubling + quarter
}

// BucketEnd returns the latency at which a bucket ends.
func BucketEnd(bucket int) time.Duration {
	next := bucket + 1
	exponent, quarter := next/perDoubling, next%perDoubling
	return time.Duration(float64(uint64(1)<<exponent) * (1 + float64(quarter)/perDoubling) * float64(time.Microsecond))
}
