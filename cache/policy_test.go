package cache_test

import (
	"container/list"
	"math/rand/v2"
	"testing"

	"github.com/hotpath-go/hotpath/cache"
)

// What the policy is for, on traces that can be generated: bench/ has the public ones.

// scanned is the first of the keys that are asked for once.
const scanned = 1 << 20

// ratio is in percent, of the lookups that can be hits.
func ratio(hits int, trace []int) float64 {
	can := 0
	for _, key := range trace {
		if key < scanned {
			can++
		}
	}
	return 100 * float64(hits) / float64(can)
}

func engineRatio(t *testing.T, trace []int, size int) float64 {
	t.Helper()
	s, err := cache.NewStore[int, struct{}](-1, size)
	if err != nil {
		t.Fatal(err)
	}
	hits := 0
	for _, key := range trace {
		if s.Get(key) != nil {
			hits++
		} else {
			s.Set(cache.NewEntry(key, struct{}{}, 1, 0, 0))
		}
	}
	return ratio(hits, trace)
}

func lruRatio(trace []int, size int) float64 {
	order, at, hits := list.New(), map[int]*list.Element{}, 0
	for _, key := range trace {
		if e := at[key]; e != nil {
			order.MoveToFront(e)
			hits++
			continue
		}
		at[key] = order.PushFront(key)
		if order.Len() > size {
			delete(at, order.Remove(order.Back()).(int))
		}
	}
	return ratio(hits, trace)
}

// zipf draws from 2^17 keys with P(k) ~ 1/k^1.01.
func zipf(n int) []int {
	z := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.01, 1, 1<<17-1)
	trace := make([]int, n)
	for i := range trace {
		trace[i] = int(z.Uint64())
	}
	return trace
}

// A loop that does not fit: LRU has forgotten each key when its turn comes.
func TestPolicy_Loop(t *testing.T) {
	trace := make([]int, 200_000)
	for i := range trace {
		trace[i] = i % 1_000
	}
	if got, lru := engineRatio(t, trace, 512), lruRatio(trace, 512); got < 45 || lru != 0 {
		t.Errorf("%.1f %% hits in a loop of 1,000 with room for 512 (LRU %.1f %%), want at least 45", got, lru)
	}
}

func TestPolicy_Zipf(t *testing.T) {
	trace := zipf(500_000)
	if got, lru := engineRatio(t, trace, 5_000), lruRatio(trace, 5_000); got < 70.8 || got > 72.8 || lru > 66.5 {
		t.Errorf("%.1f %% hits, want 71.8 within a point (LRU %.1f %%, 66.0)", got, lru)
	}
}

// A scan once in a while, of keys that nobody asks for again.
func TestPolicy_ZipfAndScans(t *testing.T) {
	var trace []int
	once := scanned
	for i, key := range zipf(500_000) {
		trace = append(trace, key)
		if i%5_000 == 0 {
			for range 10_000 {
				once++
				trace = append(trace, once)
			}
		}
	}
	if got, lru := engineRatio(t, trace, 5_000), lruRatio(trace, 5_000); got < lru+10 {
		t.Errorf("%.1f %% hits of the keys that are asked for again, LRU %.1f %%: want 10 points more", got, lru)
	}
}
