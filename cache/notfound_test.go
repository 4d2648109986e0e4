package cache_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/cache"
)

func notFound(int) (int, error) { return 0, cache.ErrNotFound }

func TestN1_NotFoundIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		own := fmt.Errorf("product 7: %w", cache.ErrNotFound)
		s := &source{say: func(int) (int, error) { return 0, own }}
		c := newCache(t, cache.Config[string, int]{Load: s.load, NegativeTTL: time.Second})
		for range 3 {
			if _, err := c.Get(t.Context(), "a"); err != own {
				t.Errorf("%v, want the loader's own value", err)
			}
		}
		if got := c.Stats(); s.count() != 1 || got.Negative != 2 || got.LoadNotFound != 1 || got.Misses != 1 || got.Items != 1 || got.Bytes <= 0 {
			t.Errorf("%d loads, %+v", s.count(), got)
		}
	})
}

func TestN1_WithoutNegativeTTLItIsNot(t *testing.T) {
	s := &source{say: notFound}
	c := newCache(t, cache.Config[string, int]{Load: s.load})
	for range 2 {
		_, _ = c.Get(t.Context(), "a")
	}
	if s.count() != 2 || c.Stats().Items != 0 {
		t.Errorf("%d loads, %d entries", s.count(), c.Stats().Items)
	}
}

// N1: a Weigh that looks into its value never sees one that is none.
func TestN1_WeighIsNotAskedForNothing(t *testing.T) {
	type user struct{ name string }
	c := newCache(t, cache.Config[string, *user]{
		Load:        func(context.Context, string) (*user, error) { return nil, cache.ErrNotFound },
		NegativeTTL: time.Minute,
		Weigh:       func(_ string, u *user) int64 { return int64(len(u.name)) },
	})
	_, _ = c.Get(t.Context(), "a")
	if c.Stats().Items != 1 {
		t.Error("the ErrNotFound was not stored")
	}
}

func TestN2_NotFoundFromARefreshIsAnAnswer(t *testing.T) {
	for name, negative := range map[string]time.Duration{"remembered": time.Hour, "not remembered": 0} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &source{}
				c := newCache(t, cache.Config[string, int]{Load: s.load, TTL: time.Second, StaleWhileRevalidate: time.Hour, StaleIfError: time.Hour, NegativeTTL: negative})
				mustGet(t, c, "a", 1)
				time.Sleep(time.Second)
				s.set(notFound)
				mustGet(t, c, "a", 1)
				behind()
				if v, err := c.Get(t.Context(), "a"); err != cache.ErrNotFound {
					t.Errorf("%d, %v: the old value must go", v, err)
				}
			})
		})
	}
}

func TestN3_SetAndPurgeEndANegativeEntry(t *testing.T) {
	s := &source{say: notFound}
	c := newCache(t, cache.Config[string, int]{NegativeTTL: time.Hour, Load: func(ctx context.Context, key string) (int, error) {
		cache.AddTags(ctx, "products")
		return s.load(ctx, key)
	}})
	_, _ = c.Get(t.Context(), "a")
	c.Set("a", 100)
	mustGet(t, c, "a", 100)

	_, _ = c.Get(t.Context(), "b")
	s.set(nil)
	c.PurgeTags("products")
	mustGet(t, c, "b", 3)
}

func TestN4_ForExactlyNegativeTTLAndNeverStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{say: notFound}
		c := newCache(t, cache.Config[string, int]{
			Load: s.load, NegativeTTL: time.Second, Jitter: 0.9, StaleWhileRevalidate: time.Hour, StaleIfError: time.Hour, EarlyRefresh: 100,
		})
		_, _ = c.Get(t.Context(), "a")
		time.Sleep(time.Second - 1)
		if _, err := c.Get(t.Context(), "a"); err != cache.ErrNotFound || s.count() != 1 {
			t.Errorf("before its end: %v, %d loads", err, s.count())
		}
		s.set(fails)
		time.Sleep(time.Nanosecond)
		if _, err := c.Get(t.Context(), "a"); err != errDown {
			t.Errorf("after its end a failed load is the caller's: %v", err)
		}
	})
}
