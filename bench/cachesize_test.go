package bench

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/Yiling-J/theine-go"
	"github.com/dgraph-io/ristretto/v2"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/maypok86/otter/v2"
	"golang.org/x/sync/singleflight"

	"github.com/hotpath-go/hotpath/cache"
	"github.com/hotpath-go/hotpath/cache/ristrettostore"
)

// alive returns the bytes that are alive.
func alive() int64 {
	var m runtime.MemStats
	for range 3 {
		runtime.GC()
		time.Sleep(5 * time.Millisecond)
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BenchmarkCacheHeap is what 500,000 small items take, keys of 13 bytes and values of 16 included,
// where there is room for all.
func BenchmarkCacheHeap(b *testing.B) {
	const items = 500_000
	for _, e := range []struct {
		name string
		open func(b *testing.B) (set func(key, value string), closed func())
	}{
		{"hotpath", func(b *testing.B) (func(string, string), func()) {
			c, err := cache.New(cache.Config[string, string]{MaxBytes: 1 << 30, MaxItems: items, TTL: time.Hour})
			check(b, err)
			return func(key, value string) { c.Set(key, value) }, func() { runtime.KeepAlive(c) }
		}},
		{"hotpath+ristrettostore", func(b *testing.B) (func(string, string), func()) {
			s, err := ristrettostore.New[string, string](ristrettostore.Config{MaxBytes: 1 << 30, Items: items})
			check(b, err)
			c, err := cache.New(cache.Config[string, string]{Store: s, TTL: time.Hour})
			check(b, err)
			return func(key, value string) { c.Set(key, value) }, func() { _ = s.Close(context.Background()) }
		}},
		{"otter", func(b *testing.B) (func(string, string), func()) {
			c := otter.Must(&otter.Options[string, string]{MaximumSize: items, ExpiryCalculator: otter.ExpiryWriting[string, string](time.Hour)})
			return func(key, value string) { c.Set(key, value) }, func() { c.StopAllGoroutines() }
		}},
		{"otter, no TTL", func(b *testing.B) (func(string, string), func()) {
			c := otter.Must(&otter.Options[string, string]{MaximumSize: items})
			return func(key, value string) { c.Set(key, value) }, func() { c.StopAllGoroutines() }
		}},
		{"ristretto", func(b *testing.B) (func(string, string), func()) {
			c, err := ristretto.NewCache(&ristretto.Config[string, string]{NumCounters: items * 10, MaxCost: items, BufferItems: 64, IgnoreInternalCost: true})
			check(b, err)
			return func(key, value string) {
				for !c.SetWithTTL(key, value, 1, time.Hour) {
					c.Wait()
				}
			}, func() { c.Wait(); c.Close() }
		}},
		{"theine", func(b *testing.B) (func(string, string), func()) {
			c, err := theine.NewBuilder[string, string](items).Build()
			check(b, err)
			return func(key, value string) { c.SetWithTTL(key, value, 1, time.Hour) }, c.Close
		}},
		{"golang-lru", func(b *testing.B) (func(string, string), func()) {
			c, err := lru.New[string, string](items)
			check(b, err)
			return func(key, value string) { c.Add(key, value) }, func() { runtime.KeepAlive(c) }
		}},
		{"map", func(b *testing.B) (func(string, string), func()) {
			m := map[string]string{}
			return func(key, value string) { m[key] = value }, func() { runtime.KeepAlive(m) }
		}},
	} {
		b.Run(e.name, func(b *testing.B) {
			for b.Loop() {
				before := alive()
				set, closed := e.open(b)
				for i := range items {
					set(fmt.Sprintf("user:%08d", i), fmt.Sprintf("value:%010d", i))
				}
				b.ReportMetric(float64(alive()-before)/items, "B/item")
				closed()
			}
		})
	}
}

// BenchmarkPurgeTags purges a tag of one entry, and one of a million.
func BenchmarkPurgeTags(b *testing.B) {
	for _, entries := range []int{1, 1_000_000} {
		b.Run(fmt.Sprint(entries), func(b *testing.B) {
			c, err := cache.New(cache.Config[int, int]{MaxBytes: -1, MaxItems: 2 * entries})
			check(b, err)
			for key := range entries {
				c.Set(key, key, "tag")
			}
			b.ReportAllocs()
			for b.Loop() {
				c.PurgeTags("tag")
			}
			if _, ok := c.Peek(0); ok {
				b.Error("an entry is still here")
			}
		})
	}
}

// BenchmarkStampede lets 256 callers ask for one cold key whose load takes a millisecond.
func BenchmarkStampede(b *testing.B) {
	const callers = 256
	load := func(context.Context, int) ([]byte, error) {
		time.Sleep(time.Millisecond)
		return []byte("value"), nil
	}
	stampede := func(b *testing.B, get func(ctx context.Context, key int) ([]byte, error)) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		key := 0
		b.ReportAllocs()
		for b.Loop() {
			key++
			var wg sync.WaitGroup
			for range callers {
				wg.Add(1)
				go func() {
					defer wg.Done()
					if v, err := get(ctx, key); len(v) == 0 || err != nil {
						b.Error(v, err)
					}
				}()
			}
			wg.Wait()
		}
	}
	b.Run("hotpath", func(b *testing.B) {
		c, err := cache.New(cache.Config[int, []byte]{Load: load})
		check(b, err)
		stampede(b, c.Get)
	})
	b.Run("golang-lru+singleflight", func(b *testing.B) {
		c, err := lru.New[int, []byte](1 << 16)
		check(b, err)
		var group singleflight.Group
		stampede(b, func(ctx context.Context, key int) ([]byte, error) {
			if v, ok := c.Get(key); ok {
				return v, nil
			}
			v, err, _ := group.Do(fmt.Sprint(key), func() (any, error) {
				v, err := load(ctx, key)
				c.Add(key, v)
				return v, err
			})
			return v.([]byte), err
		})
	})
	b.Run("otter", func(b *testing.B) {
		c := otter.Must(&otter.Options[int, []byte]{MaximumSize: 1 << 16})
		stampede(b, func(ctx context.Context, key int) ([]byte, error) {
			return c.Get(ctx, key, otter.LoaderFunc[int, []byte](load))
		})
	})
}
