package stat_test

import (
	"encoding/json"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hotpath-go/hotpath/internal/leaktest"
	"github.com/hotpath-go/hotpath/internal/stat"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func TestStriped_LosesNothing(t *testing.T) {
	var s stat.Striped[struct{ a, b atomic.Uint64 }]
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for range 1_000 {
				here := s.Here()
				here.a.Add(1)
				here.b.Add(2)
			}
		})
	}
	wg.Wait()
	var a, b uint64
	for stripe := range s.Each() {
		a += stripe.a.Load()
		b += stripe.b.Load()
	}
	if a != 64_000 || b != 128_000 {
		t.Errorf("sums %d and %d, want 64000 and 128000", a, b)
	}
}

// Goroutines spread over the stripes: else the padding buys nothing.
func TestStriped_Spreads(t *testing.T) {
	var s stat.Striped[struct{ n atomic.Uint64 }]
	var wg sync.WaitGroup
	hold := make(chan struct{}) // all stacks are there at once
	for range 256 {
		wg.Go(func() { s.Here().n.Add(1); <-hold })
	}
	close(hold)
	wg.Wait()
	used := 0
	for stripe := range s.Each() {
		if n := stripe.n.Load(); n > 0 {
			used++
		}
	}
	if used < 4 {
		t.Errorf("256 goroutines use %d of 8 stripes, want at least 4", used)
	}
}

func TestDurations_Buckets(t *testing.T) {
	us := func(f float64) time.Duration { return time.Duration(f * 1000) }
	for _, tc := range []struct {
		name  string
		d     time.Duration
		bound float64 // of its bucket, in seconds
	}{
		{"negative counts as zero", -time.Hour, math.Ldexp(1, -20)},
		{"zero", 0, math.Ldexp(1, -20)},
		{"below the lowest bound", us(0.9), math.Ldexp(1, -20)},
		{"just above it", us(1), math.Exp2(-20 + 0.25)},
		{"a power of two ends its bucket", time.Second, 1},
		{"one more is in the next", time.Second + 1, math.Exp2(0.25)},
		{"2^(1/2) s", 1_414_213_562, math.Sqrt2},
		{"the highest bound", 64 * time.Second, 64},
		{"above it", 64*time.Second + 1, math.Inf(1)},
		{"292 years", math.MaxInt64, math.Inf(1)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var d stat.Durations
			d.Observe(tc.d)
			h := d.Read()
			for bound, n := range h.Buckets() {
				if n == 1 && math.Abs(bound/tc.bound-1) > 1e-12 && bound != tc.bound {
					t.Errorf("%v is in the bucket up to %v, want %v", tc.d, bound, tc.bound)
				}
			}
			if h.Count() != 1 {
				t.Errorf("count %d, want 1", h.Count())
			}
		})
	}
}

// Each bucket ends at the last nanosecond that is not above its bound, found here with integers
// of any size: ns is at most 2^(i/4) s exactly if ns^4 is at most 2^i * 10^36.
func TestDurations_EveryBoundIsExact(t *testing.T) {
	bucket := func(ns int64) (i int) {
		var d stat.Durations
		d.Observe(time.Duration(ns))
		for _, n := range d.Read().Buckets() {
			if n == 1 {
				return i
			}
			i++
		}
		t.Fatal("not counted")
		return 0
	}
	e36 := new(big.Int).Exp(big.NewInt(10), big.NewInt(36), nil)
	for i := range 105 { // from 2^-20 s to 2^6 s
		limit := new(big.Int).Lsh(e36, uint(i))
		limit.Rsh(limit, 80)
		root := new(big.Int).Sqrt(new(big.Int).Sqrt(limit)).Int64()
		if at, after := bucket(root), bucket(root+1); at != i || after != i+1 {
			t.Errorf("%d ns is in bucket %d and the next in %d, want %d and %d", root, at, after, i, i+1)
		}
	}
}

func TestSizes(t *testing.T) {
	var s stat.Sizes
	for _, n := range []int64{-5, 0, 1, 2, 3, 1 << 26, 1<<26 + 1, math.MaxInt64 >> 8} {
		s.Observe(n)
	}
	h := s.Read()
	got := map[float64]uint64{}
	for bound, n := range h.Buckets() {
		if n > 0 {
			got[bound] = n
		}
	}
	for bound, n := range map[float64]uint64{1: 3, 2: 1, 1 << 26: 1, math.Inf(1): 2} {
		if got[bound] != n {
			t.Errorf("bucket up to %v has %d, want %d: %v", bound, got[bound], n, got)
		}
	}
	if want := 6 + math.Ldexp(1, 27) + 1 + float64(math.MaxInt64>>8); h.Sum() != want {
		t.Errorf("sum %v, want %v", h.Sum(), want)
	}
}

func TestHistogram_QuantileIsWithin9Percent(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var d stat.Durations
	var exact []float64
	for range 10_000 {
		v := time.Duration(math.Exp(rng.NormFloat64()*2) * 1e6)
		d.Observe(v)
		exact = append(exact, v.Seconds())
	}
	slices.Sort(exact)
	h := d.Read()
	for _, q := range []float64{0.001, 0.25, 0.5, 0.9, 0.99, 1} {
		want := exact[max(int(math.Ceil(q*10_000)), 1)-1]
		if got := h.Quantile(q); math.Abs(got/want-1) > 0.091 {
			t.Errorf("quantile %v is %v, exact %v", q, got, want)
		}
	}
	var sum float64
	for _, v := range exact {
		sum += v
	}
	if math.Abs(h.Sum()/sum-1) > 1e-9 || math.Abs(h.Mean()/(sum/10_000)-1) > 1e-9 {
		t.Errorf("sum %v mean %v, exact %v", h.Sum(), h.Mean(), sum)
	}
}

func TestHistogram_Empty(t *testing.T) {
	var h stat.Histogram
	if h.Count() != 0 || h.Sum() != 0 || !math.IsNaN(h.Mean()) || !math.IsNaN(h.Quantile(0.5)) {
		t.Errorf("empty: count %d sum %v mean %v median %v", h.Count(), h.Sum(), h.Mean(), h.Quantile(0.5))
	}
	var d stat.Durations
	d.Observe(1)
	if one := d.Read(); one.Quantile(0) != math.Ldexp(1, -20) || one.Quantile(1) != math.Ldexp(1, -20) {
		t.Errorf("below the lowest bound: %v", one.Quantile(0))
	}
	var long stat.Durations
	long.Observe(time.Hour)
	if one := long.Read(); one.Quantile(0.5) != 64 {
		t.Errorf("above the highest bound: %v, want that bound", one.Quantile(0.5))
	}
	if one := d.Read(); !math.IsNaN(one.Quantile(-0.1)) || !math.IsNaN(one.Quantile(1.1)) || !math.IsNaN(one.Quantile(math.NaN())) {
		t.Error("a share outside 0 to 1 must be NaN")
	}
}

func TestHistogram_SubIsAWindow(t *testing.T) {
	var d stat.Durations
	d.Observe(time.Second)
	before := d.Read()
	d.Observe(time.Minute)
	after := d.Read()
	window := after.Sub(before)
	if window.Count() != 1 || window.Sum() != 60 {
		t.Errorf("window has %d observations, sum %v, want 1 and 60", window.Count(), window.Sum())
	}
	if again := after.Sub(before); again != window {
		t.Error("equal readings are not equal values")
	}
	if back := before.Sub(after); back.Count() != 0 || back.Sum() != 0 {
		t.Errorf("the wrong way round: %d and %v, want an empty window", back.Count(), back.Sum())
	}
}

func TestHistogram_JSON(t *testing.T) {
	var d stat.Durations
	if b, err := json.Marshal(d.Read()); err != nil || string(b) != `{"count":0,"sum":0,"p50":null,"p95":null,"p99":null}` {
		t.Errorf("empty: %s, %v", b, err)
	}
	d.Observe(time.Second)
	var got map[string]float64
	b, err := json.Marshal(d.Read())
	if err != nil || json.Unmarshal(b, &got) != nil || got["count"] != 1 || got["sum"] != 1 || got["p50"] == 0 {
		t.Errorf("one second: %s, %v", b, err)
	}
}

// The twin walks the bounds.
func FuzzDurations(f *testing.F) {
	for _, seed := range []int64{0, 1, 953, 954, 1e9, 1_189_207_115, 1_414_213_562, 1_681_792_830, 64e9, -1, math.MaxInt64} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, ns int64) {
		var d stat.Durations
		d.Observe(time.Duration(ns))
		h := d.Read()
		v := float64(max(ns, 0)) / 1e9
		done := false
		for bound, n := range h.Buckets() {
			here := !done && v <= bound
			done = done || here
			if here != (n == 1) {
				t.Fatalf("%d ns: bucket up to %v has %d", ns, bound, n)
			}
		}
	})
}

func BenchmarkDurations(b *testing.B) {
	var d stat.Durations
	b.RunParallel(func(pb *testing.PB) {
		for v := time.Duration(1); pb.Next(); v += 997 {
			d.Observe(v)
		}
	})
}

func BenchmarkStriped(b *testing.B) {
	b.Run("striped", func(b *testing.B) {
		var s stat.Striped[struct{ n atomic.Uint64 }]
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				s.Here().n.Add(1)
			}
		})
	})
	b.Run("one atomic", func(b *testing.B) {
		var n atomic.Uint64
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				n.Add(1)
			}
		})
	})
}
