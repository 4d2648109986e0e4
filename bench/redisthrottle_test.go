//go:build unix

package bench

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	redisrate "github.com/go-redis/redis_rate/v10"
	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"

	"github.com/hotpath-go/hotpath/throttle"
	"github.com/hotpath-go/hotpath/throttle/redisthrottle"
)

// redisServer starts a server of the benchmark's own, or skips it.
func redisServer(b *testing.B) (addr string, process *os.Process) {
	b.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		b.Skip("no redis-server in PATH")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	addr = l.Addr().String()
	_, port, _ := net.SplitHostPort(addr)
	_ = l.Close()
	cmd := exec.Command(path, "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no", "--dir", b.TempDir())
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			_ = c.Close()
			return addr, cmd.Process
		}
		if time.Now().After(end) {
			b.Fatal(err)
		}
	}
}

func redisStore(b *testing.B, addr string) *redisthrottle.Store {
	b.Helper()
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{addr}, DisableCache: true})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(client.Close)
	store, err := redisthrottle.New(redisthrottle.Config{Client: client})
	if err != nil {
		b.Fatal(err)
	}
	return store
}

// BenchmarkRedis is 64 goroutines and 100 keys on one server: a decision by one policy, by three, and
// with leases.
func BenchmarkRedis(b *testing.B) {
	addr, _ := redisServer(b)
	keys := make([]throttle.Key, 100)
	texts := make([]string, len(keys))
	for i := range keys {
		texts[i] = fmt.Sprintf("consumer-%03d", i)
		keys[i] = throttle.KeyOf(texts[i])
	}
	ctx := context.Background()
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	limiter := func(b *testing.B, lease time.Duration, policies int) *throttle.Limiter {
		cfg := throttle.Config{Remote: redisStore(b, addr), Lease: lease, Budget: 5 * time.Second, OnDown: "closed", Logger: quiet}
		for i := range policies {
			cfg.Policies = append(cfg.Policies, throttle.Policy{Name: fmt.Sprint(b.Name(), i), Rate: throttle.Per(100_000_000, time.Second), Burst: 500_000_000 + int64(i)})
		}
		return newLimiter(b, cfg)
	}
	parallel := func(b *testing.B, take func(i int) bool) {
		b.SetParallelism(32) // of two processors: 64
		b.ReportAllocs()
		var next atomic.Int64
		b.RunParallel(func(pb *testing.PB) {
			for i := int(next.Add(7919)); pb.Next(); i++ {
				if !take(i % len(keys)) {
					b.Error("refused")
					return
				}
			}
		})
	}
	redisRate := func(b *testing.B) *redisrate.Limiter {
		client := goredis.NewClient(&goredis.Options{Addr: addr, PoolSize: 64})
		b.Cleanup(func() { _ = client.Close() })
		return redisrate.NewLimiter(client)
	}
	for _, n := range []int{1, 3} {
		b.Run(fmt.Sprintf("policies=%d/hotpath", n), func(b *testing.B) {
			l := limiter(b, -1, n)
			parallel(b, func(i int) bool { return l.Take(ctx, keys[i], 1).Allowed })
		})
		b.Run(fmt.Sprintf("policies=%d/redis_rate", n), func(b *testing.B) {
			l := redisRate(b)
			limits := make([]redisrate.Limit, n)
			for k := range limits {
				limits[k] = redisrate.Limit{Rate: 100_000_000, Period: time.Second, Burst: 500_000_000}
			}
			parallel(b, func(i int) bool {
				for k, limit := range limits {
					if r, err := l.Allow(ctx, texts[i]+string(rune('a'+k)), limit); err != nil || r.Allowed == 0 {
						return false
					}
				}
				return true
			})
		})
	}
	b.Run("leases/hotpath", func(b *testing.B) {
		l := limiter(b, 0, 1)
		parallel(b, func(i int) bool { return l.Take(ctx, keys[i], 1).Allowed })
		b.ReportMetric(float64(l.Stats().Trips["ok"])/float64(b.N), "trips/op")
	})
}

// BenchmarkRedisStopped is a decision while the server hangs and the breaker is open, beside one
// without a Remote.
func BenchmarkRedisStopped(b *testing.B) {
	ctx, key := context.Background(), throttle.KeyOf("consumer")
	b.Run("stopped", func(b *testing.B) {
		addr, process := redisServer(b)
		l := newLimiter(b, throttle.Config{Remote: redisStore(b, addr), Rate: throttle.Per(perSecond, time.Second), Burst: plenty, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
		if err := process.Signal(syscall.SIGSTOP); err != nil {
			b.Fatal(err)
		}
		for l.Stats().RemoteUp {
			l.Take(ctx, throttle.KeyOf("other"), 1)
		}
		l.Take(ctx, key, 1)
		for b.Loop() {
			if !l.Take(ctx, key, 1).Allowed {
				b.Fatal("refused")
			}
		}
	})
	b.Run("local", func(b *testing.B) {
		l := newLimiter(b, throttle.Config{Rate: throttle.Per(perSecond, time.Second), Burst: plenty})
		l.Take(ctx, key, 1)
		for b.Loop() {
			if !l.Take(ctx, key, 1).Allowed {
				b.Fatal("refused")
			}
		}
	})
}
