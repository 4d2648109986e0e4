package pool_test

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/pool"
)

type key struct{}

func TestP6_ContextsOfTasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, pool.Config{TaskTimeout: time.Second})
		ctx, cancel := context.WithCancelCause(context.WithValue(t.Context(), key{}, "v"))
		cancel(errDown)
		for _, derived := range []bool{false, true} {
			_ = p.Go(ctx, func(ctx context.Context) error {
				if ctx.Value(key{}) != "v" || ctx.Err() != nil || context.Cause(ctx) != nil {
					t.Errorf("value %v, err %v, cause %v", ctx.Value(key{}), ctx.Err(), context.Cause(ctx))
				}
				if derived {
					var stop context.CancelFunc
					ctx, stop = context.WithCancel(ctx)
					defer stop()
				}
				began := time.Now()
				<-ctx.Done()
				if time.Since(began) != time.Second || !errors.Is(context.Cause(ctx), context.DeadlineExceeded) || !errors.Is(ctx.Err(), context.DeadlineExceeded) {
					t.Errorf("after %v: %v, cause %v", time.Since(began), ctx.Err(), context.Cause(ctx))
				}
				return nil
			})
		}
		closed(t, p)

		p = newPool(t, pool.Config{})
		ctx, cancel = context.WithCancelCause(t.Context())
		f := pool.Submit(ctx, p, func(ctx context.Context) (error, error) { <-ctx.Done(); return context.Cause(ctx), nil })
		synctest.Wait()
		cancel(errDown)
		if cause, _ := f.Wait(t.Context()); !errors.Is(cause, errDown) {
			t.Errorf("Submit: cause %v", cause)
		}
		_ = p.Go(context.WithValue(t.Context(), key{}, 1), func(ctx context.Context) error {
			<-ctx.Done()
			if !errors.Is(context.Cause(ctx), pool.ErrClosed) {
				t.Errorf("by Close: %v", context.Cause(ctx))
			}
			return nil
		})
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		if err := p.Close(ctx); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

func TestP7_PanicAndGoexit(t *testing.T) {
	p := newPool(t, pool.Config{Workers: 1})
	bg := context.Background()
	for _, f := range []func(context.Context) (int, error){
		func(context.Context) (int, error) { panic(errDown) },
		func(context.Context) (int, error) { panic("text") },
		func(context.Context) (int, error) { runtime.Goexit(); return 0, nil },
	} {
		_ = p.Go(bg, func(ctx context.Context) error { _, err := f(ctx); return err })
		_, err := pool.Submit(bg, p, f).Wait(bg)
		var pe *pool.PanicError
		if !errors.As(err, &pe) || !strings.Contains(string(pe.Stack), "TestP7") {
			t.Errorf("got %v", err)
		}
		if pe != nil && pe.Value == errDown && !errors.Is(err, errDown) { //nolint:errorlint // the value itself
			t.Error("no Unwrap")
		}
		if v, err := pool.Submit(bg, p, func(context.Context) (int, error) { return 3, nil }).Wait(bg); v != 3 || err != nil {
			t.Errorf("the next task: %v, %v", v, err)
		}
		_, err = pool.Map(bg, p, []int{1, 2, 3}, func(ctx context.Context, _ int) (int, error) { return f(ctx) })
		if !errors.As(err, &pe) {
			t.Errorf("Map: %v", err)
		}
		// A helping Wait gets the panic as its error.
		_, _ = pool.Submit(bg, p, func(ctx context.Context) (int, error) {
			if _, err := pool.Submit(ctx, p, f).Wait(ctx); !errors.As(err, &pe) {
				t.Errorf("helping Wait: %v", err)
			}
			return 0, nil
		}).Wait(bg)
	}
	closed(t, p)
	if s := p.Stats(); s.Tasks["panicked"] < 9 {
		t.Errorf("%v", s.Tasks)
	}
}

func TestP8_NestedWaitsFinishWithOneWorker(t *testing.T) {
	p := newPool(t, pool.Config{Workers: 1, Queue: 1})
	var sum func(ctx context.Context, n int) (int, error)
	sum = func(ctx context.Context, n int) (int, error) {
		if n == 0 {
			return 0, nil
		}
		a := pool.Submit(ctx, p, func(ctx context.Context) (int, error) { return sum(ctx, n-1) })
		b := pool.Submit(ctx, p, func(ctx context.Context) (int, error) { return sum(ctx, n-1) })
		y, err := b.Wait(ctx)
		x, err2 := a.Wait(ctx)
		return x + y + 1, errors.Join(err, err2)
	}
	f := pool.Submit(t.Context(), p, func(ctx context.Context) (int, error) { return sum(ctx, 8) })
	for range 2 {
		if v, err := f.Wait(t.Context()); v != 255 || err != nil {
			t.Errorf("%v, %v", v, err)
		}
	}
	closed(t, p)
	if p.Stats().Helped == 0 {
		t.Error("nobody helped")
	}

	synctest.Test(t, func(t *testing.T) { // under a foreign context it just waits
		p := newPool(t, pool.Config{Workers: 1})
		_ = p.Go(t.Context(), func(ctx context.Context) error {
			foreign, stop := context.WithTimeout(t.Context(), time.Second)
			defer stop()
			f := pool.Submit(ctx, p, func(context.Context) (int, error) { return 1, nil })
			if _, err := f.Wait(foreign); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("foreign: %v", err)
			}
			if v, err := f.Wait(ctx); v != 1 || err != nil {
				t.Errorf("own: %v, %v", v, err)
			}
			return nil
		})
		closed(t, p)
	})
}

func TestP9_OverdueTasksAreCountedAndLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		p, _ := pool.New(pool.Config{TaskTimeout: time.Second, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		_ = p.Go(t.Context(), func(context.Context) error { time.Sleep(5 * time.Second); return nil })
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if n := p.Stats().Overdue; n != 1 {
			t.Errorf("overdue %d", n)
		}
		closed(t, p)
		if strings.Count(log.String(), "ignores the end of its context") != 1 || !strings.Contains(log.String(), "TestP9") {
			t.Errorf("log: %s", log.String())
		}
		if n := p.Stats().Overdue; n != 0 {
			t.Errorf("overdue %d", n)
		}
	})
}

func TestP10_MapAndStream(t *testing.T) {
	in := make([]int, 500)
	for i := range in {
		in[i] = i
	}
	double := func(_ context.Context, v int) (int, error) { return 2 * v, nil }
	for _, workers := range []int{1, 3} {
		p := newPool(t, pool.Config{Workers: workers, Queue: 1})
		check := func(ctx context.Context) {
			out, err := pool.Map(ctx, p, in, double)
			if err != nil || len(out) != len(in) || out[499] != 998 {
				t.Errorf("Map: %v", err)
			}
			i := 0
			for v, err := range pool.Stream(ctx, p, func(yield func(int) bool) {
				for _, v := range in {
					if !yield(v) {
						return
					}
				}
			}, double) {
				if v != 2*i || err != nil {
					t.Errorf("Stream: %d is %d, %v", i, v, err)
				}
				i++
			}
			if i != len(in) {
				t.Errorf("Stream: %d", i)
			}
		}
		check(t.Context())
		_, _ = pool.Submit(t.Context(), p, func(ctx context.Context) (int, error) { check(ctx); return 0, nil }).Wait(t.Context())

		var calls atomic.Int64
		_, err := pool.Map(t.Context(), p, in, func(ctx context.Context, v int) (int, error) {
			calls.Add(1)
			if v == 3 {
				return 0, errDown
			}
			if v > 3 {
				<-ctx.Done() // or all of them might run before who has the error says so
			}
			return v, nil
		})
		if !errors.Is(err, errDown) || calls.Load() > 6 {
			t.Errorf("Map: %v after %d calls", err, calls.Load())
		}
		pulled := 0
		for v, err := range pool.Stream(t.Context(), p, func(yield func(int) bool) {
			for _, v := range in {
				pulled++
				if !yield(v) {
					return
				}
			}
		}, func(_ context.Context, v int) (int, error) {
			if v == 2 {
				return 0, errDown
			}
			return v, nil
		}) {
			if v == 0 && err == nil {
				continue
			}
			if v == 5 {
				break
			}
		}
		if pulled > 6+2*workers+1 {
			t.Errorf("Stream pulled %d", pulled)
		}
		closed(t, p)
	}
}
