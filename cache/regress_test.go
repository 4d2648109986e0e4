package cache_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/cache"
)

// Each test here is named after what it prevents: something that was once wrong.

// A LoadMany that sorts the keys it is given mixed up the values.
func TestG9_TheLoaderMaySortItsKeys(t *testing.T) {
	c := newCache(t, cache.Config[int, string]{LoadMany: func(_ context.Context, keys []int) (map[int]string, error) {
		slices.Sort(keys)
		values := map[int]string{}
		for _, key := range keys {
			values[key] = "v" + strconv.Itoa(key)
		}
		clear(keys)
		return values, nil
	}})
	want := map[int]string{1: "v1", 2: "v2", 3: "v3"}
	for range 2 {
		if got, err := c.GetMany(t.Context(), []int{3, 1, 2}); !maps.Equal(got, want) || err != nil {
			t.Errorf("%v, %v, want %v", got, err, want)
		}
	}
	if s := c.Stats(); s.Hits != 3 {
		t.Errorf("%d hits, want 3: the values were stored", s.Hits)
	}
}

func TestG9_NaN(t *testing.T) {
	c := newCache(t, cache.Config[float64, int]{LoadMany: func(_ context.Context, keys []float64) (map[float64]int, error) {
		return map[float64]int{1: 10}, nil
	}})
	got, err := c.GetMany(t.Context(), []float64{math.NaN(), 1})
	if !maps.Equal(got, map[float64]int{1: 10}) || err != nil {
		t.Errorf("%v, %v", got, err)
	}
}

// What a source returns beside "not found" is still found.
func TestG9_ValuesBesideErrNotFound(t *testing.T) {
	c := newCache(t, cache.Config[string, int]{NegativeTTL: time.Hour, LoadMany: func(context.Context, []string) (map[string]int, error) {
		return map[string]int{"a": 1}, fmt.Errorf("b: %w", cache.ErrNotFound)
	}})
	got, err := c.GetMany(t.Context(), []string{"a", "b"})
	if !maps.Equal(got, map[string]int{"a": 1}) || err != nil {
		t.Errorf("%v, %v", got, err)
	}
	mustGet(t, c, "a", 1)
}

// W4 for GetMany, and for values that are not stored.
func TestW4_WhoAsksAfterAPurgeGetsALaterLoad(t *testing.T) {
	many := strings.Split(strings.Repeat("x", 100), "")
	for name, cfg := range map[string]cache.Config[string, int]{
		"stored":         {},
		"Weigh refuses":  {Weigh: func(string, int) int64 { return -1 }},
		"too many tags":  {Tags: func(string, int) []string { return many }},
		"not to be kept": {TTL: -1},
	} {
		for _, how := range []string{"Get", "GetMany"} {
			t.Run(name+", "+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := &source{}
					cfg.Logger = new(logbook).logger()
					cfg.LoadMany = func(ctx context.Context, keys []string) (map[string]int, error) {
						n, _ := s.load(ctx, "")
						time.Sleep(time.Second)
						cache.AddTags(ctx, "a")
						if name == "not to be kept" {
							cache.SetTTL(ctx, 0)
						}
						return map[string]int{keys[0]: n}, nil
					}
					c := newCache(t, cfg)
					get := func() (int, error) {
						if how == "Get" {
							return c.Get(t.Context(), "x")
						}
						got, err := c.GetMany(t.Context(), []string{"x"})
						return got["x"], err
					}
					var before int
					go func() { before, _ = get() }()
					synctest.Wait()
					c.PurgeTags("a")
					after, err := get()
					synctest.Wait()
					if before != 1 || after != 2 || err != nil {
						t.Errorf("before the purge %d, after it %d, %v", before, after, err)
					}
				})
			})
		}
	}
}

// A lookup that joined, found the answer older than a purge, and loaded is a miss and saved nothing.
func TestStats_WhoLoadsAfterAllIsAMiss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{say: func(n int) (int, error) { time.Sleep(time.Second); return n, nil }}
		c := newCache(t, cache.Config[string, int]{Load: s.load, Tags: func(string, int) []string { return []string{"a"} }})
		go c.Get(t.Context(), "x")
		synctest.Wait()
		c.PurgeTags("a")
		mustGet(t, c, "x", 2)
		synctest.Wait()
		if s := c.Stats(); s.Misses != 2 || s.Coalesced != 0 || s.SavedSeconds != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// However a LoadMany ends, each of its keys is one lookup.
func TestStats_EveryKeyOfAPanicCounts(t *testing.T) {
	for name, end := range map[string]func(){"panic": boom, "Goexit": runtime.Goexit} {
		for _, ctx := range []context.Context{context.Background(), t.Context()} {
			c := newCache(t, cache.Config[string, int]{LoadMany: func(context.Context, []string) (map[string]int, error) { end(); return nil, nil }})
			var wg sync.WaitGroup
			wg.Go(func() {
				defer func() { _ = recover() }()
				_, _ = c.GetMany(ctx, []string{"a", "b", "c"})
			})
			wg.Wait()
			if s := c.Stats(); s.Misses != 3 || s.LoadPanics != 3 {
				t.Errorf("%s: %d misses, %d panics, want 3 and 3", name, s.Misses, s.LoadPanics)
			}
		}
	}
}

// X5: one failure is one back-off, whoever waits for it and however it fails.
func TestX5_OneFailureCountsOnce(t *testing.T) {
	for name, say := range map[string]func(int) (int, error){
		"at once": fails,
		"slowly":  func(int) (int, error) { time.Sleep(10 * time.Millisecond); return 0, errDown },
		"panic":   func(int) (int, error) { panic("boom") },
		"timeout": func(int) (int, error) { time.Sleep(time.Minute); return 0, errDown },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &source{}
				c := newCache(t, cache.Config[string, int]{Load: s.load, TTL: time.Second, StaleIfError: 10 * time.Hour, LoadTimeout: time.Second})
				mustGet(t, c, "a", 1)
				time.Sleep(time.Second)
				s.set(say)
				ask := func() {
					every(16, func(int) {
						defer func() { _ = recover() }() // of the one that started it
						if v, err := c.Get(t.Context(), "a"); v != 1 && !errors.As(err, new(*cache.PanicError)) {
							t.Errorf("%d, %v", v, err)
						}
					})
				}
				ask()
				if n := s.count(); n != 2 {
					t.Errorf("%d loads, want one attempt for 16 callers", n-1)
				}
				time.Sleep(time.Second) // the first wait is over, and no longer one than that
				ask()
				if n := s.count(); n != 3 {
					t.Errorf("%d loads after a second, want a second attempt", n-1)
				}
				time.Sleep(time.Second)
				ask()
				if n := s.count(); n != 3 {
					t.Errorf("%d loads after two, want the second wait to be longer", n-1)
				}
				time.Sleep(2 * time.Minute)
			})
		})
	}
}

// A loader that hangs in the refreshes of one key does not take the places of all others.
func TestX5_AHungRefreshBacksOffAndIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logbook
		var hung atomic.Int32
		stuck := make(chan struct{})
		s := &source{}
		c := newCache(t, cache.Config[string, int]{
			TTL: time.Second, StaleWhileRevalidate: time.Hour, LoadTimeout: 10 * time.Millisecond, Logger: log.logger(),
			Load: func(ctx context.Context, key string) (int, error) {
				n, _ := s.load(ctx, key)
				if n > 1 {
					hung.Add(1)
					<-stuck
				}
				return n, nil
			},
		})
		mustGet(t, c, "a", 1)
		time.Sleep(time.Second)
		for range 10_000 { // ten seconds
			mustGet(t, c, "a", 1)
			time.Sleep(time.Millisecond)
		}
		if n := hung.Load(); n > 4 {
			t.Errorf("%d loads hang, want at most four: after 0, 1, 3 and 7 seconds", n)
		}
		if !strings.Contains(log.String(), "took too long") {
			t.Errorf("logged %q", log.String())
		}
		if c.Stats().InFlight == 0 {
			t.Error("nothing hangs: the test does not test")
		}
		close(stuck)
	})
}

// A refresh that was put off waits for the back-off too.
func TestX5_APutOffRefreshWaitsToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{}
		c := newCache(t, cache.Config[string, int]{Load: s.load, TTL: time.Hour, MaxRefreshes: 1, Logger: new(logbook).logger()})
		mustGet(t, c, "a", 1)
		s.set(func(int) (int, error) { time.Sleep(time.Second); return 0, errDown })
		c.Refresh("a")
		c.Refresh("a") // there is no place for it
		time.Sleep(time.Second)
		synctest.Wait()
		for range 10 {
			mustGet(t, c, "a", 1)
			synctest.Wait()
		}
		if n := s.count(); n != 2 {
			t.Errorf("%d loads, want none before a second has passed", n)
		}
		time.Sleep(time.Second)
		mustGet(t, c, "a", 1)
		synctest.Wait()
		if n := s.count(); n != 3 {
			t.Errorf("%d loads, want the one that was put off", n)
		}
		time.Sleep(time.Second)
	})
}

// The time limit of refreshes is not one for callers who happen to join one.
func TestX9_NoTimeoutMeansNone(t *testing.T) {
	for _, how := range []string{"Get", "GetMany"} {
		synctest.Test(t, func(t *testing.T) {
			s := &source{say: func(n int) (int, error) { time.Sleep(45 * time.Second); return n, nil }}
			cfg := cache.Config[string, int]{Load: s.load, Logger: new(logbook).logger()}
			if how == "GetMany" {
				cfg.LoadMany = func(ctx context.Context, keys []string) (map[string]int, error) {
					n, err := s.load(ctx, "")
					return map[string]int{keys[0]: n}, err
				}
			}
			c := newCache(t, cfg)
			c.Refresh("a")
			time.Sleep(29 * time.Second)
			if how == "Get" {
				mustGet(t, c, "a", 2)
			} else if got, err := c.GetMany(t.Context(), []string{"a"}); got["a"] != 2 || err != nil {
				t.Errorf("%v, %v", got, err)
			}
			time.Sleep(time.Minute)
		})
	}
}

func TestX9_ARefreshEndsAfter30Seconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ended time.Duration
		start := time.Now()
		c := newCache(t, cache.Config[string, int]{Logger: new(logbook).logger(), Load: func(ctx context.Context, _ string) (int, error) {
			<-ctx.Done()
			ended = time.Since(start)
			time.Sleep(time.Second)
			return 7, nil // too late
		}})
		c.Refresh("a")
		time.Sleep(time.Minute)
		synctest.Wait()
		if _, ok := c.Peek("a"); ok || ended != 30*time.Second {
			t.Errorf("stored %v, ended after %v", ok, ended)
		}
	})
}

// Goexit in a refresh is a failure like a panic.
func TestP3_GoexitBehindIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logbook
		c := newCache(t, cache.Config[string, int]{MaxRefreshes: 1, Logger: log.logger(), Load: func(context.Context, string) (int, error) { runtime.Goexit(); return 0, nil }})
		for range 3 { // each needs the one place
			c.Refresh("a")
			synctest.Wait()
		}
		if n := strings.Count(log.String(), "Goexit was called"); n != 3 || c.Stats().LoadPanics != 3 {
			t.Errorf("logged %d times, counted %d", n, c.Stats().LoadPanics)
		}
	})
}

// vanishing is a Store whose entry is deleted directly after it was looked at.
type vanishing struct {
	cache.Store[string, int]
	now atomic.Bool
}

func (v *vanishing) Get(key string) *cache.Entry[string, int] {
	e := v.Store.Get(key)
	if v.now.Load() {
		v.Store.Delete(key)
	}
	return e
}

// Delete between the look at an old entry and the start of its refresh: nothing comes back.
func TestW3_ARefreshDoesNotResurrect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine, err := cache.NewStore[string, int](0, 0)
		if err != nil {
			t.Fatal(err)
		}
		store, s := &vanishing{Store: engine}, &source{}
		c := newCache(t, cache.Config[string, int]{Load: s.load, Store: store, TTL: time.Second, StaleWhileRevalidate: time.Hour})
		mustGet(t, c, "a", 1)
		time.Sleep(time.Second)
		store.now.Store(true)
		mustGet(t, c, "a", 1) // stale, and deleted before its refresh begins
		behind()
		if _, ok := c.Peek("a"); ok || s.count() != 1 {
			t.Errorf("here again: %v, %d loads, want none but the first", ok, s.count())
		}
	})
}

// Keys that cannot be hashed, and Stores that panic, cost no place and hang nobody.
func TestB6_APanicTakesNoPlace(t *testing.T) {
	c := newCache(t, cache.Config[any, int]{MaxRefreshes: 2, Load: func(context.Context, any) (int, error) { return 7, nil }})
	for range 5 {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("a key that cannot be hashed did not panic")
				}
			}()
			c.Refresh([]int{1})
		}()
	}
	c.Refresh("a")
	for end := time.Now().Add(10 * time.Second); c.Stats().Refreshes == 0 || c.Stats().InFlight > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no refresh begins any more")
		}
	}
}

// broken is a Store that panics for one key.
type broken struct{ cache.Store[string, int] }

func (b broken) Peek(key string) *cache.Entry[string, int] {
	if key == "peek" {
		panic("broken store")
	}
	return b.Store.Peek(key)
}

func (b broken) Set(e *cache.Entry[string, int]) bool {
	if e.Key == "set" {
		panic("broken store")
	}
	return b.Store.Set(e)
}

func TestP1_AStoreThatPanics(t *testing.T) {
	engine, _ := cache.NewStore[string, int](0, 0)
	c := newCache(t, cache.Config[string, int]{Store: broken{engine}, LoadMany: func(_ context.Context, keys []string) (map[string]int, error) {
		return map[string]int{"a": 1, "set": 2}, nil
	}})
	try := func(f func()) (p any) {
		defer func() { p = recover() }()
		f()
		return nil
	}
	if p := try(func() { _, _ = c.GetMany(t.Context(), []string{"a", "peek"}) }); p != "broken store" {
		t.Errorf("recovered %v", p)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if v, err := c.Get(ctx, "a"); v != 1 || err != nil { // its flight was given up, not left hanging
		t.Errorf("%d, %v", v, err)
	}
	if p := try(func() { _, _ = c.Get(t.Context(), "set") }); p == nil {
		t.Error("the Store's panic was lost")
	}
}

// What an entry points to besides its value is weighed: tags, and the error of a negative one.
func TestB1_TagsAndErrorsHaveWeight(t *testing.T) {
	tags := strings.Split(strings.Repeat("x", 64), "")
	c := newCache(t, cache.Config[string, int]{NegativeTTL: time.Hour, Load: func(_ context.Context, key string) (int, error) {
		return 0, fmt.Errorf("%s: %w", strings.Repeat("long ", 1_000), cache.ErrNotFound)
	}})
	weight := func(f func()) int64 {
		before := c.Stats().Bytes
		f()
		return c.Stats().Bytes - before
	}
	plain, tagged := weight(func() { c.Set("a", 1) }), weight(func() { c.Set("b", 1, tags...) })
	if tagged < plain+64*4 {
		t.Errorf("64 tags weigh %d bytes", tagged-plain)
	}
	if missing := weight(func() { _, _ = c.Get(t.Context(), "c") }); missing < 5_000 {
		t.Errorf("an error of 5 KB weighs %d bytes", missing)
	}
}

// The answers of GetMany are copies too, and what they saved is counted.
func TestC1_GetManyClones(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, cache.Config[string, []int]{
			LoadMany: func(context.Context, []string) (map[string][]int, error) {
				time.Sleep(2 * time.Second)
				return map[string][]int{"a": {1}, "b": {1}}, nil
			},
			Clone: slices.Clone[[]int],
		})
		every(2, func(int) {
			got, err := c.GetMany(t.Context(), []string{"a", "b"})
			if err != nil || got["a"][0] != 1 {
				t.Errorf("%v, %v", got, err)
			}
			got["a"][0] = 99
		})
		if v, _ := c.Peek("a"); v[0] != 1 {
			t.Errorf("a caller's change is seen: %v", v)
		}
		if s := c.Stats(); s.Coalesced != 2 || s.SavedSeconds != 2 {
			t.Errorf("%d coalesced, %v s saved, want 2 keys of 1 s each", s.Coalesced, s.SavedSeconds)
		}
	})
}

// G2 and G4 for GetMany: its load goes on while anybody waits for any of its keys, and ends
// with the last.
func TestG4_OfManyKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ended error
		loads := 0
		c := newCache(t, cache.Config[string, int]{LoadMany: func(ctx context.Context, keys []string) (map[string]int, error) {
			loads++
			select {
			case <-time.After(time.Minute):
			case <-ctx.Done():
				ended = ctx.Err()
			}
			return map[string]int{"a": 1, "b": 2}, ctx.Err()
		}})
		starter, cancelStarter := context.WithCancel(t.Context())
		joiner, cancelJoiner := context.WithCancel(t.Context())
		go c.GetMany(starter, []string{"a", "b", "c"})
		synctest.Wait()
		go c.Get(joiner, "b")
		synctest.Wait()
		cancelStarter()
		synctest.Wait()
		if ended != nil {
			t.Fatal("the load ended although one caller waits for one of its keys")
		}
		cancelJoiner()
		synctest.Wait()
		if ended != context.Canceled || loads != 1 {
			t.Fatalf("after the last has left: %v, %d loads", ended, loads)
		}
		if got, err := c.GetMany(t.Context(), []string{"a", "b"}); len(got) != 2 || err != nil || loads != 2 {
			t.Errorf("a newcomer: %v, %v, %d loads", got, err, loads)
		}
	})
}

// G7 for GetMany: any of its keys, and through another cache.
func TestG7_ManyKeysThatLoadThemselves(t *testing.T) {
	var many, other *cache.Cache[string, int]
	many = newCache(t, cache.Config[string, int]{LoadMany: func(ctx context.Context, keys []string) (map[string]int, error) {
		got := map[string]int{}
		for _, key := range keys {
			v, err := other.Get(ctx, key)
			if err != nil {
				return nil, err
			}
			got[key] = v
		}
		return got, nil
	}})
	other = newCache(t, cache.Config[string, int]{Load: func(ctx context.Context, key string) (int, error) {
		got, err := many.GetMany(ctx, []string{"c"})
		return got["c"], err
	}})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if got, err := many.GetMany(ctx, []string{"a", "b", "c"}); err == nil || !strings.Contains(err.Error(), "loads itself") {
		t.Errorf("%v, %v", got, err)
	}
}

// A refresh is no part of the load that happened to start it.
func TestG7_ARefreshInsideALoadIsNoLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logbook
		var c *cache.Cache[string, int]
		n := 0
		c = newCache(t, cache.Config[string, int]{TTL: time.Second, StaleWhileRevalidate: time.Hour, Logger: log.logger(), Load: func(ctx context.Context, key string) (int, error) {
			n++
			if key == "page" {
				return c.Get(ctx, "part")
			}
			if n > 1 {
				if _, err := c.Get(ctx, "page"); err != nil { // part's refresh needs the page that is being loaded
					return 0, err
				}
			}
			return n, nil
		}})
		mustGet(t, c, "part", 1)
		time.Sleep(time.Second)
		mustGet(t, c, "page", 1) // the stale part, whose refresh begins inside this load
		synctest.Wait()
		if log.String() != "" {
			t.Errorf("logged %s", log.String())
		}
	})
}

// A context that has done its work is ended: no timer and no child of it stays.
func TestZ1_TheContextOfALoadEndsWithIt(t *testing.T) {
	for name, cfg := range map[string]cache.Config[string, int]{"no timeout": {}, "timeout": {LoadTimeout: time.Hour}} {
		var kept []context.Context
		cfg.Load = func(ctx context.Context, _ string) (int, error) { kept = append(kept, ctx); return 1, nil }
		c := newCache(t, cfg)
		cfg.Load, cfg.LoadMany = nil, func(ctx context.Context, _ []string) (map[string]int, error) {
			kept = append(kept, ctx)
			return nil, nil
		}
		m := newCache(t, cfg)
		_, _ = c.Get(t.Context(), "a")
		_, _ = c.Get(context.Background(), "b")
		_, _ = m.GetMany(t.Context(), []string{"a", "b"})
		_, _ = m.GetMany(context.Background(), []string{"c"})
		for i, ctx := range kept {
			select {
			case <-ctx.Done():
			case <-time.After(10 * time.Second):
				t.Errorf("%s: the context of load %d lives on", name, i)
			}
		}
	}
}
