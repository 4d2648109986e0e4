package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/alitto/pond/v2"
	"github.com/bytedance/gopkg/util/gopool"
	"github.com/failsafe-go/failsafe-go/bulkhead"
	"github.com/failsafe-go/failsafe-go/failsafehttp"
	chi "github.com/go-chi/chi/v5/middleware"
	ants "github.com/panjf2000/ants/v2"
	concpool "github.com/sourcegraph/conc/pool"
	"github.com/sourcegraph/conc/stream"

	"github.com/hotpath-go/hotpath/pool"
	ours "github.com/hotpath-go/hotpath/pool/bulkhead"
)

const poolWorkers = 16

// A runner hands tasks over. Each gets a task of its own type, made once.
type runner struct {
	name string
	make func(done *sync.WaitGroup) (submit, end func())
}

var runners = [...]runner{
	{"hotpath", func(done *sync.WaitGroup) (submit, end func()) {
		p, err := pool.New(pool.Config{Workers: poolWorkers, Queue: 1024})
		if err != nil {
			panic(err)
		}
		ctx := context.Background()
		task := func(context.Context) error { done.Done(); return nil }
		return func() { _ = p.Go(ctx, task) }, func() { _ = p.Close(ctx) }
	}},
	{"channel", func(done *sync.WaitGroup) (submit, end func()) {
		tasks := make(chan func(), 1024)
		for range poolWorkers {
			go func() {
				for f := range tasks {
					f()
				}
			}()
		}
		return func() { tasks <- done.Done }, func() { close(tasks) }
	}},
	{"pond", func(done *sync.WaitGroup) (submit, end func()) {
		p := pond.NewPool(poolWorkers, pond.WithQueueSize(1024))
		task := func() { done.Done() }
		return func() { _ = p.Go(task) }, p.StopAndWait
	}},
	{"ants", func(done *sync.WaitGroup) (submit, end func()) {
		p, err := ants.NewPool(poolWorkers)
		if err != nil {
			panic(err)
		}
		task := func() { done.Done() }
		return func() { _ = p.Submit(task) }, p.Release
	}},
	{"gopool", func(done *sync.WaitGroup) (submit, end func()) {
		p := gopool.NewPool("bench", poolWorkers, gopool.NewConfig())
		task := func() { done.Done() }
		return func() { p.Go(task) }, func() {}
	}},
	{"conc", func(done *sync.WaitGroup) (submit, end func()) {
		p := concpool.New().WithMaxGoroutines(poolWorkers)
		task := func() { done.Done() }
		return func() { p.Go(task) }, p.Wait
	}},
	{"goroutine", func(done *sync.WaitGroup) (submit, end func()) {
		return func() { go done.Done() }, func() {}
	}},
}

// BenchmarkPool hands an empty task over and waits for all of them, by producers.
func BenchmarkPool(b *testing.B) {
	for _, producers := range []int{1, 2, 64, 1000} {
		for _, r := range runners {
			b.Run(fmt.Sprintf("%d/%s", producers, r.name), func(b *testing.B) {
				b.ReportAllocs()
				var ran, over sync.WaitGroup
				submit, end := r.make(&ran)
				ran.Add(b.N)
				var next atomic.Int64
				b.ResetTimer()
				for range producers {
					over.Go(func() {
						for {
							from := next.Add(64) - 64
							if from >= int64(b.N) {
								return
							}
							for range min(64, int64(b.N)-from) {
								submit()
							}
						}
					})
				}
				over.Wait()
				ran.Wait()
				b.StopTimer()
				end()
			})
		}
	}
}

// BenchmarkPoolWait hands over a task and waits for what it returns.
func BenchmarkPoolWait(b *testing.B) {
	ctx := context.Background()
	b.Run("hotpath", func(b *testing.B) {
		b.ReportAllocs()
		p, err := pool.New(pool.Config{Workers: poolWorkers})
		if err != nil {
			b.Fatal(err)
		}
		f := func(context.Context) (int, error) { return 1, nil }
		for b.Loop() {
			_, _ = pool.Submit(ctx, p, f).Wait(ctx)
		}
		_ = p.Close(ctx)
	})
	b.Run("pond", func(b *testing.B) {
		b.ReportAllocs()
		p := pond.NewResultPool[int](poolWorkers)
		f := func() (int, error) { return 1, nil }
		for b.Loop() {
			_, _ = p.SubmitErr(f).Wait()
		}
		p.StopAndWait()
	})
	b.Run("channel", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c := make(chan int, 1)
			go func() { c <- 1 }()
			<-c
		}
	})
}

// BenchmarkPoolStream maps 1,000 empty items in order.
func BenchmarkPoolStream(b *testing.B) {
	const items = 1000
	b.Run("hotpath", func(b *testing.B) {
		b.ReportAllocs()
		ctx := context.Background()
		p, err := pool.New(pool.Config{Workers: poolWorkers})
		if err != nil {
			b.Fatal(err)
		}
		in := func(yield func(int) bool) {
			for i := range items {
				if !yield(i) {
					return
				}
			}
		}
		f := func(_ context.Context, v int) (int, error) { return v, nil }
		for b.Loop() {
			for range pool.Stream(ctx, p, in, f) {
			}
		}
		_ = p.Close(ctx)
	})
	b.Run("conc", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s := stream.New().WithMaxGoroutines(poolWorkers)
			for range items {
				s.Go(func() stream.Callback { return func() {} })
			}
			s.Wait()
		}
	})
}

// BenchmarkBulkhead is one request in and out while nobody waits; and a refusal, with all slots
// taken.
func BenchmarkBulkhead(b *testing.B) {
	mustBulkhead := func(cfg ours.Config) *ours.Bulkhead {
		k, err := ours.New(cfg)
		if err != nil {
			b.Fatal(err)
		}
		return k
	}
	nothing := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	for _, c := range []struct {
		name string
		h    http.Handler
	}{
		{"hotpath, Buffer -1", mustBulkhead(ours.Config{Limit: 64, Buffer: -1}).Handler(nothing)},
		{"hotpath", mustBulkhead(ours.Config{Limit: 64}).Handler(nothing)},
		{"channel semaphore", semaphore(64, nothing)},
		{"chi Throttle", chi.Throttle(64)(nothing)},
		{"failsafe-go", failsafehttp.NewHandler(nothing, bulkhead.NewBuilder[*http.Response](64).Build())},
	} {
		b.Run("in and out/"+c.name, func(b *testing.B) {
			b.ReportAllocs()
			w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
			for b.Loop() {
				c.h.ServeHTTP(w, r)
			}
		})
	}
	full := mustBulkhead(ours.Config{Limit: 1, Fixed: true, Queue: -1})
	release, err := full.Acquire(context.Background(), ours.Class{})
	if err != nil {
		b.Fatal(err)
	}
	defer release()
	if _, err := full.Acquire(context.Background(), ours.Class{}); !errors.Is(err, ours.ErrFull) {
		b.Fatal(err)
	}
	refuse := full.Handler(nothing)
	plain := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "1")
		w.Header().Set("Cache-Control", "no-store")
		http.Error(w, `{"type":"https://iana.org/assignments/http-problem-types#temporary-reduced-capacity","status":503,"title":"Service Unavailable"}`, http.StatusServiceUnavailable)
	})
	for name, h := range map[string]http.Handler{"hotpath": refuse, "http.Error": plain} {
		b.Run("refused/"+name, func(b *testing.B) {
			b.ReportAllocs()
			w, r := &discard{http.Header{}}, httptest.NewRequest("GET", "/", nil)
			for b.Loop() {
				clear(w.header)
				h.ServeHTTP(w, r)
			}
		})
	}
}

func semaphore(n int, next http.Handler) http.Handler {
	slots := make(chan struct{}, n)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		slots <- struct{}{}
		defer func() { <-slots }()
		next.ServeHTTP(w, r)
	})
}
