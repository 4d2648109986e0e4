package cache_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hotpath-go/hotpath/cache"
	"github.com/hotpath-go/hotpath/internal/leaktest"
)

func TestC1_WithCloneNobodyShares(t *testing.T) {
	c := newCache(t, cache.Config[string, []int]{
		Load:  func(context.Context, string) ([]int, error) { return []int{1, 2}, nil },
		Clone: slices.Clone[[]int],
	})
	mine := []int{7, 7}
	c.Set("set", mine)
	mine[0] = 99
	for _, key := range []string{"loaded", "loaded", "set", "set"} { // the leader first
		v, err := c.Get(t.Context(), key)
		if v[0] == 99 || err != nil {
			t.Fatalf("%s: %v, %v: somebody's change is seen", key, v, err)
		}
		v[0] = 99
	}
	if v, _ := c.Peek("loaded"); v[0] != 1 {
		t.Errorf("Peek: %v", v)
	}
	many, err := c.GetMany(t.Context(), []string{"loaded", "set", "new"})
	if many["loaded"][0] != 1 || many["set"][0] != 7 || many["new"][0] != 1 || err != nil {
		t.Errorf("GetMany: %v, %v", many, err)
	}
}

func TestC1_WithoutCloneTheValueIsShared(t *testing.T) {
	c := newCache(t, cache.Config[string, *int]{Load: func(context.Context, string) (*int, error) { return new(int), nil }})
	a, _ := c.Get(t.Context(), "a")
	b, _ := c.Get(t.Context(), "a")
	if a != b {
		t.Error("without Clone a hit must not copy")
	}
}

func TestZ1_NothingRunsBetweenCalls(t *testing.T) {
	restsOnly(t)
	before := leaktest.Running()
	c := newCache(t, cache.Config[string, int]{
		Load: (&source{}).load, TTL: time.Millisecond, StaleWhileRevalidate: time.Hour, StaleIfError: time.Hour, EarlyRefresh: 1, NegativeTTL: time.Hour, LoadTimeout: time.Hour,
	})
	for range 100 {
		_, _ = c.Get(t.Context(), "a")
		c.Refresh("a", "b")
		time.Sleep(20 * time.Microsecond)
	}
	_, _ = c.GetMany(t.Context(), []string{"a", "b", "c"})
	c.PurgeTags("x")
	if left := leaktest.Wait(before, 5*time.Second); len(left) > 0 {
		t.Errorf("%d goroutines are left:\n%s", len(left), strings.Join(left, "\n\n"))
	}
	runtime.KeepAlive(c)
}

func TestZ2_ADroppedCacheIsCollected(t *testing.T) {
	var collected atomic.Int32
	func() {
		c := newCache(t, cache.Config[string, *[64]byte]{Load: func(context.Context, string) (*[64]byte, error) { return new([64]byte), nil }, TTL: time.Millisecond, StaleWhileRevalidate: time.Hour})
		for _, key := range []string{"a", "b"} {
			v, _ := c.Get(t.Context(), key)
			runtime.AddCleanup(v, func(int) { collected.Add(1) }, 0)
			c.Refresh(key)
		}
		runtime.AddCleanup(c, func(int) { collected.Add(1) }, 0)
	}()
	for end := time.Now().Add(10 * time.Second); collected.Load() < 3; {
		if time.Now().After(end) {
			t.Fatalf("%d of 3 were collected", collected.Load())
		}
		runtime.GC()
		time.Sleep(time.Millisecond)
	}
}

// A hundred thousand flights that everybody leaves keep no goroutine and no flight.
func TestZ1_CancelledFlightsLeaveNothing(t *testing.T) {
	restsOnly(t)
	before := leaktest.Running()
	c := newCache(t, cache.Config[int, int]{Load: func(ctx context.Context, _ int) (int, error) {
		<-ctx.Done()
		return 0, ctx.Err()
	}})
	every(8, func(i int) {
		for n := range 12_500 {
			ctx, cancel := context.WithCancel(context.Background())
			go cancel()
			if _, err := c.Get(ctx, i*1_000_000+n); !errors.Is(err, context.Canceled) {
				t.Errorf("%v", err)
			}
			cancel()
		}
	})
	if left := leaktest.Wait(before, 20*time.Second); len(left) > 0 {
		t.Errorf("%d goroutines are left, the first:\n%s", len(left), left[0])
	}
	if s := c.Stats(); s.InFlight != 0 || s.Items != 0 {
		t.Errorf("%+v", s)
	}
}
