package cache_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/cache"
)

// table is a source of several keys at once.
type table struct {
	rows  map[string]int
	asked [][]string
	takes time.Duration
	err   error
}

func (s *table) loadMany(_ context.Context, keys []string) (map[string]int, error) {
	s.asked = append(s.asked, slices.Sorted(slices.Values(keys)))
	time.Sleep(s.takes)
	return s.rows, s.err // more than was asked for
}

func newTable() *table {
	return &table{rows: map[string]int{"a": 1, "b": 2, "c": 3, "d": 4}, takes: time.Second}
}

func TestG9_OneLoadManyForWhatIsMissing(t *testing.T) {
	for name, inline := range map[string]bool{"on a goroutine": false, "inline": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				if inline {
					ctx = context.Background()
				}
				s := newTable()
				c := newCache(t, cache.Config[string, int]{LoadMany: s.loadMany})
				mustGet(t, c, "a", 1)
				go c.Get(t.Context(), "b")
				synctest.Wait()
				got, err := c.GetMany(ctx, []string{"a", "b", "c", "c", "none", "d"})
				if want := map[string]int{"a": 1, "b": 2, "c": 3, "d": 4}; !maps.Equal(got, want) || err != nil {
					t.Errorf("%v, %v", got, err)
				}
				if fmt.Sprint(s.asked) != "[[a] [b] [c d none]]" {
					t.Errorf("loads %v", s.asked)
				}
				if v, ok := c.Peek("d"); !ok || v != 4 {
					t.Error("not stored")
				}
				synctest.Wait()
				st := c.Stats()
				if st.Hits != 1 || st.Coalesced != 1 || st.Misses != 5 || st.Loads != 4 || st.LoadNotFound != 1 || st.LoadSeconds.Count() != 3 {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

func TestG9_WithoutLoadManyAtMost16AtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, most atomic.Int32
		c := newCache(t, cache.Config[int, int]{Load: func(_ context.Context, key int) (int, error) {
			raise(&most, running.Add(1))
			defer running.Add(-1)
			time.Sleep(time.Second)
			switch key {
			case 3:
				return 0, errDown
			case 5:
				return 0, cache.ErrNotFound
			}
			return key, nil
		}})
		keys := make([]int, 40)
		for i := range keys {
			keys[i] = i
		}
		start := time.Now()
		got, err := c.GetMany(t.Context(), append(keys, keys...))
		if took := time.Since(start); took != 3*time.Second || most.Load() != 16 {
			t.Errorf("%d at once, took %v, want 16 and 3 s", most.Load(), took)
		}
		if len(got) != 38 || got[39] != 39 {
			t.Errorf("%d values", len(got))
		}
		if !errors.Is(err, errDown) || !strings.Contains(err.Error(), "cache: key 3: ") || errors.Is(err, cache.ErrNotFound) {
			t.Errorf("%v, want the failure of key 3 alone", err)
		}
	})
}

func TestG9_AFailureIsEachKeysOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTable()
		c := newCache(t, cache.Config[string, int]{LoadMany: s.loadMany, TTL: time.Minute, StaleIfError: time.Hour})
		mustGet(t, c, "a", 1)
		mustGet(t, c, "b", 2)
		time.Sleep(30 * time.Second)
		c.Set("b", 2)
		time.Sleep(31 * time.Second)
		s.err = errDown
		got, err := c.GetMany(t.Context(), []string{"a", "b", "c", "d"})
		if !maps.Equal(got, map[string]int{"a": 1, "b": 2}) || strings.Count(fmt.Sprint(err), errDown.Error()) != 2 {
			t.Errorf("%v, %v, want the stale a, the fresh b, and two failures", got, err)
		}
		if st := c.Stats(); st.Stale != 1 || st.Hits != 1 {
			t.Errorf("%+v", st)
		}
	})
}

func TestG9_ReturnsAsSoonAsItsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTable()
		s.takes = time.Hour
		for name, c := range map[string]*cache.Cache[string, int]{
			"LoadMany": newCache(t, cache.Config[string, int]{LoadMany: s.loadMany}),
			"Load": newCache(t, cache.Config[string, int]{Load: func(context.Context, string) (int, error) {
				time.Sleep(time.Hour)
				return 1, nil
			}}),
		} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			start := time.Now()
			got, err := c.GetMany(ctx, []string{"a", "b"})
			if len(got) != 0 || !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
				t.Errorf("%s: %v, %v after %v", name, got, err, time.Since(start))
			}
			cancel()
			if got, err := c.GetMany(ctx, []string{"c"}); len(got) != 0 || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s, dead from the start: %v, %v", name, got, err)
			}
		}
		time.Sleep(2 * time.Hour)
	})
}

func TestG9_AWriteDetachesOneKeyOfMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTable()
		c := newCache(t, cache.Config[string, int]{LoadMany: s.loadMany})
		done := make(chan map[string]int)
		go func() {
			got, _ := c.GetMany(t.Context(), []string{"a", "b"})
			done <- got
		}()
		synctest.Wait()
		c.Set("a", 100)
		if got := <-done; !maps.Equal(got, map[string]int{"a": 1, "b": 2}) {
			t.Errorf("who asked before the write got %v", got)
		}
		mustGet(t, c, "a", 100)
		if _, ok := c.Peek("b"); !ok {
			t.Error("b was not stored")
		}
	})
}

func TestP1_APanicInGetManyIsItsCallers(t *testing.T) {
	for name, cfg := range map[string]cache.Config[string, int]{
		"LoadMany": {LoadMany: func(context.Context, []string) (map[string]int, error) { panic("boom") }},
		"Load":     {Load: func(context.Context, string) (int, error) { panic("boom") }},
	} {
		for _, ctx := range []context.Context{context.Background(), t.Context()} {
			c := newCache(t, cfg)
			func() {
				defer func() {
					p := recover()
					if e, ok := p.(*cache.PanicError); p != "boom" && !(ok && e.Value == "boom") {
						t.Errorf("%s: recovered %v", name, p)
					}
				}()
				_, _ = c.GetMany(ctx, []string{"a", "b"})
				t.Errorf("%s: GetMany returned", name)
			}()
		}
	}
}

// Many callers with overlapping keys in every order: one load for each key, right answers.
func TestG9_Overlapping(t *testing.T) {
	const keys = 200
	var loads [keys]atomic.Int32
	c := newCache(t, cache.Config[int, int]{LoadMany: func(_ context.Context, asked []int) (map[int]int, error) {
		values := map[int]int{}
		for _, key := range asked {
			loads[key].Add(1)
			values[key] = key * 2
		}
		return values, nil
	}})
	every(8, func(seed int) {
		for i := range keys {
			ask := []int{i, (i + seed*7) % keys, (i * 3) % keys, (keys - 1 - i)}
			got, err := c.GetMany(t.Context(), ask)
			for _, key := range ask {
				if got[key] != key*2 || err != nil {
					t.Errorf("%v: %v, %v", ask, got, err)
				}
			}
		}
	})
	for key := range loads {
		if n := loads[key].Load(); n != 1 {
			t.Errorf("key %d was loaded %d times", key, n)
		}
	}
}
