package cache_test

import (
	"context"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/cache"
)

// W1: each write during a load, seen by who waited before it and who asks after it.
func TestW1_AWriteDetachesTheLoad(t *testing.T) {
	for name, write := range map[string]func(c *cache.Cache[string, int]){
		"Set":       func(c *cache.Cache[string, int]) { c.Set("a", 100) },
		"SetFor":    func(c *cache.Cache[string, int]) { c.SetFor("a", 100, time.Hour) },
		"Delete":    func(c *cache.Cache[string, int]) { c.Delete("a") },
		"PurgeTags": func(c *cache.Cache[string, int]) { c.PurgeTags("tag") },
		"PurgeAll":  func(c *cache.Cache[string, int]) { c.PurgeAll() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &source{say: func(n int) (int, error) { time.Sleep(time.Second); return n, nil }}
				c := newCache(t, cache.Config[string, int]{Load: s.load, Tags: func(string, int) []string { return []string{"tag"} }})
				var before, after [2]int
				for i := range before {
					go func() { before[i], _ = c.Get(t.Context(), "a") }()
				}
				synctest.Wait()
				write(c)
				for i := range after {
					go func() { after[i], _ = c.Get(t.Context(), "a") }()
				}
				time.Sleep(3 * time.Second)
				synctest.Wait()
				want, loads := 2, 2
				if name == "Set" || name == "SetFor" {
					want, loads = 100, 1
				}
				if before != [2]int{1, 1} || after != [2]int{want, want} || s.count() != loads {
					t.Errorf("before %v, want the first load's 1; after %v, want %d; %d loads", before, after, want, s.count())
				}
				mustGet(t, c, "a", want) // and that is what is stored
				if got := c.Stats().Detached; got != 1 {
					t.Errorf("%d detached, want 1", got)
				}
			})
		})
	}
}

func TestW2_ARefreshNeverOverwritesANewerSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{say: func(n int) (int, error) { time.Sleep(time.Second); return n, nil }}
		c := newCache(t, cache.Config[string, int]{Load: s.load})
		mustGet(t, c, "a", 1)
		c.Refresh("a")
		synctest.Wait()
		c.Set("a", 100)
		time.Sleep(time.Minute - 1)
		mustGet(t, c, "a", 100)
	})
}

func TestW3_WhatAWriteReplacedIsNotSeenAgain(t *testing.T) {
	c := newCache(t, cache.Config[int, int]{})
	every(8, func(writer int) {
		for i := range 3_000 {
			c.Set(writer, i)
			if v, err := c.Get(t.Context(), writer); v != i || err != nil {
				t.Errorf("after Set(%d): %d, %v", i, v, err)
				return
			}
			if i%3 == 0 {
				c.Delete(writer)
				if v, err := c.Get(t.Context(), writer); err != cache.ErrNotFound {
					t.Errorf("after Delete: %d, %v", v, err)
					return
				}
			}
		}
	})
}

// W3 also for values that cannot be stored: what they replace must go.
func TestW3_AValueThatIsNotStoredStillReplaces(t *testing.T) {
	for name, set := range map[string]func(c *cache.Cache[string, string]){
		"too heavy":     func(c *cache.Cache[string, string]) { c.Set("a", string(make([]byte, 1<<20))) },
		"too many tags": func(c *cache.Cache[string, string]) { c.Set("a", "new", strings.Split(strings.Repeat("x", 65), "")...) },
	} {
		c := newCache(t, cache.Config[string, string]{MaxBytes: 64 << 10})
		c.Set("a", "old")
		set(c)
		if v, err := c.Get(t.Context(), "a"); err != cache.ErrNotFound {
			t.Errorf("%s: Get gives %.10q, %v, want ErrNotFound", name, v, err)
		}
		if c.Stats().NotStored != 1 {
			t.Errorf("%s: %d not stored, want 1", name, c.Stats().NotStored)
		}
	}
}

// W4: the tag is only known when the load ends.
func TestW4_PurgeOfATagThatALoadEndsWith(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{}
		c := newCache(t, cache.Config[string, int]{Load: func(ctx context.Context, key string) (int, error) {
			n, _ := s.load(ctx, key)
			time.Sleep(time.Second)
			cache.AddTags(ctx, "a")
			return n, nil
		}})
		var before, after int
		go func() { before, _ = c.Get(t.Context(), "x") }()
		synctest.Wait()
		c.PurgeTags("a")
		c.PurgeTags("other") // a later purge must not hide the first from who joined between
		go func() { after, _ = c.Get(t.Context(), "x") }()
		synctest.Wait()
		c.PurgeTags("a") // after both
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if before != 1 || after < 2 {
			t.Errorf("before the purge %d, want 1; after it %d, want a later load", before, after)
		}
	})
}

func TestSet_NaNIsNeverStored(t *testing.T) {
	loads := 0
	c := newCache(t, cache.Config[float64, int]{Load: func(context.Context, float64) (int, error) { loads++; return loads, nil }})
	c.Set(math.NaN(), 100)
	for want := 1; want < 3; want++ {
		if v, err := c.Get(t.Context(), math.NaN()); v != want || err != nil {
			t.Errorf("%d, %v, want a load each time", v, err)
		}
	}
	if s := c.Stats(); s.Items != 0 || s.NotStored != 1 {
		t.Errorf("%+v", s)
	}
}
