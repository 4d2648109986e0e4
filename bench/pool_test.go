package bench

import (
	"context"
	"sync"
	"testing"

	"github.com/hotpath-go/hotpath/pool"
)

// BenchmarkPool hands an empty task over and waits for all of them: hotpath, a channel of 1,024
// with the same workers, a goroutine per task.
func BenchmarkPool(b *testing.B) {
	const workers = 16
	ctx := context.Background()
	b.Run("hotpath", func(b *testing.B) {
		b.ReportAllocs()
		p, err := pool.New(pool.Config{Workers: workers, Queue: 1024})
		if err != nil {
			b.Fatal(err)
		}
		f := func(context.Context) error { return nil }
		for b.Loop() {
			_ = p.Go(ctx, f)
		}
		_ = p.Close(ctx)
	})
	b.Run("channel", func(b *testing.B) {
		b.ReportAllocs()
		tasks := make(chan func(context.Context) error, 1024)
		var wg sync.WaitGroup
		for range workers {
			wg.Go(func() {
				for f := range tasks {
					_ = f(ctx)
				}
			})
		}
		f := func(context.Context) error { return nil }
		for b.Loop() {
			tasks <- f
		}
		close(tasks)
		wg.Wait()
	})
	b.Run("goroutine", func(b *testing.B) {
		b.ReportAllocs()
		var wg sync.WaitGroup
		for b.Loop() {
			wg.Go(func() {})
		}
		wg.Wait()
	})
}
