package pool_test

import (
	"context"
	"errors"
	"iter"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/pool"
)

func count(n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}
}

// Whatever ends a call ends that element only, and no worker is lost.
func TestP10_AStreamOutlivesPanicsAndGoexit(t *testing.T) {
	for _, workers := range []int{1, 3} {
		p := newPool(t, pool.Config{Workers: workers})
		i := 0
		for v, err := range pool.Stream(t.Context(), p, count(300), func(_ context.Context, v int) (int, error) {
			switch v % 4 {
			case 1:
				panic(v)
			case 2:
				runtime.Goexit()
			case 3:
				return 0, errors.ErrUnsupported
			}
			return v, nil
		}) {
			var panicked *pool.PanicError
			switch i % 4 {
			case 0:
				if v != i || err != nil {
					t.Errorf("%d is %d, %v", i, v, err)
				}
			case 1:
				if !errors.As(err, &panicked) || panicked.Value != any(i) {
					t.Errorf("%d: %v", i, err)
				}
			case 2:
				if !errors.As(err, &panicked) || panicked.Value != nil {
					t.Errorf("%d: %v", i, err)
				}
			case 3:
				if !errors.Is(err, errors.ErrUnsupported) {
					t.Errorf("%d: %v", i, err)
				}
			}
			i++
		}
		if i != 300 {
			t.Errorf("%d elements", i)
		}
		closed(t, p)
	}
}

// With a queue that others fill it waits for room, and goes behind them after each element.
func TestP10_AStreamWaitsForRoomLikeAnybody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, pool.Config{Workers: 1, Queue: 1})
		release := hold(t, p)
		_ = p.Go(t.Context(), nop)
		var got []int
		done := make(chan struct{})
		go func() {
			defer close(done)
			for v, err := range pool.Stream(t.Context(), p, count(20), func(_ context.Context, v int) (int, error) {
				time.Sleep(time.Second)
				return v, nil
			}) {
				if err != nil {
					t.Error(err)
				}
				got = append(got, v)
			}
		}()
		synctest.Wait()
		if n := p.Stats().Blocked; n != 1 {
			t.Errorf("%d wait for room", n)
		}
		release()
		for range 10 {
			time.Sleep(time.Second)
			if err := p.Go(t.Context(), nop); err != nil {
				t.Error(err)
			}
		}
		<-done
		if !slices.Equal(got, slices.Collect(count(20))) {
			t.Errorf("%v", got)
		}
		closed(t, p)
	})
}

// TaskTimeout is that of a call, however long its stream lasts.
func TestP10_TaskTimeoutIsThatOfACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, pool.Config{Workers: 1, TaskTimeout: 3 * time.Second})
		f := func(ctx context.Context, v int) (int, error) {
			select {
			case <-time.After(2 * time.Second):
				return v, nil
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}
		n := 0
		for v, err := range pool.Stream(t.Context(), p, count(10), f) {
			if v != n || err != nil {
				t.Errorf("%d is %d, %v", n, v, err)
			}
			n++
		}
		for _, err := range pool.Stream(t.Context(), p, count(1), func(ctx context.Context, _ int) (int, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		}) {
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		}
		if s := p.Stats(); s.Overdue != 0 {
			t.Errorf("%d overdue", s.Overdue)
		}
		closed(t, p)
	})
}

// A stream that never ends does not keep Close from ending.
func TestC1_AStreamIsOutside(t *testing.T) {
	for _, workers := range []int{1, 4} {
		synctest.Test(t, func(t *testing.T) {
			p := newPool(t, pool.Config{Workers: workers})
			shut := make(chan error, 1)
			served := 0
			endless := func(yield func(int) bool) {
				for yield(0) {
				}
			}
			for _, err := range pool.Stream(t.Context(), p, endless, func(context.Context, int) (int, error) {
				time.Sleep(time.Second)
				return 0, nil
			}) {
				if served++; served == 10 {
					go func() { shut <- p.Close(context.Background()) }()
				}
				if err != nil {
					if !errors.Is(err, pool.ErrClosed) {
						t.Error(err)
					}
					break
				}
			}
			if err := <-shut; err != nil {
				t.Error(err)
			}
		})
	}
}

// At the cut and at the end of the caller's context what nobody has begun is told why, and what
// runs gives its own answer.
func TestP10_WhatEndsAStreamEndsItsElements(t *testing.T) {
	for _, how := range []string{"cut", "caller"} {
		synctest.Test(t, func(t *testing.T) {
			p := newPool(t, pool.Config{Workers: 2})
			why := errors.New("why")
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			want := why
			go func() {
				time.Sleep(time.Second)
				if how == "caller" {
					cancel(why)
				} else {
					already, stop := context.WithCancelCause(context.Background())
					stop(why)
					_ = p.Close(already)
				}
			}()
			if how == "cut" {
				want = pool.ErrClosed
			}
			n := 0
			for _, err := range pool.Stream(ctx, p, count(20), func(ctx context.Context, _ int) (int, error) {
				<-ctx.Done()
				return 0, context.Cause(ctx)
			}) {
				if !errors.Is(err, want) {
					t.Errorf("%s: %d: %v", how, n, err)
				}
				n++
			}
			if n != 20 {
				t.Errorf("%s: %d elements", how, n)
			}
			_ = p.Close(context.Background())
		})
	}
}

// break in a task of the same pool: what was begun ends first, and its place in the queue is free.
func TestP10_BreakInATask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, pool.Config{Workers: 1})
		answer := make(chan int, 1)
		_ = p.Go(t.Context(), func(ctx context.Context) error {
			for v := range pool.Stream(ctx, p, count(1000), func(_ context.Context, v int) (int, error) { return v, nil }) {
				if v == 5 {
					break
				}
			}
			answer <- int(p.Stats().Waiting)
			return nil
		})
		if n := <-answer; n != 0 {
			t.Errorf("%d wait after break", n)
		}
		closed(t, p)
	})
}
