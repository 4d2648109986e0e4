package cache_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/cache"
)

func TestX1_FreshForExactlyTTL(t *testing.T) {
	for _, tc := range []struct {
		name       string
		cfg        cache.Config[string, int]
		after      time.Duration
		want       int
		mayBeEarly bool
	}{
		{"a nanosecond before its end", cache.Config[string, int]{TTL: time.Second}, time.Second - 1, 1, false},
		{"at its end", cache.Config[string, int]{TTL: time.Second}, time.Second, 2, false},
		{"a nanosecond after", cache.Config[string, int]{TTL: time.Second}, time.Second + 1, 2, false},
		{"the default is a minute: before", cache.Config[string, int]{}, time.Minute - 1, 1, false},
		{"the default is a minute: at its end", cache.Config[string, int]{}, time.Minute, 2, false},
		{"for ever", cache.Config[string, int]{TTL: -1}, longTime, 1, false},
		{"overflow is for ever", cache.Config[string, int]{TTL: math.MaxInt64, StaleIfError: math.MaxInt64}, longTime, 1, false},
		{"jitter never lengthens", cache.Config[string, int]{TTL: time.Second, Jitter: 0.9}, time.Second, 2, false},
		{"jitter leaves its share", cache.Config[string, int]{TTL: time.Second, Jitter: 0.5}, time.Second/2 - 1, 1, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tc.cfg.Load = (&source{}).load
				c := newCache(t, tc.cfg)
				mustGet(t, c, "a", 1)
				time.Sleep(tc.after)
				mustGet(t, c, "a", tc.want)
			})
		})
	}
}

func TestX1_JitterSpreads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, cache.Config[int, int]{TTL: time.Second, Jitter: 0.5})
		for i := range 1_000 {
			c.Set(i, i)
		}
		time.Sleep(750 * time.Millisecond)
		fresh := 0
		for i := range 1_000 {
			if _, ok := c.Peek(i); ok {
				fresh++
			}
		}
		if fresh < 400 || fresh > 600 {
			t.Errorf("%d of 1000 are fresh in the middle, want about half", fresh)
		}
	})
}

func TestX2_SetTTLBeatsTheConfig(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{}
		ttl := time.Duration(0)
		c := newCache(t, cache.Config[string, int]{TTL: time.Second, Load: func(ctx context.Context, key string) (int, error) {
			cache.SetTTL(ctx, ttl)
			return s.load(ctx, key)
		}})
		mustGet(t, c, "a", 1)
		mustGet(t, c, "a", 2) // 0: returned and not stored
		ttl = time.Hour
		mustGet(t, c, "a", 3)
		time.Sleep(time.Hour - 1)
		mustGet(t, c, "a", 3)
		ttl = -1
		time.Sleep(time.Nanosecond)
		mustGet(t, c, "a", 4)
		time.Sleep(1000 * time.Hour)
		mustGet(t, c, "a", 4)
	})
}

// X2: a refresh whose answer must not be stored takes the older one away too.
func TestX2_NotStoredMeansNothingIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{}
		store := true
		c := newCache(t, cache.Config[string, int]{Load: func(ctx context.Context, key string) (int, error) {
			if !store {
				cache.SetTTL(ctx, 0)
			}
			return s.load(ctx, key)
		}})
		mustGet(t, c, "a", 1)
		store = false
		c.Refresh("a")
		behind()
		mustGet(t, c, "a", 3)
	})
}

func TestX2_SetTTLElsewhereDoesNothing(t *testing.T) {
	cache.SetTTL(t.Context(), time.Hour)
	cache.AddTags(t.Context(), "a")
}

func TestX3_StaleWhileRevalidate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{say: func(n int) (int, error) { time.Sleep(time.Second); return n, nil }}
		c := newCache(t, cache.Config[string, int]{Load: s.load, TTL: time.Minute, StaleWhileRevalidate: time.Minute})
		mustGet(t, c, "a", 1)
		time.Sleep(time.Minute)
		start := time.Now()
		every(8, func(int) { mustGet(t, c, "a", 1) }) // the old value, at once
		if time.Since(start) != 0 {
			t.Errorf("a stale answer took %v", time.Since(start))
		}
		time.Sleep(time.Second)
		behind()
		mustGet(t, c, "a", 2)
		if s.count() != 2 {
			t.Errorf("%d loads, want one refresh for eight callers", s.count())
		}
		time.Sleep(2*time.Minute - 1) // the last nanosecond
		mustGet(t, c, "a", 2)
		time.Sleep(4 * time.Minute)
		mustGet(t, c, "a", 4) // past both: a load of its own
	})
}

func TestX4_StaleIfError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{}
		c := newCache(t, cache.Config[string, int]{Load: s.load, TTL: time.Minute, StaleIfError: time.Hour})
		mustGet(t, c, "a", 1)
		time.Sleep(time.Minute)
		mustGet(t, c, "a", 2) // it loads: stale is for errors only
		s.set(fails)
		time.Sleep(61*time.Minute - 1)
		mustGet(t, c, "a", 2)
		if got := c.Stats(); got.Stale != 1 || got.LoadErrors != 1 {
			t.Errorf("%+v", got)
		}
		time.Sleep(time.Hour)
		if _, err := c.Get(t.Context(), "a"); err != errDown {
			t.Errorf("past StaleIfError: %v", err)
		}
	})
}

func TestX4_NotForNotFoundNorForTheCallersOwnEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{}
		c := newCache(t, cache.Config[string, int]{Load: s.load, TTL: time.Second, StaleIfError: time.Hour})
		mustGet(t, c, "a", 1)
		time.Sleep(time.Second)
		s.set(func(int) (int, error) { time.Sleep(time.Minute); return 0, errDown })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Get(ctx, "a"); err != context.DeadlineExceeded {
			t.Errorf("the caller's own end: %v", err)
		}
		time.Sleep(time.Minute)
		s.set(func(int) (int, error) { return 0, cache.ErrNotFound })
		if v, err := c.Get(t.Context(), "a"); err != cache.ErrNotFound {
			t.Errorf("not found: %d, %v", v, err)
		}
	})
}

func TestX5_AfterAFailureTheNextLoadWaits(t *testing.T) {
	for name, cfg := range map[string]cache.Config[string, int]{
		"behind":            {TTL: time.Second, StaleWhileRevalidate: 10 * time.Hour},
		"before the caller": {TTL: time.Second, StaleIfError: 10 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log logbook
				s := &source{}
				cfg.Load, cfg.Logger = s.load, log.logger()
				c := newCache(t, cfg)
				mustGet(t, c, "a", 1)
				s.set(fails)
				time.Sleep(time.Second)
				start := time.Now()
				var at []time.Duration
				for time.Since(start) < 3*time.Minute {
					n := s.count()
					mustGet(t, c, "a", 1)
					behind()
					if s.count() > n {
						at = append(at, time.Since(start))
					}
					time.Sleep(100 * time.Millisecond)
				}
				want := []time.Duration{0, 1, 3, 7, 15, 31, 61, 91, 121, 151}
				for i := range want {
					if i >= len(at) || at[i] != want[i]*time.Second {
						t.Fatalf("loads at %v, want them at %d seconds", at[:min(len(at), 12)], want)
					}
				}
				s.set(nil)
				time.Sleep(30 * time.Second)
				_, _ = c.Get(t.Context(), "a")
				behind()
				if v, _ := c.Get(t.Context(), "a"); v == 1 {
					t.Error("the source is back, and the old value is still there")
				}
			})
		})
	}
}

func TestX6_EarlyRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{say: func(n int) (int, error) { time.Sleep(time.Second); return n, nil }}
		c := newCache(t, cache.Config[string, int]{Load: s.load, TTL: time.Minute, EarlyRefresh: 1})
		mustGet(t, c, "a", 1)
		time.Sleep(39 * time.Second) // more than 20 x Cost x beta before its end: never
		for range 1_000 {
			mustGet(t, c, "a", 1)
		}
		behind()
		if s.count() != 1 {
			t.Errorf("%d loads with 21 s to live", s.count())
		}
		time.Sleep(20 * time.Second) // one Cost before: each Get refreshes with probability 1/e
		for range 100 {
			mustGet(t, c, "a", 1) // and still answers at once
		}
		time.Sleep(time.Second)
		behind()
		if s.count() != 2 {
			t.Errorf("%d loads near the end, want one refresh", s.count())
		}
		mustGet(t, c, "a", 2)
	})
}

func TestX7_Refresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logbook
		s := &source{}
		c := newCache(t, cache.Config[string, int]{Load: s.load, Logger: log.logger()})
		c.Refresh("a") // absent: it is loaded
		behind()
		if v, ok := c.Peek("a"); !ok || v != 1 {
			t.Errorf("%d, %v", v, ok)
		}
		c.Refresh("a")
		behind()
		mustGet(t, c, "a", 2)
		s.set(fails)
		c.Refresh("a")
		behind()
		mustGet(t, c, "a", 2)
		if !strings.Contains(log.String(), "key a") || !strings.Contains(log.String(), errDown.Error()) {
			t.Errorf("logged %q", log.String())
		}
	})
}

// X8: times come from the monotonic clock only. A wall clock that jumps cannot be had in a
// test, but the lack of one can: an entry's times are differences, never dates.
func TestX8_TimesAreMonotonic(t *testing.T) {
	e := cache.NewEntry("a", 1, 1, 0, time.Hour)
	if e.Garbage() {
		t.Error("garbage at once")
	}
	synctest.Test(t, func(t *testing.T) { // where the wall clock says the year 2000
		e := cache.NewEntry("a", 1, 1, 0, time.Hour)
		time.Sleep(time.Hour - 1)
		if e.Garbage() {
			t.Error("garbage before its end")
		}
		time.Sleep(time.Nanosecond)
		if !e.Garbage() {
			t.Error("not garbage at its end")
		}
	})
}

func TestX9_LoadTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ended error
		s := &source{say: func(n int) (int, error) { return n, nil }}
		c := newCache(t, cache.Config[string, int]{LoadTimeout: time.Second, TTL: time.Minute, StaleIfError: time.Hour, Load: func(ctx context.Context, key string) (int, error) {
			v, err := s.load(ctx, key)
			if v > 1 {
				time.Sleep(time.Minute) // deaf
				ended = ctx.Err()
			}
			return v, err
		}})
		mustGet(t, c, "a", 1)
		for _, key := range []string{"b", "a"} {
			time.Sleep(time.Minute)
			start := time.Now()
			v, err := c.Get(context.Background(), key)
			if took := time.Since(start); took != time.Second {
				t.Errorf("%s: took %v, want LoadTimeout", key, took)
			}
			if key == "b" && !errors.Is(err, context.DeadlineExceeded) || key == "a" && (v != 1 || err != nil) {
				t.Errorf("%s: %d, %v", key, v, err)
			}
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if ended != context.DeadlineExceeded {
			t.Errorf("the load's context: %v", ended)
		}
		if _, ok := c.Peek("b"); ok {
			t.Error("a late result was stored")
		}
	})
}

func TestX11_TTLCountsFromTheEndOfTheLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{say: func(n int) (int, error) { time.Sleep(time.Hour); return n, nil }} // longer than TTL
		c := newCache(t, cache.Config[string, int]{Load: s.load, TTL: time.Second})
		mustGet(t, c, "a", 1)
		time.Sleep(time.Second - 1)
		mustGet(t, c, "a", 1)
		time.Sleep(time.Nanosecond)
		mustGet(t, c, "a", 2)
	})
}

func TestX11_ARefreshUnderWayIsForgottenHoweverItEnds(t *testing.T) {
	for name, end := range map[string]func() (int, error){
		"error":   func() (int, error) { return 0, errDown },
		"panic":   func() (int, error) { panic("boom") },
		"evicted": func() (int, error) { return 2, nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log logbook
				s := &source{}
				c := newCache(t, cache.Config[string, int]{Load: s.load, TTL: time.Second, StaleWhileRevalidate: time.Hour, MaxItems: 1, MaxRefreshes: 1, Logger: log.logger()})
				mustGet(t, c, "a", 1)
				time.Sleep(time.Second)
				s.set(func(int) (int, error) { time.Sleep(time.Second); return end() })
				mustGet(t, c, "a", 1) // starts it
				if name == "evicted" {
					c.Set("b", 0)
				}
				time.Sleep(time.Minute)
				s.set(func(n int) (int, error) { return 100, nil })
				c.Refresh("a") // needs the one slot of MaxRefreshes
				behind()
				mustGet(t, c, "a", 100)
			})
		})
	}
}
