package bench

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
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

// A getter is a read-through cache: get the value of a key, load it if it is not here.
type getter struct {
	name  string
	get   func(ctx context.Context, key string) ([]byte, error)
	close func()
}

type loader func(ctx context.Context, key string) ([]byte, error)

// getters are the peers, each set up as its users do: room for size entries, a TTL of an hour,
// concurrent misses of one key joined where the peer or x/sync can.
func getters(b *testing.B, size int, load loader) []getter {
	b.Helper()
	ours, err := cache.New(cache.Config[string, []byte]{Load: load, TTL: time.Hour, MaxBytes: -1, MaxItems: size})
	check(b, err)
	engine, err := ristrettostore.New[string, []byte](ristrettostore.Config{MaxBytes: int64(size) * bytesPerItem, Items: int64(size)})
	check(b, err)
	onRistretto, err := cache.New(cache.Config[string, []byte]{Load: load, TTL: time.Hour, Store: engine})
	check(b, err)

	ott := otter.Must(&otter.Options[string, []byte]{MaximumSize: size, ExpiryCalculator: otter.ExpiryWriting[string, []byte](time.Hour)})
	ottLoad := otter.LoaderFunc[string, []byte](load)

	ris, err := ristretto.NewCache(&ristretto.Config[string, []byte]{NumCounters: int64(size) * 10, MaxCost: int64(size), BufferItems: 64, IgnoreInternalCost: true})
	check(b, err)
	var risGroup singleflight.Group

	the, err := theine.NewBuilder[string, []byte](int64(size)).BuildWithLoader(func(ctx context.Context, key string) (theine.Loaded[[]byte], error) {
		v, err := load(ctx, key)
		return theine.Loaded[[]byte]{Value: v, Cost: 1, TTL: time.Hour}, err
	})
	check(b, err)

	hc, err := lru.New[string, []byte](size)
	check(b, err)
	var hcGroup singleflight.Group
	joined := func(group *singleflight.Group, key string, load func() ([]byte, error)) ([]byte, error) {
		v, err, _ := group.Do(key, func() (any, error) { return load() })
		if err != nil {
			return nil, err
		}
		return v.([]byte), nil
	}

	var mu sync.RWMutex
	m := make(map[string][]byte, size)

	return []getter{
		{"hotpath", ours.Get, func() {}},
		{"hotpath+ristrettostore", onRistretto.Get, func() { _ = engine.Close(context.Background()) }},
		{"otter", func(ctx context.Context, key string) ([]byte, error) { return ott.Get(ctx, key, ottLoad) }, func() { ott.StopAllGoroutines() }},
		{"ristretto+singleflight", func(ctx context.Context, key string) ([]byte, error) {
			if v, ok := ris.Get(key); ok {
				return v, nil
			}
			return joined(&risGroup, key, func() ([]byte, error) {
				v, err := load(ctx, key)
				if err == nil {
					ris.SetWithTTL(key, v, 1, time.Hour)
				}
				return v, err
			})
		}, ris.Close},
		{"theine", the.Get, the.Close},
		{"golang-lru+singleflight", func(ctx context.Context, key string) ([]byte, error) {
			if v, ok := hc.Get(key); ok {
				return v, nil
			}
			return joined(&hcGroup, key, func() ([]byte, error) {
				v, err := load(ctx, key)
				if err == nil {
					hc.Add(key, v)
				}
				return v, err
			})
		}, func() {}},
		{"RWMutex+map", func(ctx context.Context, key string) ([]byte, error) {
			mu.RLock()
			v, ok := m[key]
			mu.RUnlock()
			if ok {
				return v, nil
			}
			v, err := load(ctx, key)
			mu.Lock()
			m[key] = v
			mu.Unlock()
			return v, err
		}, func() {}},
	}
}

// bytesPerItem is what an entry of these benchmarks is charged on ristrettostore, which is bounded
// in bytes alone.
const bytesPerItem = 420

// eachPeer runs f for each peer, on a cache of its own.
func eachPeer(b *testing.B, size int, load func() loader, f func(b *testing.B, g getter)) {
	all := getters(b, size, load())
	for i, g := range all {
		g.close()
		b.Run(g.name, func(b *testing.B) {
			g := getters(b, size, load())[i]
			defer g.close()
			f(b, g)
		})
	}
}

func constant() loader {
	return func(context.Context, string) ([]byte, error) { return []byte("value"), nil }
}

func check(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// BenchmarkCacheHit reads 64 Ki string keys, Zipf-distributed, all of them resident.
func BenchmarkCacheHit(b *testing.B) {
	const keys = 1 << 16
	names := make([]string, keys)
	for i := range names {
		names[i] = "user:" + strconv.Itoa(i)
	}
	draws := zipfTrace(1 << 18)
	eachPeer(b, 2*keys, constant, func(b *testing.B, g getter) {
		ctx := context.Background()
		for range 2 { // ristretto drops some of the first
			for _, name := range names {
				_, _ = g.get(ctx, name)
			}
			time.Sleep(10 * time.Millisecond)
		}
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				if v, err := g.get(ctx, names[draws[i%len(draws)]%keys]); len(v) == 0 || err != nil {
					b.Error(v, err)
					return
				}
			}
		})
	})
}

// BenchmarkCacheChurn reads a million keys with room for 64 Ki of them.
func BenchmarkCacheChurn(b *testing.B) {
	const size = 1 << 16
	draws := zipfTrace(1 << 20)
	names := make([]string, 1<<20)
	for i := range names {
		names[i] = "user:" + strconv.Itoa(i)
	}
	eachPeer(b, size, constant, func(b *testing.B, g getter) {
		if g.name == "RWMutex+map" {
			b.Skip("it has no bound")
		}
		ctx := context.Background()
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				_, _ = g.get(ctx, names[draws[i%len(draws)]])
			}
		})
	})
}

// BenchmarkCacheColdKeys lets 16 readers ask for the same 2,000 cold keys: loads is per key, and 1 is what
// it has to be.
func BenchmarkCacheColdKeys(b *testing.B) {
	const keys, readers = 2_000, 16
	var loads atomic.Int64
	counting := func() loader {
		loads.Store(0)
		return func(context.Context, string) ([]byte, error) {
			loads.Add(1)
			return []byte("value"), nil
		}
	}
	eachPeer(b, 1<<19, counting, func(b *testing.B, g getter) {
		ctx := context.Background()
		asked := 0
		for b.Loop() {
			var wg sync.WaitGroup
			for range readers {
				wg.Go(func() {
					for k := range keys {
						_, _ = g.get(ctx, fmt.Sprint(asked, "/", k))
					}
				})
			}
			wg.Wait()
			asked++
		}
		b.ReportMetric(float64(loads.Load())/float64(keys*asked), "loads/key")
	})
}

// BenchmarkHitRatio plays the sixteen points on every engine and reports the mean.
func BenchmarkHitRatio(b *testing.B) {
	all := points(b)
	for _, e := range []struct {
		name string
		open func(b *testing.B, size int) (get func(key uint64) bool, set func(key uint64), closed func())
	}{
		{"hotpath", func(b *testing.B, size int) (func(uint64) bool, func(uint64), func()) {
			s, err := cache.NewStore[uint64, struct{}](-1, size)
			check(b, err)
			return func(key uint64) bool { return s.Get(key) != nil },
				func(key uint64) { s.Set(cache.NewEntry(key, struct{}{}, 1, 0, 0)) }, func() {}
		}},
		{"ristrettostore", func(b *testing.B, size int) (func(uint64) bool, func(uint64), func()) {
			const weight = 1_024 // with what the engine adds
			s, err := ristrettostore.New[uint64, struct{}](ristrettostore.Config{MaxBytes: int64(size) * weight, Items: int64(size)})
			check(b, err)
			return func(key uint64) bool { return s.Get(key) != nil },
				func(key uint64) { s.Set(cache.NewEntry(key, struct{}{}, weight-96, 0, 0)) }, func() { _ = s.Close(context.Background()) }
		}},
		{"otter", func(b *testing.B, size int) (func(uint64) bool, func(uint64), func()) {
			c := otter.Must(&otter.Options[uint64, struct{}]{MaximumSize: size, Executor: func(f func()) { f() }})
			return func(key uint64) bool { _, ok := c.GetIfPresent(key); return ok },
				func(key uint64) { c.Set(key, struct{}{}); c.CleanUp() }, func() { c.StopAllGoroutines() }
		}},
		{"ristretto+Wait", func(b *testing.B, size int) (func(uint64) bool, func(uint64), func()) {
			c, err := ristretto.NewCache(&ristretto.Config[uint64, struct{}]{NumCounters: int64(size) * 10, MaxCost: int64(size), BufferItems: 64, IgnoreInternalCost: true})
			check(b, err)
			return func(key uint64) bool { _, ok := c.Get(key); return ok },
				func(key uint64) { c.Set(key, struct{}{}, 1); c.Wait() }, c.Close
		}},
		{"theine", func(b *testing.B, size int) (func(uint64) bool, func(uint64), func()) {
			c, err := theine.NewBuilder[uint64, struct{}](int64(size)).Build()
			check(b, err)
			return func(key uint64) bool { _, ok := c.Get(key); return ok },
				func(key uint64) { c.Set(key, struct{}{}, 1); c.Wait() }, c.Close
		}},
		{"golang-lru", func(b *testing.B, size int) (func(uint64) bool, func(uint64), func()) {
			c, err := lru.New[uint64, struct{}](size)
			check(b, err)
			return func(key uint64) bool { _, ok := c.Get(key); return ok }, func(key uint64) { c.Add(key, struct{}{}) }, func() {}
		}},
	} {
		b.Run(e.name, func(b *testing.B) {
			for b.Loop() {
				mean := 0.0
				for _, p := range all {
					get, set, closed := e.open(b, p.size)
					hits := 0
					for _, key := range p.trace {
						if get(key) {
							hits++
						} else {
							set(key)
						}
					}
					closed()
					ratio := float64(hits) / float64(len(p.trace))
					b.Logf("%-24s %5.1f %%", p.name, 100*ratio)
					mean += ratio / float64(len(all))
				}
				b.ReportMetric(100*mean, "hit%")
			}
		})
	}
	b.Run("Belady", func(b *testing.B) {
		for b.Loop() {
			mean := 0.0
			for _, p := range all {
				mean += belady(p.trace, p.size) / float64(len(all))
			}
			b.ReportMetric(100*mean, "hit%")
		}
	})
}
