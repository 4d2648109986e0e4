package cache_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/cache"
)

// shop is two caches on one hub, with one source.
type shop struct {
	hub  *hub
	src  *source
	a, b *cache.Cache[string, int]
}

func newShop(t *testing.T, options ...func(*cache.Config[string, int])) *shop {
	t.Helper()
	s := &shop{hub: newHub(), src: &source{}}
	make := func() *cache.Cache[string, int] {
		cfg := cache.Config[string, int]{Load: s.src.load, TTL: time.Minute, Remote: s.hub.view()}
		for _, o := range options {
			o(&cfg)
		}
		return newCache(t, cfg)
	}
	s.a, s.b = make(), make()
	return s
}

func TestX10_OneLoadForAllAndOnePerTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, func(cfg *cache.Config[string, int]) { cfg.StaleWhileRevalidate = time.Minute })
		s.src.set(func(n int) (int, error) { time.Sleep(time.Second); return n, nil })
		for n := 1; n <= 5; n++ {
			if n == 1 {
				var wg sync.WaitGroup
				for _, c := range []*cache.Cache[string, int]{s.a, s.b} {
					for range 8 {
						wg.Go(func() { mustGet(t, c, "k", 1) })
					}
				}
				wg.Wait()
			} else { // stale: both refresh behind
				for _, c := range []*cache.Cache[string, int]{s.a, s.b} {
					if v, err := c.Get(t.Context(), "k"); err != nil || v < n-1 {
						t.Errorf("stale: %d, %v", v, err)
					}
				}
				time.Sleep(3 * time.Second)
				behind()
				mustGet(t, s.a, "k", n)
				mustGet(t, s.b, "k", n)
			}
			if s.src.count() != n {
				t.Errorf("%d loads in %d TTLs", s.src.count(), n)
			}
			time.Sleep(time.Minute)
		}
	})
}

func TestX10_ARefreshNeverEndsWithWhatItWasToReplace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		mustGet(t, s.a, "k", 1)
		mustGet(t, s.b, "k", 1)
		time.Sleep(time.Second)
		s.b.Refresh("k")
		behind()
		mustGet(t, s.b, "k", 2)
		mustGet(t, s.a, "k", 2) // told, and taken
		if got := s.a.Stats(); got.Loads != 1 || got.RemoteHits != 1 {
			t.Errorf("a: %d loads, %d taken", got.Loads, got.RemoteHits)
		}
		s.a.Set("k", 10)
		time.Sleep(time.Second)
		s.a.Refresh("k")
		behind()
		mustGet(t, s.a, "k", 3)
	})
}

func TestX10_AnEntryLivesForWhatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		mustGet(t, s.a, "k", 1)
		time.Sleep(40 * time.Second)
		mustGet(t, s.b, "k", 1)
		time.Sleep(20*time.Second - 1)
		if _, fresh := s.b.Peek("k"); !fresh {
			t.Error("gone before its TTL")
		}
		time.Sleep(time.Nanosecond)
		if _, fresh := s.b.Peek("k"); fresh {
			t.Error("fresh after its TTL")
		}
		mustGet(t, s.b, "k", 2)
	})
}

func TestRemote_KeepsCost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		s.src.set(func(n int) (int, error) { time.Sleep(3 * time.Second); return n, nil })
		mustGet(t, s.a, "k", 1)
		mustGet(t, s.b, "k", 1)
		mustGet(t, s.b, "k", 1)
		if got := s.b.Stats().SavedSeconds; got != 3 {
			t.Errorf("a hit saved %v s, want the 3 of the load elsewhere", got)
		}
	})
}

func TestN1_MissingTravels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		own := fmt.Errorf("no such thing: %w", cache.ErrNotFound)
		s := newShop(t, func(cfg *cache.Config[string, int]) { cfg.NegativeTTL = 10 * time.Second })
		s.src.set(func(int) (int, error) { return 0, own })
		if _, err := s.a.Get(t.Context(), "k"); err != own {
			t.Errorf("a: %v, want the loader's own", err)
		}
		if _, err := s.b.Get(t.Context(), "k"); !errors.Is(err, cache.ErrNotFound) || s.src.count() != 1 {
			t.Errorf("b: %v, %d loads", err, s.src.count())
		}
		if got, err := s.b.GetMany(t.Context(), []string{"k"}); len(got) != 0 || err != nil || s.b.Stats().Negative != 1 {
			t.Errorf("b remembers it: %v, %v, %d", got, err, s.b.Stats().Negative)
		}
		s.a.Set("k", 7)
		mustGet(t, s.b, "k", 7)
	})
}

func TestT6_NotFromRemote(t *testing.T) {
	for name, remove := range map[string]func(c *cache.Cache[string, int]){
		"Delete":     func(c *cache.Cache[string, int]) { c.Delete("k") },
		"PurgeTags":  func(c *cache.Cache[string, int]) { c.PurgeTags("", "t") },
		"PurgeAll":   func(c *cache.Cache[string, int]) { c.PurgeAll() },
		"ExpireTags": func(c *cache.Cache[string, int]) { c.ExpireTags("t") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newShop(t, func(cfg *cache.Config[string, int]) {
					cfg.Tags = func(string, int) []string { return []string{"t"} }
				})
				mustGet(t, s.a, "k", 1)
				mustGet(t, s.b, "k", 1)
				time.Sleep(time.Second)
				remove(s.a)
				mustGet(t, s.b, "k", 2)
				mustGet(t, s.a, "k", 2)
				// The Remote does not hear of it, and comes back with the old value.
				s.hub.views[0].down.Store(true)
				time.Sleep(time.Second)
				remove(s.a)
				time.Sleep(time.Second)
				mustGet(t, s.a, "k", 3) // alone
				time.Sleep(time.Hour)   // long after the last retry
				s.src.set(func(n int) (int, error) { return n, nil })
				s.b.Set("k", -1, "t") // b does not know
				s.b.SetFor("k", -1, -1, "t")
				time.Sleep(time.Second)
				s.hub.views[0].down.Store(true)
				remove(s.a)
				time.Sleep(10 * time.Second)
				s.hub.views[0].down.Store(false)
				mustGet(t, s.a, "k", 4)
				behind()
				mustGet(t, s.b, "k", 5) // what was owed took 4 with it
				mustGet(t, s.a, "k", 5)
				if s.a.Stats().RemoteErrors == 0 {
					t.Error("nothing counted")
				}
			})
		})
	}
}

// A Delete beats a load that is under way, wherever each is.
func TestW1_ADeleteBeatsALoadOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, func(cfg *cache.Config[string, int]) {
			cfg.Tags = func(string, int) []string { return []string{"t"} }
		})
		for i, remove := range []func(){
			func() { s.a.Delete("k") },
			func() { s.b.Delete("k") },
			func() { s.b.PurgeTags("t") },
			func() { s.b.PurgeAll() },
		} {
			s.src.set(func(n int) (int, error) { time.Sleep(time.Second); return n, nil })
			n := 2*i + 1
			s.a.Delete("k")
			go mustGet(t, s.a, "k", n) // who waited before may have it
			behind()
			remove()
			time.Sleep(time.Minute / 2)
			behind()
			for _, c := range []*cache.Cache[string, int]{s.b, s.a} {
				mustGet(t, c, "k", n+1)
			}
		}
	})
}

func TestW3_SetIsSeenByAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		mustGet(t, s.b, "k", 1)
		for i := range 10 {
			s.a.Set("k", 100+i)
			mustGet(t, s.a, "k", 100+i)
			mustGet(t, s.b, "k", 100+i)
			s.b.SetFor("k", 200+i, time.Second)
			mustGet(t, s.b, "k", 200+i)
			mustGet(t, s.a, "k", 200+i)
		}
		if s.src.count() != 1 {
			t.Errorf("%d loads", s.src.count())
		}
		s.hub.views[0].down.Store(true)
		s.a.Set("k", 7)
		mustGet(t, s.a, "k", 7)
		time.Sleep(time.Second) // what the Remote says it can do without
		if _, fresh := s.a.Peek("k"); fresh {
			t.Error("a value that the Remote does not know of lives on")
		}
	})
}

func TestRemote_Away(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var book logbook
		s := newShop(t, func(cfg *cache.Config[string, int]) {
			cfg.Logger, cfg.StaleIfError, cfg.StaleWhileRevalidate = book.logger(), time.Hour, time.Hour
		})
		for _, v := range s.hub.views {
			v.down.Store(true)
		}
		for i := range 100 {
			key := fmt.Sprint(i)
			mustGet(t, s.a, key, i+1)
			mustGet(t, s.a, key, i+1)
		}
		if got := s.a.Stats(); got.RemoteErrors != 100 || got.Loads != 100 || got.Hits != 100 {
			t.Errorf("%d errors, %d loads, %d hits", got.RemoteErrors, got.Loads, got.Hits)
		}
		if lines := strings.Count(book.String(), "\n"); lines != 1 {
			t.Errorf("%d lines logged in a second", lines)
		}
		time.Sleep(time.Second) // alone, and then not even stale
		s.src.set(fails)
		if v, err := s.a.Get(t.Context(), "1"); err != errDown {
			t.Errorf("%d, %v: a value that nobody could tell us the end of", v, err)
		}
	})
}

func TestRemote_LoadErrorsStayWhatTheyAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, func(cfg *cache.Config[string, int]) { cfg.StaleIfError = time.Hour })
		s.src.set(fails)
		if _, err := s.a.Get(t.Context(), "k"); err != errDown {
			t.Errorf("%v", err)
		}
		s.src.set(func(int) (int, error) { panic("x") })
		func() {
			defer func() {
				if p, ok := recover().(*cache.PanicError); !ok || p.Value != "x" {
					t.Errorf("recovered %v", p)
				}
			}()
			_, _ = s.a.Get(t.Context(), "k")
		}()
		s.src.set(func(int) (int, error) { return 5, nil })
		mustGet(t, s.b, "k", 5) // the lease is back
		mustGet(t, s.a, "k", 5)
		time.Sleep(2 * time.Minute)
		s.src.set(fails)
		mustGet(t, s.a, "k", 5) // StaleIfError
		if got := s.a.Stats(); got.RemoteErrors != 0 || got.Stale != 1 {
			t.Errorf("%d errors of the Remote, %d stale", got.RemoteErrors, got.Stale)
		}
	})
}

func TestG9_GetManyIsOneFetch(t *testing.T) {
	for _, many := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var calls atomic.Int64
			bad := func(key string) (int, error) {
				switch key {
				case "bad":
					return 0, errDown
				case "none":
					return 0, cache.ErrNotFound
				case "panic":
					panic("x")
				}
				return len(key), nil
			}
			s := newShop(t, func(cfg *cache.Config[string, int]) {
				cfg.Load = func(_ context.Context, key string) (int, error) { calls.Add(1); return bad(key) }
				if many {
					cfg.LoadMany = func(_ context.Context, keys []string) (map[string]int, error) {
						calls.Add(1)
						got := map[string]int{}
						for _, key := range keys {
							if v, err := bad(key); err == nil {
								got[key] = v
							}
						}
						return got, nil
					}
				}
			})
			keys := []string{"a", "bb", "none", "a"}
			if !many {
				keys = append(keys, "bad")
			}
			got, err := s.a.GetMany(t.Context(), keys)
			if len(got) != 2 || got["a"] != 1 || got["bb"] != 2 || errors.Is(err, errDown) == many {
				t.Errorf("%v, %v", got, err)
			}
			if n := s.hub.views[0].fetches.Load(); n != 1 {
				t.Errorf("%d Fetches", n)
			}
			before := calls.Load()
			if got, err := s.b.GetMany(t.Context(), []string{"a", "bb"}); len(got) != 2 || err != nil || calls.Load() != before {
				t.Errorf("b: %v, %v, %d loads", got, err, calls.Load()-before)
			}
			if many {
				return
			}
			defer func() {
				if p, ok := recover().(*cache.PanicError); !ok || p.Value != "x" {
					t.Errorf("recovered %v", p)
				}
				mustGet(t, s.b, "good", 4)
			}()
			_, _ = s.a.GetMany(t.Context(), []string{"panic", "good"})
		})
	}
}

// Several caches on one hub, random calls: never a value older than a write that has ended. With
// a hub that fails now and then, never one older than a write of the same cache.
func TestRemote_Twin(t *testing.T) {
	seeds := uint64(60)
	if testing.Short() || *onRistretto {
		seeds = 10
	}
	// What is owed at the end is paid, or the caches would be held by it while others measure the heap.
	var over atomic.Bool
	t.Cleanup(func() {
		over.Store(true)
		time.Sleep(1500 * time.Millisecond)
	})
	for seed := range seeds {
		failing := seed%3 == 2
		h := newHub()
		keys := []string{"a", "b", "c"}
		var source, floor [3]atomic.Int64
		var floors [3][3]atomic.Int64 // by cache
		var writer [3]sync.Mutex
		yield := func() {
			for range rand.IntN(4) {
				runtime.Gosched()
			}
		}
		caches := make([]*cache.Cache[string, int], 3)
		for i := range caches {
			v := h.view()
			v.pause = func() {
				yield()
				if failing {
					v.down.Store(rand.IntN(4) == 0 && !over.Load())
				}
			}
			caches[i] = newCache(t, cache.Config[string, int]{
				Remote: v, TTL: time.Hour, Logger: new(logbook).logger(),
				Load: func(ctx context.Context, key string) (int, error) {
					yield()
					n := source[key[0]-'a'].Load()
					yield()
					cache.AddTags(ctx, "of "+key)
					return int(n), nil
				},
			})
		}
		raise := func(n *atomic.Int64, to int64) {
			for old := n.Load(); old < to && !n.CompareAndSwap(old, to); old = n.Load() {
			}
		}
		every(6, func(worker int) {
			rng := rand.New(rand.NewPCG(seed, uint64(worker)))
			ctx := context.Background()
			if worker%2 == 0 {
				ctx = t.Context()
			}
			for range 60 {
				k, who := rng.IntN(3), rng.IntN(3)
				c, key := caches[who], keys[k]
				if op := rng.IntN(12); op < 4 {
					writer[k].Lock()
					n := source[k].Add(1)
					switch op {
					case 0:
						c.Delete(key)
					case 1:
						c.PurgeTags("of " + key)
					case 2:
						c.Set(key, int(n), "of "+key)
					case 3:
						c.PurgeAll()
					}
					raise(&floors[who][k], n)
					if !failing {
						raise(&floor[k], n)
					}
					writer[k].Unlock()
					continue
				} else if op == 4 {
					c.Refresh(key)
					continue
				}
				least := max(floor[k].Load(), floors[who][k].Load())
				var v int
				var err error
				if rng.IntN(3) == 0 {
					var got map[string]int
					got, err = c.GetMany(ctx, []string{keys[rng.IntN(3)], key})
					v = got[key]
				} else {
					v, err = c.Get(ctx, key)
				}
				if err != nil || int64(v) < least {
					t.Errorf("seed %d: %d, %v, of %s in cache %d, at least %d is written", seed, v, err, key, who, least)
				}
			}
		})
		if t.Failed() {
			return
		}
	}
}
