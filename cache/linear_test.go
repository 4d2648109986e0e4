package cache_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hotpath-go/hotpath/cache"
)

// An event is one call on one key, with the moments of its beginning and end on a clock that
// all goroutines share. The values of Sets and of loads are all different.
type event struct {
	op         string // "get", "set", "delete", "purge"; "loss": what is there may go, or stay
	value      int    // set: what; get: what it returned
	begin, end int64
	loadBegin  int64 // get of a loaded value: when that load began; 0: it was Set
}

func (e event) String() string {
	return fmt.Sprintf("%s(%d) [%d,%d] load %d", e.op, e.value, e.begin, e.end, e.loadBegin)
}

// linear reports whether there is an order of the events, each at a moment between its
// beginning and its end, in which they are those of a register with read-through: a get
// returns what is there, or, if nothing is, a value loaded for it, which then is there, or is
// not if a write came between. A load that began before a write does not answer a get that
// began after the write had ended.
func linear(history []event) bool {
	for _, g := range history {
		for _, w := range history {
			if g.op == "get" && g.loadBegin > 0 && w.op != "get" && w.op != "loss" && w.end < g.begin && g.loadBegin < w.begin {
				return false
			}
		}
	}
	type state struct {
		done  uint64
		value int // 0: nothing
	}
	seen := map[state]bool{}
	var search func(s state) bool
	search = func(s state) bool {
		if s.done == 1<<len(history)-1 {
			return true
		}
		if seen[s] {
			return false
		}
		seen[s] = true
		// The next event is one that began before any of those left has ended.
		first := int64(1<<63 - 1)
		for i, e := range history {
			if s.done&(1<<i) == 0 {
				first = min(first, e.end)
			}
		}
		for i, e := range history {
			if s.done&(1<<i) != 0 || e.begin > first {
				continue
			}
			next := state{s.done | 1<<i, s.value}
			switch {
			case e.op == "set":
				next.value = e.value
			case e.op == "delete" || e.op == "purge":
				next.value = 0
			case e.op == "loss":
				if search(next) {
					return true
				}
				next.value = 0
			case s.value == e.value:
			case s.value != 0 || e.loadBegin == 0:
				continue // something else is there, or a value that was Set is not
			default:
				if search(next) { // the load was not stored
					return true
				}
				next.value = e.value
			}
			if search(next) {
				return true
			}
		}
		return false
	}
	return search(state{})
}

func TestLinear_SeesWhatIsWrong(t *testing.T) {
	for _, tc := range []struct {
		name    string
		history []event
		want    bool
	}{
		{"a get after a set", []event{{"set", 1, 1, 2, 0}, {"get", 1, 3, 4, 0}}, true},
		{"the old value after a second set", []event{{"set", 1, 1, 2, 0}, {"set", 2, 3, 4, 0}, {"get", 1, 5, 6, 0}}, false},
		{"either value during a set", []event{{"set", 1, 1, 2, 0}, {"set", 2, 3, 9, 0}, {"get", 1, 5, 6, 0}, {"get", 2, 7, 8, 0}}, true},
		{"the new and then the old one during a set", []event{{"set", 1, 1, 2, 0}, {"set", 2, 3, 9, 0}, {"get", 2, 5, 6, 0}, {"get", 1, 7, 8, 0}}, false},
		{"a load that began before a delete, joined after it", []event{{"get", 5, 1, 9, 2}, {"delete", 0, 3, 4, 0}, {"get", 5, 6, 8, 2}}, false},
		{"joined before it", []event{{"get", 5, 1, 9, 2}, {"get", 5, 2, 8, 2}, {"delete", 0, 3, 4, 0}}, true},
		{"a load over a set", []event{{"get", 5, 1, 9, 2}, {"set", 1, 3, 4, 0}, {"get", 5, 10, 11, 2}}, false},
		{"a set value after a purge", []event{{"set", 1, 1, 2, 0}, {"purge", 0, 3, 4, 0}, {"get", 1, 5, 6, 0}}, false},
	} {
		if got := linear(tc.history); got != tc.want {
			t.Errorf("%s: linear %v, want %v", tc.name, got, tc.want)
		}
	}
}

// The history of each key is linearizable: 200 seeds of five goroutines that get, set, delete
// and purge three keys.
func TestLinearizable(t *testing.T) {
	seeds := uint64(200)
	if testing.Short() {
		seeds = 40
	}
	for seed := range seeds {
		var clock, values atomic.Int64
		var mu sync.Mutex
		loadBegins := map[int]int64{}
		load := func() int {
			begin, v := clock.Add(1), int(values.Add(1))
			mu.Lock()
			defer mu.Unlock()
			loadBegins[v] = begin
			return v
		}
		pause := func(v int) {
			for range v % 4 {
				runtime.Gosched()
			}
		}
		c := newCache(t, cache.Config[string, int]{
			Load: func(ctx context.Context, key string) (int, error) {
				v := load()
				pause(v)
				cache.AddTags(ctx, "tag of "+key) // known only now
				return v, nil
			},
			LoadMany: func(ctx context.Context, keys []string) (map[string]int, error) {
				got := map[string]int{}
				for _, key := range keys {
					got[key] = load()
					cache.AddTags(ctx, "tag of "+key)
				}
				pause(got[keys[0]])
				return got, nil
			},
		})
		histories := map[string][]event{}
		every(5, func(worker int) {
			rng := rand.New(rand.NewPCG(seed, uint64(worker)))
			ctx := context.Background() // inline loads
			if worker%2 == 0 {
				ctx = t.Context()
			}
			for range 12 {
				key := string('a' + byte(rng.IntN(3)))
				e := event{begin: clock.Add(1)}
				concerned := []string{key}
				switch op := rng.IntN(10); {
				case op < 3:
					e.op = "get"
					v, err := c.Get(ctx, key)
					if err != nil {
						t.Errorf("seed %d: %v", seed, err)
					}
					e.value = v
				case op < 5:
					e.op = "get"
					other := string('a' + byte(rng.IntN(3))) // of which only the effects are seen
					got, err := c.GetMany(ctx, []string{key, other})
					if err != nil {
						t.Errorf("seed %d: %v", seed, err)
					}
					e.value = got[key]
				case op < 7:
					e.op, e.value = "set", int(values.Add(1))
					c.Set(key, e.value, "tag of "+key)
				case op < 8:
					e.op = "delete"
					c.Delete(key)
				case op < 9:
					e.op = "purge"
					c.PurgeTags("tag of " + key)
				default:
					e.op = "purge"
					concerned = []string{"a", "b", "c"}
					c.PurgeAll()
				}
				e.end = clock.Add(1)
				mu.Lock()
				for _, key := range concerned {
					histories[key] = append(histories[key], e)
					if len(concerned) > 1 {
						// The purge gives the memory back after it has taken effect, and what was
						// set meanwhile goes with it, as by an eviction.
						loss := e
						loss.op = "loss"
						histories[key] = append(histories[key], loss)
					}
				}
				mu.Unlock()
				if rng.IntN(3) == 0 {
					runtime.Gosched()
				}
			}
		})
		for key, history := range histories {
			for i, e := range history {
				if e.op == "get" {
					history[i].loadBegin = loadBegins[e.value]
				}
			}
			if !linear(history) {
				slices.SortFunc(history, func(a, b event) int { return int(a.begin - b.begin) })
				lines := make([]string, len(history))
				for i, e := range history {
					lines[i] = e.String()
				}
				t.Fatalf("seed %d, key %s: no order explains\n%s", seed, key, strings.Join(lines, "\n"))
			}
		}
	}
}
