//go:build !race

package pool_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/internal/leaktest"
	"github.com/hotpath-go/hotpath/pool"
)

// heap is what is in use, in bytes.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A waiting task costs its place in the ring; a Future also itself; when all have run and the pool
// has idled nothing of it is left.
func TestAllocs_BytesPerWaitingTask(t *testing.T) {
	const tasks = 1 << 16
	one := func(context.Context) (int, error) { return 1, nil }
	for _, c := range []struct {
		name   string
		most   int64
		submit func(*pool.Pool)
	}{
		{"Go", 26, func(p *pool.Pool) { _ = p.Go(context.Background(), nop) }},
		{"Submit", 160, func(p *pool.Pool) { pool.Submit(context.Background(), p, one) }},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := newPool(t, pool.Config{Workers: 1, Queue: tasks})
			release := hold(t, p)
			before := heap()
			for range tasks {
				c.submit(p)
			}
			if each := (heap() - before) / tasks; each > c.most || p.Stats().Waiting != tasks {
				t.Errorf("%s: %d bytes a waiting task, at most %d; %d wait", c.name, each, c.most, p.Stats().Waiting)
			}
			release()
			synctest.Wait()
			time.Sleep(30 * time.Second) // it has idled
			synctest.Wait()
			if left := heap() - before; left > tasks {
				t.Errorf("%s: %d bytes are left", c.name, left)
			}
			closed(t, p)
		})
	}
}

// A cancelled task frees its place without moving the others: at most now and then.
func TestAllocs_CancellingIsAmortised(t *testing.T) {
	const living = 10_000
	p := newPool(t, pool.Config{Workers: 1, Queue: 2 * living})
	release := hold(t, p)
	for range living {
		_ = p.Go(context.Background(), nop)
	}
	one := func(context.Context) (int, error) { return 1, nil }
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range living {
		ctx, cancel := context.WithCancel(context.Background())
		f := pool.Submit(ctx, p, one)
		cancel()
		_, _ = f.Wait(context.Background())
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / living; each > 2000 {
		t.Errorf("%d bytes for a cancelled task among %d", each, living)
	}
	if n := p.Stats().Waiting; n != living {
		t.Errorf("%d wait", n)
	}
	release()
	closed(t, p)
}

// What was cancelled leaves nothing in the queue, however much of it there was.
func TestAllocs_CancelledTasksLeaveNothing(t *testing.T) {
	p := newPool(t, pool.Config{Workers: 1, Queue: 10})
	release := hold(t, p)
	one := func(context.Context) (int, error) { return 1, nil }
	before := heap()
	for range 100_000 {
		ctx, cancel := context.WithCancel(context.Background())
		f := pool.Submit(ctx, p, one)
		cancel()
		_, _ = f.Wait(context.Background())
	}
	if left := heap() - before; left > 200_000 {
		t.Errorf("%d bytes are left", left)
	}
	release()
	closed(t, p)
}

// No goroutine runs before the first task, and none is left 2 x IdleTimeout after the last.
func TestC5_NoGoroutineAtRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := len(leaktest.Running())
		p := newPool(t, pool.Config{IdleTimeout: time.Second})
		if n := len(leaktest.Running()); n != at {
			t.Errorf("%d goroutines before the first task", n-at)
		}
		for range 100 {
			_ = p.Go(t.Context(), func(context.Context) error { time.Sleep(time.Millisecond); return nil })
		}
		synctest.Wait()
		if n := len(leaktest.Running()); n == at {
			t.Error("no worker is seen")
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if n := len(leaktest.Running()); n != at {
			t.Errorf("%d goroutines at rest", n-at)
		}
		closed(t, p)
	})
}
