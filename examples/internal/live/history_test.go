package live

import (
	"testing"

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
}
