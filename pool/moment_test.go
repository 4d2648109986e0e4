package pool_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/pool"
)

// P3: room and the end of the context at the same moment: an error means that the task never runs,
// and none that it does. Many wait and many leave, for the moment is short.
func TestP3_RoomAndEndAtOnce(t *testing.T) {
	const submitters = 50
	for range 50 {
		p := newPool(t, pool.Config{Workers: 1, Queue: -1})
		release := hold(t, p)
		ctx, cancel := context.WithCancel(t.Context())
		var accepted, ran atomic.Int64
		var wg sync.WaitGroup
		for range submitters {
			wg.Go(func() {
				switch err := p.Go(ctx, func(context.Context) error { ran.Add(1); return nil }); {
				case err == nil:
					accepted.Add(1)
				case !errors.Is(err, pool.ErrFull):
					t.Error(err)
				}
			})
		}
		for p.Stats().Blocked < submitters {
			runtime.Gosched()
		}
		wg.Go(cancel)
		release()
		wg.Wait()
		if s := p.Stats(); s.Blocked != 0 {
			t.Fatalf("%d still wait for room", s.Blocked)
		}
		closed(t, p)
		if accepted.Load() != ran.Load() {
			t.Fatalf("%d were accepted, %d ran", accepted.Load(), ran.Load())
		}
	}
}

// P1: a worker keeps nothing of a task that has ended.
func TestP1_NothingIsKeptOfWhatHasEnded(t *testing.T) {
	p := newPool(t, pool.Config{Workers: 1})
	defer closed(t, p)
	var collected atomic.Int32
	func() {
		for range 5 {
			big := new([1 << 16]byte)
			runtime.AddCleanup(big, func(int) { collected.Add(1) }, 0)
			done := make(chan struct{})
			if err := p.Go(t.Context(), func(context.Context) error { defer close(done); big[0]++; return nil }); err != nil {
				t.Fatal(err)
			}
			<-done
		}
	}()
	for end := time.Now().Add(10 * time.Second); collected.Load() < 5; {
		if time.Now().After(end) {
			t.Fatalf("%d of 5 were collected", collected.Load())
		}
		runtime.GC()
		time.Sleep(time.Millisecond)
	}
}

// C2: after the cut nobody gets anything accepted any more, from inside a task neither.
func TestC2_NothingIsAcceptedAfterTheCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, pool.Config{Workers: 2})
		inside := make(chan error, 2)
		if err := p.Go(t.Context(), func(ctx context.Context) error {
			time.Sleep(time.Second)
			inside <- p.Go(ctx, nop) // it was inside when Close came
			<-ctx.Done()             // the cut
			inside <- p.Go(ctx, nop)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := p.Close(ctx); err != nil {
			t.Errorf("Close: %v", err)
		}
		if before, after := <-inside, <-inside; before != nil || after != pool.ErrClosed {
			t.Errorf("before the cut %v, after it %v", before, after)
		}
	})
}
