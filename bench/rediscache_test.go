package bench

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/hotpath-go/hotpath/cache"
	"github.com/hotpath-go/hotpath/cache/rediscache"
)

func redisAddr(b *testing.B) string {
	b.Helper()
	addr, _ := redisServer(b)
	return addr
}

func redisOption(addr string) rueidis.ClientOption {
	return rueidis.ClientOption{InitAddress: []string{addr}, ForceSingleClient: true}
}

// redisNode is a process's cache on Redis. tags: of each entry.
func redisNode(b *testing.B, addr string, loads *atomic.Int64, tags ...string) (*cache.Cache[string, string], *rediscache.Tier[string, string]) {
	b.Helper()
	tier, err := rediscache.New[string](rediscache.Config[string]{Client: redisOption(addr), Prefix: "bench", MaxStaleness: 30 * time.Second})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = tier.Close(context.Background()) })
	c, err := cache.New(cache.Config[string, string]{Remote: tier, TTL: time.Hour, Load: func(context.Context, string) (string, error) {
		loads.Add(1)
		return "a value of some bytes, as they are", nil
	}, Tags: func(string, string) []string { return tags }})
	if err != nil {
		b.Fatal(err)
	}
	return c, tier
}

// A hit in memory is what it is without a Remote.
func BenchmarkRedis_Hit(b *testing.B) {
	ctx := context.Background()
	b.Run("without", func(b *testing.B) {
		c, err := cache.New(cache.Config[string, string]{TTL: time.Hour})
		if err != nil {
			b.Fatal(err)
		}
		c.Set("k", "v")
		b.ReportAllocs()
		for b.Loop() {
			_, _ = c.Get(ctx, "k")
		}
	})
	b.Run("with", func(b *testing.B) {
		c, _ := redisNode(b, redisAddr(b), new(atomic.Int64))
		c.Set("k", "v")
		b.ReportAllocs()
		for b.Loop() {
			_, _ = c.Get(ctx, "k")
		}
	})
}

// A value that another process has loaded, taken for the first time.
func BenchmarkRedis_SharedHit(b *testing.B) {
	ctx := context.Background()
	key := func(i int) string { return "k" + strconv.Itoa(i) }
	b.Run("GET", func(b *testing.B) {
		o := redisOption(redisAddr(b))
		o.PipelineMultiplex, o.AlwaysPipelining, o.DisableCache = -1, true, true
		c, err := rueidis.NewClient(o)
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		for i := range b.N {
			c.Do(ctx, c.B().Set().Key(key(i)).Value("a value of some bytes, as they are").Build())
		}
		b.ReportAllocs()
		b.ResetTimer()
		for i := range b.N {
			if _, err := c.Do(ctx, c.B().Get().Key(key(i)).Build()).ToString(); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, tags := range [][]string{nil, {"a", "b"}} {
		b.Run(fmt.Sprintf("hotpath/tags=%d", len(tags)), func(b *testing.B) {
			addr, loads := redisAddr(b), new(atomic.Int64)
			one, _ := redisNode(b, addr, loads, tags...)
			two, tier := redisNode(b, addr, loads, tags...)
			for i := range b.N {
				_, _ = one.Get(ctx, key(i))
			}
			before := tier.Stats().Trips
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				_, _ = two.Get(ctx, key(i))
			}
			b.StopTimer()
			if loads.Load() != int64(b.N) {
				b.Errorf("%d loads of %d keys", loads.Load(), b.N)
			}
			b.ReportMetric(float64(tier.Stats().Trips-before)/float64(b.N), "trips/op")
		})
	}
}

// A value that nobody has: the lease, a load that takes no time, the fill.
func BenchmarkRedis_Miss(b *testing.B) {
	ctx := context.Background()
	b.Run("hotpath", func(b *testing.B) {
		c, tier := redisNode(b, redisAddr(b), new(atomic.Int64))
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			i++
			_, _ = c.Get(ctx, strconv.Itoa(i))
		}
		b.ReportMetric(float64(tier.Stats().Trips)/float64(i), "trips/op")
	})
	b.Run("hotpath/100 by GetMany", func(b *testing.B) {
		c, tier := redisNode(b, redisAddr(b), new(atomic.Int64))
		b.ReportAllocs()
		keys := make([]string, 100)
		i := 0
		for b.Loop() {
			for j := range keys {
				i++
				keys[j] = strconv.Itoa(i)
			}
			_, _ = c.GetMany(ctx, keys)
		}
		b.ReportMetric(float64(tier.Stats().Trips)*100/float64(i), "trips/op")
	})
}
