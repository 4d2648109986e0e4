package bench

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alitto/pond/v2"

	"github.com/hotpath-go/hotpath/pool"
)

func newPool(b *testing.B, cfg pool.Config) *pool.Pool {
	b.Helper()
	p, err := pool.New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = p.Close(context.Background()) })
	return p
}

// BenchmarkPoolMap maps 1,000 empty items, against the same goroutines that take turns by an atomic index.
func BenchmarkPoolMap(b *testing.B) {
	items := make([]int, 1000)
	b.Run("hotpath", func(b *testing.B) {
		b.ReportAllocs()
		p, ctx := newPool(b, pool.Config{Workers: poolWorkers}), context.Background()
		f := func(_ context.Context, v int) (int, error) { return v, nil }
		for b.Loop() {
			if _, err := pool.Map(ctx, p, items, f); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("atomic-index", func(b *testing.B) {
		b.ReportAllocs()
		f := func(v int) (int, error) { return v, nil }
		for b.Loop() {
			out := make([]int, len(items))
			var next atomic.Int64
			var wg sync.WaitGroup
			for range poolWorkers {
				wg.Go(func() {
					for i := next.Add(1) - 1; i < int64(len(items)); i = next.Add(1) - 1 {
						out[i], _ = f(items[i])
					}
				})
			}
			wg.Wait()
		}
	})
}

// busy works for about two microseconds.
func busy() {
	for end := time.Now().Add(2 * time.Microsecond); time.Now().Before(end); {
	}
}

// BenchmarkPoolBurst hands over 100,000 tasks of 2 us that all have room: how long the caller is held, and how
// long all of it takes.
func BenchmarkPoolBurst(b *testing.B) {
	const tasks = 100_000
	run := func(b *testing.B, submit func(done *sync.WaitGroup)) {
		var held time.Duration
		for b.Loop() {
			var done sync.WaitGroup
			done.Add(tasks)
			began := time.Now()
			for range tasks {
				submit(&done)
			}
			held += time.Since(began)
			done.Wait()
		}
		b.ReportMetric(float64(held)/float64(b.N), "held-ns/op")
	}
	b.Run("hotpath", func(b *testing.B) {
		p, ctx := newPool(b, pool.Config{Workers: poolWorkers, Queue: tasks}), context.Background()
		run(b, func(done *sync.WaitGroup) {
			_ = p.Go(ctx, func(context.Context) error { busy(); done.Done(); return nil })
		})
	})
	b.Run("pond", func(b *testing.B) {
		p := pond.NewPool(poolWorkers, pond.WithQueueSize(tasks))
		b.Cleanup(p.StopAndWait)
		run(b, func(done *sync.WaitGroup) { _ = p.Go(func() { busy(); done.Done() }) })
	})
}

// BenchmarkPoolDispatch is the time from handing over a task, when all workers are idle, to its beginning.
func BenchmarkPoolDispatch(b *testing.B) {
	run := func(b *testing.B, submit func(f func())) {
		var waited time.Duration
		begun := make(chan time.Time)
		for b.Loop() {
			at := time.Now()
			submit(func() { begun <- time.Now() })
			waited += (<-begun).Sub(at)
		}
		b.ReportMetric(float64(waited)/float64(b.N), "dispatch-ns/op")
	}
	b.Run("hotpath", func(b *testing.B) {
		p, ctx := newPool(b, pool.Config{Workers: poolWorkers}), context.Background()
		run(b, func(f func()) { _ = p.Go(ctx, func(context.Context) error { f(); return nil }) })
	})
	b.Run("go-statement", func(b *testing.B) { run(b, func(f func()) { go f() }) })
}
