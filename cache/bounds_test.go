package cache_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/cache"
)

// B1: whenever one looks, while eight write.
func TestB1_NeverOverTheBound(t *testing.T) {
	const maxBytes, maxItems = 4 << 20, 500
	c := newCache(t, cache.Config[int, []byte]{MaxBytes: maxBytes, MaxItems: maxItems})
	var done atomic.Bool
	watched := make(chan int)
	go func() {
		looks := 0
		for ; !done.Load(); looks++ {
			if s := c.Stats(); s.Bytes > maxBytes || s.Items > maxItems || s.Bytes < 0 {
				t.Errorf("%d bytes, %d items", s.Bytes, s.Items)
				break
			}
		}
		watched <- looks
	}()
	every(8, func(seed int) {
		rng := rand.New(rand.NewPCG(uint64(seed), 1))
		for range 2_000 {
			c.Set(rng.IntN(3_000), make([]byte, 1<<rng.IntN(21)))
			if rng.IntN(10) == 0 {
				c.Delete(rng.IntN(3_000))
			}
		}
	})
	done.Store(true)
	if looks := <-watched; looks == 0 {
		t.Error("nobody looked")
	}
	if s := c.Stats(); s.Evicted == 0 || s.Items == 0 {
		t.Errorf("%+v: nothing was evicted, so nothing was tested", s)
	}
}

// What is used stays, though everything is read once in between: a list in the order of use
// would have lost it.
func TestB1_AScanTakesNothingThatIsUsed(t *testing.T) {
	c := newCache(t, cache.Config[int, int]{MaxItems: 1_000, Load: func(_ context.Context, key int) (int, error) { return key, nil }})
	get := func(key int) {
		if _, err := c.Get(context.Background(), key); err != nil {
			t.Fatal(err)
		}
	}
	for range 5 {
		for key := range 500 {
			get(key)
		}
	}
	for key := range 10_000 {
		get(1_000_000 + key)
	}
	stayed := 0
	for key := range 500 {
		if _, ok := c.Peek(key); ok {
			stayed++
		}
	}
	if stayed < 450 {
		t.Errorf("%d of 500 keys in use have outlived a scan", stayed)
	}
}

// And what was used long ago goes, when other keys are.
func TestB1_YesterdaysKeysGo(t *testing.T) {
	c := newCache(t, cache.Config[int, int]{MaxItems: 1_000, Load: func(_ context.Context, key int) (int, error) { return key, nil }})
	for day := range 3 {
		misses := 0
		for range 60 {
			misses = 0
			before := c.Stats().Misses
			for key := range 800 {
				_, _ = c.Get(context.Background(), day*10_000+key)
			}
			misses = int(c.Stats().Misses - before)
		}
		if misses > 100 {
			t.Errorf("day %d: %d of 800 keys still miss after sixty rounds", day, misses)
		}
	}
}

// B5: what has expired makes room before anything alive, and is given back under traffic on
// other keys.
func TestB5_GarbageGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, cache.Config[int, int]{MaxItems: 1_000})
		for key := range 900 {
			c.SetFor(key, key, time.Second)
		}
		for key := 900; key < 1_000; key++ {
			c.SetFor(key, key, time.Hour)
		}
		time.Sleep(time.Second)
		for key := 1_000; key < 1_400; key++ {
			c.SetFor(key, key, time.Hour)
		}
		for key := 900; key < 1_400; key++ {
			if _, ok := c.Peek(key); !ok {
				t.Fatalf("key %d is alive and went before 900 that had expired", key)
			}
		}
		if s := c.Stats(); s.Items > 510 {
			t.Errorf("%d entries after 400 Sets, want the 500 that are alive and hardly more", s.Items)
		}
	})
}

func TestB2_TooHeavyIsReturnedAndNotStored(t *testing.T) {
	loads := 0
	c := newCache(t, cache.Config[string, []byte]{MaxBytes: 1 << 20, Load: func(context.Context, string) ([]byte, error) {
		loads++
		return make([]byte, 2<<20), nil
	}})
	c.Set("small", []byte("x"))
	for range 2 {
		if v, err := c.Get(t.Context(), "a"); len(v) != 2<<20 || err != nil {
			t.Errorf("%d bytes, %v", len(v), err)
		}
	}
	if s := c.Stats(); loads != 2 || s.NotStored != 2 || s.Items != 1 || s.Evicted != 0 {
		t.Errorf("%d loads, %+v", loads, s)
	}
}

func TestB3_AnUpdateIsWeighedAnew(t *testing.T) {
	c := newCache(t, cache.Config[string, []byte]{})
	weight := func(n int) int64 {
		c.Set("a", make([]byte, n))
		return c.Stats().Bytes
	}
	small, large, again := weight(100), weight(100_000), weight(100)
	if small != again || large < small+99_000 || c.Stats().Items != 1 {
		t.Errorf("%d, %d, %d bytes", small, large, again)
	}
}

func TestB4_AWeighThatIsBroken(t *testing.T) {
	for name, weigh := range map[string]func(string, int) int64{
		"negative": func(string, int) int64 { return -1 },
		"panic":    func(string, int) int64 { panic("boom") },
	} {
		var log logbook
		c := newCache(t, cache.Config[string, int]{Load: (&source{}).load, Weigh: weigh, Logger: log.logger()})
		mustGet(t, c, "a", 1)
		mustGet(t, c, "a", 2)
		if s := c.Stats(); s.NotStored != 2 || s.Items != 0 || strings.Count(log.String(), "Weigh") != 1 {
			t.Errorf("%s: %+v, logged %q", name, s, log.String())
		}
	}
	c := newCache(t, cache.Config[string, int]{Weigh: func(string, int) int64 { return math.MaxInt64 }})
	c.Set("a", 1)
	if s := c.Stats(); s.Items != 0 || s.NotStored != 1 || s.Bytes != 0 {
		t.Errorf("a weight without room for the overhead: %+v", s)
	}
}

// raise makes most at least n, whoever else does so.
func raise(most *atomic.Int32, n int32) {
	for {
		if m := most.Load(); n <= m || most.CompareAndSwap(m, n) {
			return
		}
	}
}

func TestB6_MaxRefreshes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, most atomic.Int32
		c := newCache(t, cache.Config[int, int]{MaxRefreshes: 3, TTL: time.Hour, Load: func(_ context.Context, key int) (int, error) {
			raise(&most, running.Add(1))
			defer running.Add(-1)
			time.Sleep(time.Second)
			return key, nil
		}})
		for key := range 10 {
			c.Set(key, -1)
		}
		for key := range 10 {
			c.Refresh(key)
		}
		time.Sleep(time.Minute)
		refreshed := func() (n int) {
			for key := range 10 {
				if v, _ := c.Peek(key); v == key {
					n++
				}
			}
			return n
		}
		if most.Load() != 3 || refreshed() != 3 {
			t.Errorf("%d at once, %d refreshed, want 3 and 3", most.Load(), refreshed())
		}
		for range 5 { // the others were put off to the next Get
			for key := range 10 {
				if v, err := c.Get(t.Context(), key); v != key && v != -1 || err != nil {
					t.Errorf("Get(%d) = %d, %v", key, v, err)
				}
			}
			time.Sleep(time.Minute)
		}
		if most.Load() != 3 || refreshed() != 10 || c.Stats().Refreshes != 10 {
			t.Errorf("%d at once, %d refreshed, %d started, want 3, 10 and 10", most.Load(), refreshed(), c.Stats().Refreshes)
		}
	})
}

// B7: two caches put the same keys into different shards and slots, so nobody can prepare keys
// that meet; and keys that look alike are told apart.
func TestB7_KeysAreComparedWhole(t *testing.T) {
	c := newCache(t, cache.Config[any, string]{})
	keys := []any{"1", 1, int64(1), 1.0, [1]int{1}, struct{ a int }{1}, strings.Repeat("k", 1000) + "1", strings.Repeat("k", 1000) + "2", ""}
	for i, key := range keys {
		c.Set(key, fmt.Sprint(i))
	}
	for i, key := range keys {
		if v, ok := c.Peek(key); !ok || v != fmt.Sprint(i) {
			t.Errorf("key %d: %q, %v", i, v, ok)
		}
	}
}

func TestNewStore_Bounds(t *testing.T) {
	for _, tc := range []struct {
		bytes int64
		items int
		want  string
	}{
		{0, -1, "maxItems is -1: must not be negative"},
		{-1, 0, "maxBytes is -1 without maxItems"},
		{-1, 1, ""},
		{0, 0, ""},
	} {
		s, err := cache.NewStore[string, int](tc.bytes, tc.items)
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) || (s == nil) != (err != nil) {
			t.Errorf("NewStore(%d, %d): %v", tc.bytes, tc.items, err)
		}
	}
}

// A foreign engine is asked for what it promises and nothing else.
func TestStore_AnEngineOfOnesOwn(t *testing.T) {
	engine, err := cache.NewStore[string, int](-1, 10)
	if err != nil {
		t.Fatal(err)
	}
	c := newCache(t, cache.Config[string, int]{Load: (&source{}).load, Store: refusing{engine}})
	mustGet(t, c, "a", 1)
	mustGet(t, c, "a", 1)
	mustGet(t, c, "refused", 2)
	mustGet(t, c, "refused", 3)
	if s := c.Stats(); s.NotStored != 2 || s.Items != 1 {
		t.Errorf("%+v", s)
	}
}

type refusing struct{ cache.Store[string, int] }

func (r refusing) Set(e *cache.Entry[string, int]) bool {
	return e.Key != "refused" && r.Store.Set(e)
}

// An entry says its weight in 32 bits: what does not fit is not stored, however large the bound.
func TestB2_HeavierThanAnEntryCanSay(t *testing.T) {
	c := newCache(t, cache.Config[string, int]{MaxBytes: 1 << 50, Weigh: func(_ string, v int) int64 { return int64(v) << 30 }})
	for gib, kept := range map[int]bool{1: true, 63: true, 64: false, 1 << 10: false} {
		c.Set("a", gib)
		if _, ok := c.Peek("a"); ok != kept {
			t.Errorf("%d GiB: stored %v, want %v", gib, ok, kept)
		}
		if s := c.Stats(); kept && s.Bytes < int64(gib)<<30 {
			t.Errorf("%d GiB are charged as %d bytes", gib, s.Bytes)
		}
	}
	if s := c.Stats(); s.NotStored != 2 {
		t.Errorf("%d were not stored, want 2", s.NotStored)
	}
}
