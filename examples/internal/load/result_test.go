package load_test

import (
	"slices"
	"testing"
	"time"

	"github.com/hotpath-go/hotpath/examples/internal/load"
)

func upTo(n int) (list []time.Duration) {
	for i := range n {
		list = append(list, time.Duration(i+1))
	}
	return list
}

func TestQuantile_NeedsTenSamplesBeyond(t *testing.T) {
	for _, tc := range []struct {
		q    float64
		n    int
		want time.Duration // 0: none
	}{
		{0.5, 0, 0},
		{0.5, 19, 0},
		{0.5, 20, 10},
		{0.5, 21, 11},
		{0.95, 199, 0},
		{0.95, 200, 190},
		{0.95, 1_000, 950},
		{0.99, 999, 0},
		{0.99, 1_000, 990},
		{0.99, 1_001, 991},
	} {
		d, ok := load.Samples("x", upTo(tc.n)...).Quantile("", tc.q)
		if ok != (tc.want > 0) || d != tc.want {
			t.Errorf("p%v of %d samples: %v, %v, want %v", 100*tc.q, tc.n, d, ok, tc.want)
		}
	}
}

func TestMerge(t *testing.T) {
	a, b, c := load.Samples("x", 3, 1), load.Samples("x", 2), load.Samples("y", 2*time.Second)
	a.Failures[load.Cut], b.Failures[load.Cut], b.Failures[load.Timeout] = 1, 2, 3
	a.Requests, b.Requests = 4, 5
	m := load.Merge(a, b, c)
	if got := m.Samples("x"); !slices.Equal(got, []time.Duration{1, 2, 3}) || m.Done() != 4 {
		t.Errorf("samples %v", got)
	}
	if m.Failed() != 6 || m.Failures[load.Cut] != 3 || m.Requests != 9 || m.Over(time.Second) != 1 || m.Over(2*time.Second) != 0 {
		t.Errorf("%+v", m)
	}
	if kinds := m.Kinds(); !slices.Equal(kinds, []string{"x", "y"}) || m.Only("y", "z").Done() != 1 {
		t.Errorf("kinds %v", kinds)
	}
	if got := a.Samples("x"); !slices.Equal(got, []time.Duration{1, 3}) {
		t.Errorf("a part of it changed: %v", got)
	}
}

// Buckets follow each other without a gap, four to a doubling.
func TestHistogram(t *testing.T) {
	for d := time.Microsecond; d < 20*time.Second; d += d/50 + time.Microsecond {
		b := load.Bucket(d)
		whole := d.Truncate(time.Microsecond)
		if end := load.BucketEnd(b); whole >= end || b > 0 && whole < load.BucketEnd(b-1) {
			t.Fatalf("%v is in bucket %d, which ends at %v", d, b, end)
		}
	}
	if load.BucketEnd(load.Bucket(time.Second)+4) != 2*load.BucketEnd(load.Bucket(time.Second)) {
		t.Error("four buckets are not a doubling")
	}
	h := load.Samples("x", time.Millisecond, time.Millisecond, time.Second).Histogram()
	if h[load.Bucket(time.Millisecond)] != 2 || h[load.Bucket(time.Second)] != 1 || len(h) != 2 {
		t.Errorf("%v", h)
	}
}
