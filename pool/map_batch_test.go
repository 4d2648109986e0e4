package pool_test

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/pool"
)

// longest is the longest of some waits.
type longest struct{ atomic.Int64 }

func (l *longest) note(d time.Duration) {
	for n := l.Load(); int64(d) > n && !l.CompareAndSwap(n, int64(d)); n = l.Load() {
	}
}

func (l *longest) get() time.Duration { return time.Duration(l.Load()) }

// A task in the batch of the very worker that a runner has waits for an element, and not for all of them.
func TestP10_Map_BatchMateOfARunner(t *testing.T) {
	for name, whole := range map[string]func(p *pool.Pool){
		"map": func(p *pool.Pool) { _, _ = pool.Map(context.Background(), p, make([]int, 1000), second) },
		"stream": func(p *pool.Pool) {
			for range pool.Stream(context.Background(), p, count(1000), second) {
			}
		},
	} {
		for _, shorts := range []int{9, 12, 30} {
			synctest.Test(t, func(t *testing.T) {
				p := newPool(t, pool.Config{Workers: 2})
				ra, rb := hold(t, p), hold(t, p)
				began := time.Now()
				var mapped sync.WaitGroup
				mapped.Go(func() { whole(p) })
				synctest.Wait()
				var worst longest
				for range shorts + 1 {
					_ = p.Go(context.Background(), func(context.Context) error { worst.note(time.Since(began)); return nil })
				}
				ra()
				synctest.Wait()
				rb()
				mapped.Wait()
				closed(t, p)
				if worst.get() > 2*time.Second {
					t.Errorf("%s, %d shorts: a task waited %v, elements take 1 s", name, shorts, worst.get())
				}
			})
		}
	}
}

// A task behind a slow one in another worker's batch, while a Map that came later has the other worker.
func TestP10_Map_RestOfAnotherWhileAMapRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, pool.Config{Workers: 2})
		ra, rb := hold(t, p), hold(t, p)
		began := time.Now()
		var worst longest
		_ = p.Go(context.Background(), func(context.Context) error { time.Sleep(time.Hour); return nil })
		for range 8 {
			_ = p.Go(context.Background(), func(context.Context) error { worst.note(time.Since(began)); return nil })
		}
		mapped := make(chan error, 1)
		go func() {
			_, err := pool.Map(context.Background(), p, make([]int, 1000), second)
			mapped <- err
		}()
		synctest.Wait()
		ra()
		synctest.Wait()
		rb()
		<-mapped
		closed(t, p)
		if worst.get() > 2*time.Second {
			t.Errorf("a task waited %v, elements take 1 s", worst.get())
		}
	})
}

// Goexit of an element in the task's own slot: Map is left while other calls run.
func TestP10_Map_GoexitInsideWaitsForStartedCalls(t *testing.T) {
	for _, stream := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			p := newPool(t, pool.Config{Workers: 2})
			var running atomic.Int32
			f := func(_ context.Context, v int) (int, error) {
				running.Add(1)
				defer running.Add(-1)
				time.Sleep(time.Second)
				if v == 0 {
					runtime.Goexit()
				}
				time.Sleep(time.Minute)
				return v, nil
			}
			left := int32(-1)
			fu := pool.Submit(context.Background(), p, func(ctx context.Context) (int, error) {
				defer func() { left = running.Load() }()
				if stream {
					for range pool.Stream(ctx, p, count(2), f) {
					}
					return 0, nil
				}
				_, err := pool.Map(ctx, p, []int{0, 1}, f)
				return 0, err
			})
			_, err := fu.Wait(context.Background())
			if left != 0 {
				t.Errorf("stream %t: %d calls still run when it is left (%v)", stream, left, err)
			}
			closed(t, p)
		})
	}
}

// Whoever has cancelled may be followed by few elements, though who sees to that waits for the processor.
func TestP10_Map_NoElementAfterTheEndOfCtx(t *testing.T) {
	for _, procs := range []int{1, 2} {
		func() {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
			p := newPool(t, pool.Config{Workers: 1})
			ctx, cancel := context.WithCancel(context.Background())
			var after int
			var gone bool
			_, err := pool.Map(ctx, p, make([]int, 100_000_000), func(context.Context, int) (int, error) {
				if gone {
					after++
				}
				if !gone {
					gone = true
					cancel()
				}
				return 0, nil
			})
			closed(t, p)
			if after > 16 {
				t.Errorf("GOMAXPROCS %d: %d elements began after the end of ctx (%v)", procs, after, err)
			}
		}()
	}
}

// What a Map that went well leaves in Stats: a runner that found nothing left to do, or did not begin
// in time for that, is no cancelled task.
func TestP10_Map_StatsOfAMapThatWentWell(t *testing.T) {
	for range 100 {
		synctest.Test(t, func(t *testing.T) {
			p := newPool(t, pool.Config{Workers: 4})
			release := holdAll(t, p, 3)
			if _, err := pool.Map(context.Background(), p, make([]int, 10), second); err != nil {
				t.Error(err)
			}
			if s := p.Stats(); s.Tasks["cancelled"] != 0 {
				t.Errorf("%v", s.Tasks)
			}
			release()
			closed(t, p)
		})
	}
}
