package cache_test

import (
	"context"
	"errors"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/cache"
)

// G1: exactly one load for each of 20,000 cold keys with 16 readers each, though the loader
// takes no time at all.
func TestG1_OneLoadPerColdKey(t *testing.T) {
	const keys, readers = 20_000, 16
	var loads [keys]atomic.Int32
	c := newCache(t, cache.Config[int, int]{
		Load: func(_ context.Context, key int) (int, error) {
			loads[key].Add(1)
			return key * 2, nil
		},
	})
	for round, ctx := range []context.Context{context.Background(), t.Context()} { // inline, and on a goroutine
		every(readers, func(reader int) {
			for i := range keys {
				key := i
				if reader%2 == 1 {
					key = keys - 1 - i
				}
				if v, err := c.Get(ctx, key); v != key*2 || err != nil {
					t.Errorf("Get(%d) = %d, %v", key, v, err)
					return
				}
			}
		})
		for key := range loads {
			if n := loads[key].Swap(0); n != 1 {
				t.Fatalf("key %d was loaded %d times", key, n)
			}
		}
		rounds := uint64(round + 1)
		if s := c.Stats(); s.Misses != keys*rounds || s.Hits+s.Misses+s.Coalesced != keys*readers*rounds {
			t.Errorf("outcomes do not add up: %+v", s)
		}
		c.PurgeAll()
	}
}

func TestG2_NobodyFeelsTheCancellationOfAnother(t *testing.T) {
	for name, cancelled := range map[string]int{"the leader's": 0, "a follower's": 1} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				loads := 0
				c := newCache(t, cache.Config[string, int]{Load: func(ctx context.Context, _ string) (int, error) {
					loads++
					select {
					case <-time.After(time.Second):
						return 7, nil
					case <-ctx.Done():
						return 0, ctx.Err()
					}
				}})
				errs := make([]error, 3)
				for i := range errs {
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					if i == cancelled {
						time.AfterFunc(500*time.Millisecond, cancel)
					}
					go func() { _, errs[i] = c.Get(ctx, "a") }()
					synctest.Wait()
				}
				time.Sleep(2 * time.Second)
				synctest.Wait()
				for i, err := range errs {
					if want := i == cancelled; (err != nil) != want {
						t.Errorf("caller %d: %v", i, err)
					}
				}
				if loads != 1 {
					t.Errorf("%d loads, want 1", loads)
				}
			})
		})
	}
}

func TestG3_ReturnsAsSoonAsItsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, cache.Config[string, int]{Load: func(context.Context, string) (int, error) {
			time.Sleep(time.Hour) // deaf
			return 7, nil
		}})
		every(3, func(i int) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			start := time.Now()
			if _, err := c.Get(ctx, "a"); err != context.DeadlineExceeded || time.Since(start) != time.Second {
				t.Errorf("caller %d: %v after %v", i, err, time.Since(start))
			}
		})
		time.Sleep(time.Hour)
	})
}

func TestG4_ALoadThatAllHaveLeftIsCancelledAndNotJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		loads := 0
		var cause error
		c := newCache(t, cache.Config[string, int]{Load: func(ctx context.Context, _ string) (int, error) {
			loads++
			n := loads
			select {
			case <-time.After(time.Hour):
			case <-ctx.Done():
				cause = ctx.Err()
				time.Sleep(time.Minute) // it takes a while to notice
			}
			return n, nil
		}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Get(ctx, "a"); err != context.DeadlineExceeded {
			t.Fatal(err)
		}
		synctest.Wait()
		if cause != context.Canceled {
			t.Errorf("the load's context: %v, want context.Canceled", cause)
		}
		if v, err := c.Get(t.Context(), "a"); v != 2 || err != nil { // while the first still winds down
			t.Errorf("a newcomer got %d, %v, want a load of its own", v, err)
		}
		if s := c.Stats(); s.LoadCanceled != 1 || s.Loads != 1 || s.Detached != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestG5_AHitNeedsNoLiveContext(t *testing.T) {
	s := &source{}
	c := newCache(t, cache.Config[string, int]{Load: s.load})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Get(ctx, "a"); err != context.Canceled || s.count() != 0 {
		t.Errorf("a miss with a dead context: %v, %d loads", err, s.count())
	}
	mustGet(t, c, "a", 1)
	if v, err := c.Get(ctx, "a"); v != 1 || err != nil {
		t.Errorf("a hit with a dead context: %d, %v", v, err)
	}
}

// G6: readers, cancellations, failures, deletes at random: no error means the value.
func TestG6_NoErrorMeansTheLoadedValue(t *testing.T) {
	var n atomic.Int64
	c := newCache(t, cache.Config[string, int]{Load: func(ctx context.Context, key string) (int, error) {
		switch n.Add(1) % 5 {
		case 0:
			return 0, errDown
		case 1:
			runtime.Gosched()
		}
		want, _ := strconv.Atoi(key)
		return want, ctx.Err()
	}})
	every(8, func(i int) {
		for round := range 2_000 {
			key := 1 + (round+i)%7
			ctx, cancel := context.WithCancel(t.Context())
			if round%3 == 0 {
				go cancel()
			}
			if v, err := c.Get(ctx, strconv.Itoa(key)); err == nil && v != key {
				t.Errorf("Get(%d) = %d, nil", key, v)
			}
			cancel()
			if round%4 == 0 {
				c.Delete(strconv.Itoa(key))
			}
		}
	})
}

func TestG7_AKeyThatLoadsItselfIsAnError(t *testing.T) {
	var c *cache.Cache[string, int]
	c = newCache(t, cache.Config[string, int]{Load: func(ctx context.Context, key string) (int, error) {
		next := map[string]string{"a": "b", "b": "c", "c": "a", "x": "y"}[key]
		if next == "" {
			return 1, nil
		}
		v, err := c.Get(ctx, next)
		return v + 1, err
	}})
	for _, ctx := range []context.Context{t.Context(), context.Background()} {
		if _, err := c.Get(ctx, "a"); err == nil || err.Error() != "cache: key a loads itself" {
			t.Errorf("a needs b needs c needs a: %v", err)
		}
		if v, err := c.Get(ctx, "x"); v != 2 || err != nil {
			t.Errorf("x needs y: %d, %v", v, err)
		}
		c.PurgeAll()
	}
}

func TestG7_TwoLoadsThatWaitForEachOtherEndByLoadTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c *cache.Cache[string, int]
		c = newCache(t, cache.Config[string, int]{LoadTimeout: time.Second, Load: func(ctx context.Context, key string) (int, error) {
			time.Sleep(time.Millisecond)
			return c.Get(ctx, map[string]string{"a": "b", "b": "a"}[key])
		}})
		every(2, func(i int) {
			if _, err := c.Get(t.Context(), []string{"a", "b"}[i]); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v", err)
			}
		})
	})
}

func TestG8_ErrorsAreReturnedAsTheyAreAndNotRemembered(t *testing.T) {
	s := &source{say: fails}
	c := newCache(t, cache.Config[string, int]{Load: s.load})
	for range 2 {
		if _, err := c.Get(t.Context(), "a"); err != errDown {
			t.Errorf("%v, want the loader's own value", err)
		}
	}
	s.set(nil)
	mustGet(t, c, "a", 3)
}

func TestGet_WithoutALoader(t *testing.T) {
	c := newCache(t, cache.Config[string, int]{})
	if _, err := c.Get(t.Context(), "a"); err != cache.ErrNotFound {
		t.Errorf("%v, want ErrNotFound", err)
	}
	c.Set("a", 7)
	mustGet(t, c, "a", 7)
	c.Refresh("a") // there is nothing to ask
	c.ExpireTags("x")
	mustGet(t, c, "a", 7)
}

func TestGet_KeepsTheValuesOfTheCallersContext(t *testing.T) {
	type key struct{}
	c := newCache(t, cache.Config[string, any]{Load: func(ctx context.Context, _ string) (any, error) {
		if _, has := ctx.Deadline(); has {
			t.Error("the load has the caller's deadline")
		}
		return ctx.Value(key{}), nil
	}})
	ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), key{}, 7), time.Minute)
	defer cancel()
	if v, err := c.Get(ctx, "a"); v != 7 || err != nil {
		t.Errorf("%v, %v", v, err)
	}
}

func TestPeek(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{say: func(n int) (int, error) {
			if n == 2 {
				return 0, cache.ErrNotFound
			}
			return n, nil
		}}
		c := newCache(t, cache.Config[string, int]{Load: s.load, TTL: time.Second, StaleIfError: time.Hour, NegativeTTL: time.Hour})
		if _, ok := c.Peek("a"); ok || s.count() != 0 {
			t.Error("Peek loaded")
		}
		mustGet(t, c, "a", 1)
		before := c.Stats()
		if v, ok := c.Peek("a"); !ok || v != 1 || c.Stats().Hits != before.Hits {
			t.Errorf("Peek: %d, %v", v, ok)
		}
		time.Sleep(time.Second)
		if v, ok := c.Peek("a"); ok || v != 0 {
			t.Errorf("Peek of a stale entry: %d, %v", v, ok)
		}
		_, _ = c.Get(t.Context(), "none")
		if _, ok := c.Peek("none"); ok {
			t.Error("Peek found what does not exist")
		}
	})
}

func TestStats_EveryGetHasOneOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{say: func(n int) (int, error) { time.Sleep(time.Second); return n, nil }}
		c := newCache(t, cache.Config[string, int]{Load: s.load, TTL: time.Minute, StaleWhileRevalidate: time.Minute})
		every(4, func(int) { _, _ = c.Get(t.Context(), "a") })
		mustGet(t, c, "a", 1)
		mustGet(t, c, "a", 1)
		time.Sleep(time.Minute)
		mustGet(t, c, "a", 1)
		time.Sleep(2 * time.Second)
		got := c.Stats()
		if got.Misses != 1 || got.Coalesced != 3 || got.Hits != 2 || got.Stale != 1 || got.Loads != 2 || got.Refreshes != 1 ||
			got.Items != 1 || got.Bytes == 0 || got.InFlight != 0 || got.SavedSeconds != 6 || got.LoadSeconds.Count() != 2 || got.LoadSeconds.Sum() != 2 {
			t.Errorf("%+v", got)
		}
	})
}

func TestErrors_CutLongKeys(t *testing.T) {
	var c *cache.Cache[string, int]
	c = newCache(t, cache.Config[string, int]{Load: func(ctx context.Context, key string) (int, error) { return c.Get(ctx, key) }})
	if _, err := c.Get(t.Context(), strings.Repeat("k", 500)); len(err.Error()) > 100 {
		t.Errorf("an error of %d bytes: %v", len(err.Error()), err)
	}
}
