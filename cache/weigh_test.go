package cache_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hotpath-go/hotpath/cache"
)

type product struct {
	ID       int64
	Name     string
	Tags     []string
	Prices   map[string]int64
	Maker    *maker
	Extra    any
	Modified time.Time
}

type maker struct {
	Name string
	Made []*product // and back again
}

// Usage agrees with the heap, within 15 %, for many small entries, few large ones, and values
// of every shape. It is what makes MaxBytes mean memory.
func TestB1_UsageIsHeap(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a few seconds")
	}
	text := func(i, n int) string { return strings.Repeat(fmt.Sprintf("%08d", i), n/8+1)[:n] }
	t.Run("small bytes", func(t *testing.T) {
		weighs(t, 100_000, func(i int) []byte { return []byte(text(i, 16)) })
	})
	t.Run("KiB", func(t *testing.T) { weighs(t, 20_000, func(i int) []byte { return []byte(text(i, 1000)) }) })
	t.Run("100 KiB", func(t *testing.T) { weighs(t, 300, func(i int) []byte { return []byte(text(i, 100_000)) }) })
	t.Run("strings", func(t *testing.T) { weighs(t, 50_000, func(i int) string { return text(i, 100) }) })
	t.Run("flat", func(t *testing.T) { weighs(t, 100_000, func(i int) [4]int64 { return [4]int64{int64(i)} }) })
	t.Run("pointers", func(t *testing.T) {
		weighs(t, 50_000, func(i int) *product { return &product{ID: int64(i), Name: text(i, 30)} })
	})
	t.Run("nested", func(t *testing.T) {
		weighs(t, 5_000, func(i int) product {
			p := product{ID: int64(i), Name: text(i, 40), Maker: &maker{Name: text(i, 24)}, Extra: text(i, 50), Modified: time.Now()}
			p.Prices = map[string]int64{}
			for j := range 20 {
				p.Tags = append(p.Tags, text(j, 12))
				p.Prices[text(j+i, 10)] = int64(j)
			}
			return p
		})
	})
	t.Run("long lists, extrapolated", func(t *testing.T) {
		weighs(t, 50, func(i int) []string {
			list := make([]string, 5_000)
			for j := range list {
				list[j] = text(i+j, 24)
			}
			return list
		})
	})
	t.Run("decoded JSON", func(t *testing.T) {
		weighs(t, 3_000, func(i int) map[string]any {
			return map[string]any{"id": float64(i), "name": text(i, 30), "list": []any{text(i, 10), float64(1), true}, "sub": map[string]any{"a": text(i, 20)}}
		})
	})
}

func weighs[V any](t *testing.T, n int, value func(i int) V) {
	t.Helper()
	// Not all find room: what an engine needs to choose is part of the heap too.
	room := n - n/50
	c := newCache(t, cache.Config[string, V]{MaxBytes: 1 << 40, MaxItems: room})
	before := heap()
	for i := range n {
		c.Set(fmt.Sprintf("key-%09d", i), value(i))
	}
	grown := heap() - before
	s := c.Stats()
	if s.Items != int64(room) {
		t.Fatalf("%d of %d entries", s.Items, room)
	}
	ratio := float64(s.Bytes) / float64(grown)
	t.Logf("usage %d, heap %d: %.2f; %d bytes an entry", s.Bytes, grown, ratio, grown/int64(room))
	if ratio < 0.85 || ratio > 1.15 {
		t.Errorf("usage is %.2f of the heap, want within 15%%", ratio)
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Values that point back to themselves, nest without end or are empty are weighed all the same.
func TestWeigh_OddValues(t *testing.T) {
	type deep struct{ Next, Other *deep }
	loop := &deep{}
	loop.Next, loop.Other = loop, loop
	type wide struct {
		A, B, C, D, E []wide
		M             map[string]wide
	}
	var nothing any
	self := []any{nil}
	self[0] = self
	c := newCache(t, cache.Config[string, any]{})
	for name, v := range map[string]any{
		"nil": nothing, "a loop": loop, "a type of itself": wide{A: []wide{{B: []wide{{}}}}, M: map[string]wide{"x": {}}},
		"a slice in itself": self, "a nil map": map[string]int(nil), "a nil pointer": (*deep)(nil), "a func": func() {}, "a chan": make(chan int),
		"an array": [3]string{"a"}, "pointers to pointers": new(*int), "unexported": struct{ m map[string][]string }{map[string][]string{"a": {"b"}}},
	} {
		c.Set(name, v)
		if _, ok := c.Peek(name); !ok {
			t.Errorf("%s: not stored", name)
		}
	}
	if s := c.Stats(); s.Bytes <= 0 || s.Bytes > 1<<20 || s.NotStored != 0 {
		t.Errorf("%+v", s)
	}
}

// Weights grow with what is behind a value, and never with what is not.
func FuzzWeigh(f *testing.F) {
	f.Add("k", "v", 3, uint8(2))
	f.Fuzz(func(t *testing.T, key, text string, n int, depth uint8) {
		n = min(max(n, 0), 100)
		var v any = text
		for i := range depth % 12 {
			switch i % 3 {
			case 0:
				v = []any{v, n}
			case 1:
				v = map[string]any{text: v}
			default:
				v = &v
				if i%2 == 0 {
					v = [2]any{v, text}
				}
			}
		}
		weight := func(v any) int64 {
			c := newCache(t, cache.Config[string, any]{})
			c.Set(key, v)
			return c.Stats().Bytes
		}
		flat, whole := weight(nil), weight(v)
		if whole < flat || whole > flat+int64(len(text)+1_000)*64 {
			t.Errorf("depth %d of %d bytes: %d, nothing weighs %d", depth, len(text), whole, flat)
		}
	})
}
