package pool_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/pool"
)

// Map beside 10,000 queued tasks: how many elements begin while one task that was accepted waits.
func TestP10_Map_MapBesideManyTasks(t *testing.T) {
	for seed := range uint64(30) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			workers := 1 + rnd.IntN(6)
			n := 10 + rnd.IntN(2000)
			p := newPool(t, pool.Config{Workers: workers})
			var begun atomic.Int64
			release := holdAll(t, p, workers)
			mapped := make(chan error, 1)
			push := func(n int) {
				for range n {
					came := begun.Load()
					d := time.Duration(rnd.IntN(2000)) * time.Microsecond
					if rnd.IntN(50) == 0 {
						d = time.Second
					}
					_ = p.Go(context.Background(), func(context.Context) error {
						if k := begun.Load() - came; k > int64(3*workers) {
							t.Errorf("seed %d, %d workers: %d elements before a task that waited", seed, workers, k)
						}
						time.Sleep(d)
						return nil
					})
				}
			}
			push(rnd.IntN(50))
			go func() {
				_, err := pool.Map(context.Background(), p, make([]int, 3000), func(context.Context, int) (int, error) {
					begun.Add(1)
					time.Sleep(time.Millisecond)
					return 0, nil
				})
				mapped <- err
			}()
			synctest.Wait()
			push(n)
			release()
			for range 10 {
				time.Sleep(time.Duration(rnd.IntN(100)) * time.Millisecond)
				push(rnd.IntN(100))
			}
			if err := <-mapped; err != nil {
				t.Error(err)
			}
			closed(t, p)
		})
	}
}

// A panic whose value is the end of a context is no echo.
func TestP10_Map_APanicIsNoEcho(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, pool.Config{Workers: 2})
		_, err := pool.Map(context.Background(), p, []int{0, 1}, func(ctx context.Context, v int) (int, error) {
			if v == 1 {
				time.Sleep(time.Second)
				return 0, errDown
			}
			time.Sleep(2 * time.Second)
			panic(context.Canceled)
		})
		var pe *pool.PanicError
		if !errors.As(err, &pe) {
			t.Errorf("a panic at index 0 is lost: %v", err)
		}
		closed(t, p)
	})
}

// Successful Maps whose runners came too late count as cancelled.
func TestP10_Map_CancelledOfMapsThatWentWell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, pool.Config{Workers: 4})
		release := holdAll(t, p, 3)
		var last atomic.Int32
		if _, err := pool.Map(context.Background(), p, make([]int, 2), func(context.Context, int) (int, error) {
			if last.Add(1) == 2 {
				_ = p.Go(context.Background(), func(context.Context) error { time.Sleep(time.Second); return nil })
			}
			time.Sleep(time.Second)
			return 0, nil
		}); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		s := p.Stats()
		if s.Tasks["cancelled"] != 0 {
			t.Errorf("%v", s.Tasks)
		}
		release()
		closed(t, p)
	})
}
