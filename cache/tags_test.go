package cache_test

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/cache"
)

func TestT1_PurgeTagsTakesAllOfATag(t *testing.T) {
	c := newCache(t, cache.Config[int, int]{Tags: func(key, _ int) []string { return []string{"mod" + strconv.Itoa(key%3)} }})
	for key := range 3_000 {
		c.Set(key, key)
	}
	c.PurgeTags("mod1")
	for key := range 3_000 {
		if _, ok := c.Peek(key); ok == (key%3 == 1) {
			t.Fatalf("key %d is here: %v", key, ok)
		}
	}
	if got := c.Stats().Purges; got != 1 {
		t.Errorf("%d purges", got)
	}
}

func TestT1_TagsOfSetConfigAndLoader(t *testing.T) {
	for _, tag := range []string{"config", "loader", "set"} {
		c := newCache(t, cache.Config[string, int]{
			Tags: func(string, int) []string { return []string{"config"} },
			Load: func(ctx context.Context, _ string) (int, error) {
				cache.AddTags(ctx, "loader")
				return 1, nil
			},
		})
		mustGet(t, c, "loaded", 1)
		c.Set("set", 1, "set")
		c.PurgeTags(tag)
		_, loaded := c.Peek("loaded")
		_, set := c.Peek("set")
		if loaded != (tag == "set") || set != (tag == "loader") {
			t.Errorf("after a purge of %q: loaded %v, set %v", tag, loaded, set)
		}
	}
}

func TestT2_PurgeOfAnUnknownTag(t *testing.T) {
	c := newCache(t, cache.Config[string, int]{})
	c.PurgeTags("never seen")
	c.PurgeTags()
	c.Set("a", 1, "never seen")
	if v, ok := c.Peek("a"); !ok || v != 1 {
		t.Error("a purge took what was set after it")
	}
}

func TestT3_ExpireTagsMakesStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{}
		c := newCache(t, cache.Config[string, int]{
			Load: s.load, TTL: time.Hour, StaleWhileRevalidate: time.Minute, StaleIfError: 10 * time.Minute,
			Tags: func(string, int) []string { return []string{"a"} },
		})
		mustGet(t, c, "x", 1)
		c.ExpireTags("a")
		mustGet(t, c, "x", 1) // stale, and refreshed behind
		behind()
		mustGet(t, c, "x", 2)

		c.ExpireTags("a")
		time.Sleep(time.Minute) // past StaleWhileRevalidate, counted from ExpireTags
		mustGet(t, c, "x", 3)

		s.set(fails)
		c.ExpireTags("a")
		time.Sleep(10*time.Minute - 1)
		mustGet(t, c, "x", 3)
		time.Sleep(time.Minute)
		if _, err := c.Get(t.Context(), "x"); err != errDown {
			t.Errorf("past StaleIfError: %v", err)
		}
	})
}

func TestT3_WhoAsksAfterExpireTagsJoinsNoOlderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{say: func(n int) (int, error) { time.Sleep(time.Second); return n, nil }}
		c := newCache(t, cache.Config[string, int]{Load: s.load, Tags: func(string, int) []string { return []string{"a"} }})
		go c.Get(t.Context(), "x")
		synctest.Wait()
		c.ExpireTags("a")
		mustGet(t, c, "x", 2)
	})
}

func TestT4_TagsThatCannotBeKept(t *testing.T) {
	many := make([]string, 65)
	for i := range many {
		many[i] = strconv.Itoa(i)
	}
	c := newCache(t, cache.Config[string, int]{})
	c.Set("empty ones are ignored", 1, "", "")
	c.Set("64", 1, many[:64]...)
	c.Set("65", 1, many...)
	c.Set("1 KiB", 1, strings.Repeat("x", 1024))
	c.Set("more", 1, strings.Repeat("x", 1025))
	for key, want := range map[string]bool{"empty ones are ignored": true, "64": true, "65": false, "1 KiB": true, "more": false} {
		if _, ok := c.Peek(key); ok != want {
			t.Errorf("%s: stored %v, want %v", key, ok, want)
		}
	}
	if got := c.Stats().NotStored; got != 2 {
		t.Errorf("%d not stored, want 2", got)
	}
}

// T5: with as few slots as there can be, every purge still takes all of its own.
func TestT5_TooMuchAndNeverTooLittle(t *testing.T) {
	c := newCache(t, cache.Config[int, int]{MaxBytes: 16 << 20, Tags: func(key, _ int) []string { return []string{strconv.Itoa(key)} }})
	const keys = 20_000 // several times the number of slots
	for key := range keys {
		c.Set(key, key)
	}
	items := 0
	for key := range keys {
		if key%100 == 0 {
			c.PurgeTags(strconv.Itoa(key))
		}
	}
	for key := range keys {
		_, ok := c.Peek(key)
		if ok && key%100 == 0 {
			t.Fatalf("key %d was purged and is here", key)
		}
		if ok {
			items++
		}
	}
	if items < keys*9/10 {
		t.Errorf("1%% of the tags purged, and only %d of %d entries are left", items, keys)
	}
}

// T6: what was removed is never served again, not as stale and not after a failed load.
func TestT6_RemovedIsRemoved(t *testing.T) {
	for name, remove := range map[string]func(c *cache.Cache[string, int]){
		"Delete":    func(c *cache.Cache[string, int]) { c.Delete("x") },
		"PurgeTags": func(c *cache.Cache[string, int]) { c.PurgeTags("a") },
		"PurgeAll":  func(c *cache.Cache[string, int]) { c.PurgeAll() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &source{}
				c := newCache(t, cache.Config[string, int]{
					Load: s.load, TTL: time.Second, StaleWhileRevalidate: time.Hour, StaleIfError: time.Hour,
					Tags: func(string, int) []string { return []string{"a"} },
				})
				mustGet(t, c, "x", 1)
				time.Sleep(time.Second)
				s.set(func(int) (int, error) { time.Sleep(time.Second); return 0, errDown })
				remove(c)
				if v, err := c.Get(t.Context(), "x"); err != errDown {
					t.Errorf("after it: %d, %v", v, err)
				}

				s.set(nil)
				_, _ = c.Get(t.Context(), "x")
				time.Sleep(2 * time.Hour) // stale no more
				s.set(func(int) (int, error) { time.Sleep(time.Second); return 0, errDown })
				done := make(chan error)
				go func() { _, err := c.Get(t.Context(), "x"); done <- err }()
				synctest.Wait()
				remove(c)
				if err := <-done; err != errDown {
					t.Errorf("during a load that fails: %v", err)
				}
			})
		})
	}
}

func TestT6_NotEvenWhileItsLoadFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{}
		c := newCache(t, cache.Config[string, int]{Load: s.load, TTL: time.Second, StaleIfError: time.Hour})
		mustGet(t, c, "x", 1)
		time.Sleep(time.Second)
		s.set(func(int) (int, error) { time.Sleep(time.Second); return 0, errDown })
		done := make(chan error)
		go func() { _, err := c.Get(t.Context(), "x"); done <- err }()
		synctest.Wait()
		c.Delete("x")
		if err := <-done; err != errDown {
			t.Errorf("%v: the old value was deleted before the load failed", err)
		}
	})
}
