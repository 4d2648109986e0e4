package bench

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/go-chi/httprate"
	"github.com/sethvargo/go-limiter/memorystore"
	"github.com/throttled/throttled/v2"
	throttledmem "github.com/throttled/throttled/v2/store/memstore"
	"golang.org/x/time/rate"

	"github.com/hotpath-go/hotpath/throttle"
)

// A limit that nobody reaches, and under which each record owes something: a bucket that is full
// again is none.
const (
	perSecond = 1 // a million keys are visited once in less
	plenty    = 1_000_000_000
)

// A taker decides about a key.
type taker func(key string) bool

// A namer writes the text of a key into memory that is warm, where a request's key stands too.
// The string is valid until the next call, and must not be kept.
type namer struct{ text [16]byte }

func (n *namer) name(i int) string {
	copy(n.text[:], "consumer-")
	for at := len(n.text) - 1; at >= len("consumer-"); at-- {
		n.text[at] = byte('0' + i%10)
		i /= 10
	}
	return unsafe.String(&n.text[0], len(n.text))
}

func newLimiter(b *testing.B, cfg throttle.Config) *throttle.Limiter {
	b.Helper()
	l, err := throttle.New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	return l
}

func goLimiter(b *testing.B, tokens uint64) func(string) bool {
	b.Helper()
	store, err := memorystore.New(&memorystore.Config{Tokens: tokens, Interval: time.Second, SweepInterval: time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = store.Close(context.Background()) })
	ctx := context.Background()
	return func(key string) bool {
		_, _, _, ok, _ := store.Take(ctx, key)
		return ok
	}
}

func xTime() func(string) bool {
	var mu sync.Mutex
	limiters := map[string]*rate.Limiter{}
	return func(key string) bool {
		mu.Lock()
		l := limiters[key]
		if l == nil {
			l = rate.NewLimiter(perSecond, plenty)
			limiters[key] = l
		}
		mu.Unlock()
		return l.Allow()
	}
}

func throttledLimiter(b *testing.B, n int, quota throttled.RateQuota) *throttled.GCRARateLimiterCtx {
	b.Helper()
	store, err := throttledmem.NewCtx(2 * n)
	if err != nil {
		b.Fatal(err)
	}
	l, err := throttled.NewGCRARateLimiterCtx(store, quota)
	if err != nil {
		b.Fatal(err)
	}
	return l
}

func takers(b *testing.B, n int) map[string]func() taker {
	known := func(f taker) taker {
		for i := range n { // the first time with a text of its own, which is kept
			f(strings.Clone(new(namer).name(i)))
		}
		return f
	}
	return map[string]func() taker{
		"hotpath": func() taker {
			l := newLimiter(b, throttle.Config{Rate: throttle.Per(perSecond, time.Second), Burst: plenty, Capacity: max(n, 131_072)})
			ctx := context.Background()
			return known(func(key string) bool { return l.Take(ctx, throttle.KeyOf(key), 1).Allowed })
		},
		"go-limiter": func() taker { return known(goLimiter(b, plenty)) },
		"x-time":     func() taker { return known(xTime()) },
		"throttled": func() taker {
			l := throttledLimiter(b, n, throttled.RateQuota{MaxRate: throttled.PerSec(perSecond), MaxBurst: plenty})
			ctx := context.Background()
			return known(func(key string) bool { limited, _, _ := l.RateLimitCtx(ctx, key, 1); return !limited })
		},
	}
}

var takerNames = []string{"hotpath", "go-limiter", "x-time", "throttled"}

// BenchmarkTake is one decision for a key that is known: of 1, of 1,024 and of a million keys.
func BenchmarkTake(b *testing.B) {
	for _, n := range []int{1, 1024, 1_000_000} {
		all := takers(b, n)
		for _, name := range takerNames {
			b.Run(fmt.Sprintf("keys=%d/%s", n, name), func(b *testing.B) {
				take := all[name]()
				b.ReportAllocs()
				var names namer
				i := 0
				for b.Loop() {
					if !take(names.name(i)) {
						b.Fatal("refused")
					}
					if i += 611_953; i >= n { // prime: every key once, in no order
						i %= n
					}
				}
			})
		}
	}
}

// BenchmarkTakeParallel is one key and every processor.
func BenchmarkTakeParallel(b *testing.B) {
	all := takers(b, 1)
	for _, name := range takerNames {
		b.Run(name, func(b *testing.B) {
			take := all[name]()
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					take("consumer-0000000")
				}
			})
		})
	}
}

// BenchmarkTakeRefused is a consumer that hammers.
func BenchmarkTakeRefused(b *testing.B) {
	b.Run("hotpath", func(b *testing.B) {
		l := newLimiter(b, throttle.Config{Rate: throttle.Per(1, time.Hour)})
		ctx, key := context.Background(), throttle.KeyOf("abuser")
		l.Take(ctx, key, 1)
		b.ReportAllocs()
		for b.Loop() {
			if l.Take(ctx, key, 1).Allowed {
				b.Fatal("allowed")
			}
		}
	})
	b.Run("go-limiter", func(b *testing.B) {
		store, err := memorystore.New(&memorystore.Config{Tokens: 1, Interval: time.Hour, SweepInterval: time.Hour})
		if err != nil {
			b.Fatal(err)
		}
		ctx := context.Background()
		defer store.Close(ctx)
		_, _, _, _, _ = store.Take(ctx, "abuser")
		b.ReportAllocs()
		for b.Loop() {
			if _, _, _, ok, _ := store.Take(ctx, "abuser"); ok {
				b.Fatal("allowed")
			}
		}
	})
}

// BenchmarkTakeThree is a decision by three policies.
func BenchmarkTakeThree(b *testing.B) {
	for _, n := range []int{1, 1024} {
		var texts []string
		var keys []throttle.Key
		for i := range n {
			texts = append(texts, strings.Clone(new(namer).name(i)))
			keys = append(keys, throttle.KeyOf(texts[i]))
		}
		b.Run(fmt.Sprintf("keys=%d/hotpath", n), func(b *testing.B) {
			l := newLimiter(b, throttle.Config{Policies: []throttle.Policy{
				{Name: "second", Rate: throttle.Per(perSecond, time.Second), Burst: plenty},
				{Name: "minute", Rate: throttle.Per(perSecond, time.Second), Burst: plenty / 2},
				{Name: "hour", Rate: throttle.Per(perSecond, time.Second), Burst: plenty / 4},
			}})
			ctx := context.Background()
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if !l.Take(ctx, keys[i], 1).Allowed {
					b.Fatal("refused")
				}
				i = (i + 997) % n
			}
		})
		b.Run(fmt.Sprintf("keys=%d/go-limiter", n), func(b *testing.B) {
			one, two, three := goLimiter(b, plenty), goLimiter(b, plenty), goLimiter(b, plenty)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if !one(texts[i]) || !two(texts[i]) || !three(texts[i]) {
					b.Fatal("refused")
				}
				i = (i + 997) % n
			}
		})
	}
}

func byAddress(r *http.Request) (string, error) {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	return httprate.CanonicalizeIP(host), err
}

// BenchmarkThrottleHandler is a request that is let in, with the fields that each library sends.
func BenchmarkThrottleHandler(b *testing.B) {
	next := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) })
	run := func(name string, h http.Handler) {
		b.Run(name, func(b *testing.B) {
			w, r := &discard{http.Header{}}, httptest.NewRequest("GET", "/", nil)
			b.ReportAllocs()
			for b.Loop() {
				clear(w.header)
				h.ServeHTTP(w, r)
			}
		})
	}
	limits := throttle.Config{Rate: throttle.Per(perSecond, time.Second), Burst: plenty}
	run("hotpath", newLimiter(b, limits).Handler(next))
	limits.Headers = "off"
	run("hotpath-off", newLimiter(b, limits).Handler(next))
	quiet := throttled.HTTPRateLimiterCtx{
		RateLimiter: throttledLimiter(b, 100, throttled.RateQuota{MaxRate: throttled.PerSec(perSecond), MaxBurst: plenty}),
		VaryBy:      &throttled.VaryBy{RemoteAddr: true},
	}
	run("throttled", quiet.RateLimit(next))
	run("httprate", httprate.LimitBy(plenty, time.Second, byAddress)(next))
}

// BenchmarkThrottleRefused is a request that is refused: with problem+json, by others in plain text.
func BenchmarkThrottleRefused(b *testing.B) {
	next := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) })
	run := func(name string, h http.Handler) {
		b.Run(name, func(b *testing.B) {
			w, r := &discard{http.Header{}}, httptest.NewRequest("GET", "/", nil)
			h.ServeHTTP(w, r)
			b.ReportAllocs()
			for b.Loop() {
				clear(w.header)
				h.ServeHTTP(w, r)
			}
		})
	}
	run("hotpath", newLimiter(b, throttle.Config{Rate: throttle.Per(1, time.Hour)}).Handler(next))
	strict := throttled.HTTPRateLimiterCtx{
		RateLimiter: throttledLimiter(b, 100, throttled.RateQuota{MaxRate: throttled.PerHour(1)}),
		VaryBy:      &throttled.VaryBy{RemoteAddr: true},
	}
	run("throttled", strict.RateLimit(next))
}

// BenchmarkClientAddr is the address of a client behind proxies, by hops.
func BenchmarkClientAddr(b *testing.B) {
	l := newLimiter(b, throttle.Config{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}})
	for _, hops := range []int{1, 64, 20_000} {
		b.Run(fmt.Sprint(hops), func(b *testing.B) {
			r := httptest.NewRequest("GET", "/", nil)
			for range hops {
				r.Header.Add("X-Forwarded-For", "192.0.2.1")
			}
			for b.Loop() {
				if _, err := l.ClientAddr(r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
