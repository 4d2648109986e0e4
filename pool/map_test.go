package pool_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/pool"
)

// second is a call of a Map that takes a second.
func second(_ context.Context, v int) (int, error) {
	time.Sleep(time.Second)
	return v, nil
}

// holdAll occupies n workers until release.
func holdAll(t *testing.T, p *pool.Pool, n int) (release func()) {
	var all []func()
	for range n {
		all = append(all, hold(t, p))
	}
	return func() {
		for _, release := range all {
			release()
		}
	}
}

// After each element a runner goes behind those that wait, however many elements are left.
func TestP10_AMapHoldsNobodyUp(t *testing.T) {
	for _, tc := range []struct {
		workers, holding int
		ahead            time.Duration // of the task: what has come before it
	}{{1, 0, time.Second}, {3, 0, time.Second}, {3, 2, 3 * time.Second}} {
		synctest.Test(t, func(t *testing.T) {
			p := newPool(t, pool.Config{Workers: tc.workers})
			release := holdAll(t, p, tc.holding)
			mapped := make(chan error, 1)
			go func() {
				_, err := pool.Map(t.Context(), p, make([]int, 100), second)
				mapped <- err
			}()
			time.Sleep(10*time.Second + time.Millisecond)
			came := time.Now()
			var took time.Duration
			_ = p.Go(t.Context(), func(context.Context) error { took = time.Since(came); return nil })
			time.Sleep(20 * time.Second)
			synctest.Wait()
			if took == 0 || took >= tc.ahead {
				t.Errorf("%d workers, %d of them taken: it waited for %v", tc.workers, tc.holding, took)
			}
			release()
			if err := <-mapped; err != nil {
				t.Error(err)
			}
			closed(t, p)
		})
	}
}

// A Map uses each worker that is free, or becomes it, from outside and in a task of its own.
func TestP10_AMapUsesEveryWorker(t *testing.T) {
	for name, ahead := range map[string]time.Duration{"free": 0, "taken at first": 5 * time.Second} {
		for _, inside := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				p := newPool(t, pool.Config{Workers: 4})
				busy := 4
				if inside {
					busy = 3
				}
				began := time.Now()
				mapped := func(ctx context.Context) (time.Duration, error) {
					for range busy {
						if ahead > 0 {
							_ = p.Go(ctx, func(context.Context) error { time.Sleep(ahead); return nil })
						}
					}
					synctest.Wait()
					_, err := pool.Map(ctx, p, make([]int, 40), second)
					return time.Since(began), err
				}
				var took time.Duration
				var err error
				want := 10*time.Second + ahead
				if inside {
					took, err = pool.Submit(t.Context(), p, mapped).Wait(t.Context())
					if want = 10 * time.Second; ahead > 0 {
						want = 14 * time.Second // its own slot did five of them alone
					}
				} else {
					took, err = mapped(t.Context())
				}
				if took != want || err != nil {
					t.Errorf("%s, inside %t: %v, %v; want %v", name, inside, took, err, want)
				}
				closed(t, p)
			})
		}
	}
}

// A Map of an ended context frees its places at once, and is no task that was refused for want of more.
func TestP5_TheRunnersOfAMap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, pool.Config{Workers: 4, Queue: 2})
		release := holdAll(t, p, 4)
		ctx, cancel := context.WithCancelCause(t.Context())
		mapped := make(chan error, 1)
		go func() {
			_, err := pool.Map(ctx, p, make([]int, 40), second)
			mapped <- err
		}()
		synctest.Wait()
		if s := p.Stats(); s.Waiting != 2 || s.Refused["full"] != 0 {
			t.Errorf("%d runners wait, want 2; %d refused, want none", s.Waiting, s.Refused["full"])
		}
		cancel(errDown)
		if err := <-mapped; err != errDown {
			t.Error(err)
		}
		if s := p.Stats(); s.Waiting != 0 || s.Tasks["cancelled"] != 2 {
			t.Errorf("%d runners wait, and %d were cancelled", s.Waiting, s.Tasks["cancelled"])
		}
		release()
		closed(t, p)
	})
}

// In a task a Map calls one runner less, for that works itself.
func TestP5_TheRunnersOfAMapInATask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, pool.Config{Workers: 4})
		release := holdAll(t, p, 3)
		_ = p.Go(t.Context(), func(ctx context.Context) error {
			_, err := pool.Map(ctx, p, make([]int, 40), second)
			return err
		})
		time.Sleep(500 * time.Millisecond)
		if n := p.Stats().Waiting; n != 3 {
			t.Errorf("%d runners wait, want 3", n)
		}
		release()
		closed(t, p)
	})
}

// Runners that wait leave the queue when the context ends, while a call goes on that ignores it.
func TestP5_TheRunnersOfAMapThatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, pool.Config{Workers: 4})
		release := holdAll(t, p, 3)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _, _ = pool.Map(ctx, p, make([]int, 40), second) }()
		time.Sleep(500 * time.Millisecond)
		before := p.Stats().Waiting
		cancel()
		synctest.Wait()
		if s := p.Stats(); before == 0 || s.Waiting != 0 || s.Running != 4 {
			t.Errorf("%d waited, %d do, %d run", before, s.Waiting, s.Running)
		}
		release()
		closed(t, p)
	})
}

// A Map that found no room for more runners gets them when there is some, also from a Pool that is
// being closed: it was accepted.
func TestP10_AMapThatFoundNoRoom(t *testing.T) {
	for _, tc := range []struct{ closing, inside bool }{{false, false}, {true, false}, {false, true}, {true, true}} {
		synctest.Test(t, func(t *testing.T) {
			p := newPool(t, pool.Config{Workers: 3, Queue: -1})
			release := holdAll(t, p, 2)
			began, mapped := time.Now(), make(chan error, 1)
			mapping := func(ctx context.Context) error {
				_, err := pool.Map(ctx, p, make([]int, 13), second)
				mapped <- err
				return nil
			}
			if tc.inside {
				_ = p.Go(t.Context(), mapping)
			} else {
				go func() { _ = mapping(t.Context()) }()
			}
			time.Sleep(500 * time.Millisecond)
			if tc.closing {
				go closed(t, p)
			}
			time.Sleep(3 * time.Second)
			release()
			if err, took := <-mapped, time.Since(began); err != nil || took != 7*time.Second {
				t.Errorf("%+v: %v after %v", tc, err, took) // 4 alone, then 3 a second
			}
			if n := p.Stats().Refused["full"]; n != 0 {
				t.Errorf("%d refused", n)
			}
			closed(t, p)
		})
	}
}

// The error of a Map is that of the least index among those known.
func TestP10_TheErrorOfAMap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, pool.Config{Workers: 3})
		errFirst := errors.New("first")
		for _, in := range [][]int{{5, 2, 1}, {2, 5, 1}} {
			out, err := pool.Map(t.Context(), p, in, func(_ context.Context, v int) (int, error) {
				time.Sleep(time.Duration(v) * time.Second)
				return v, map[int]error{in[0]: errFirst, in[1]: errDown}[v]
			})
			if err != errFirst || out[2] != 1 {
				t.Errorf("%v: %v, %v", in, out, err)
			}
		}
		closed(t, p)
	})
}

// Help that a stream would like to have, and that has no room, is no refused task.
func TestP10_AStreamIsRefusedNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, pool.Config{Workers: 2, Queue: -1})
		release := hold(t, p)
		for _, err := range pool.Stream(t.Context(), p, count(10), second) {
			if err != nil {
				t.Error(err)
			}
		}
		if n := p.Stats().Refused["full"]; n != 0 {
			t.Errorf("%d refused", n)
		}
		release()
		closed(t, p)
	})
}

// TaskTimeout is that of a call, however long its Map lasts, from outside and in a task.
func TestP10_TaskTimeoutIsThatOfACallOfMap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, pool.Config{Workers: 1, TaskTimeout: 3 * time.Second})
		calls := func(ctx context.Context, v int) (int, error) {
			select {
			case <-time.After(2 * time.Second):
				return v, nil
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}
		if _, err := pool.Map(t.Context(), p, make([]int, 10), calls); err != nil {
			t.Error(err)
		}
		if n := p.Stats().Overdue; n != 0 {
			t.Errorf("%d overdue", n)
		}
		_, err := pool.Map(t.Context(), p, make([]int, 2), func(ctx context.Context, _ int) (int, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		closed(t, p)
	})
}

// At the cut a Map begins nothing more, whatever its calls make of their context.
func TestC2_AMapBeginsNothingAfterTheCut(t *testing.T) {
	for _, inside := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			p := newPool(t, pool.Config{Workers: 1})
			calls, mapped := 0, make(chan error, 1)
			mapping := func(ctx context.Context) error {
				_, err := pool.Map(ctx, p, make([]int, 100), func(ctx context.Context, v int) (int, error) {
					calls++
					return second(ctx, v)
				})
				mapped <- err
				return nil
			}
			if inside {
				_ = p.Go(t.Context(), mapping)
			} else {
				go func() { _ = mapping(t.Context()) }()
			}
			synctest.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			_ = p.Close(ctx) // the cut comes at 4.5 s
			if err := <-mapped; !errors.Is(err, pool.ErrClosed) || calls != 5 {
				t.Errorf("inside %t: %v after %d calls", inside, err, calls)
			}
		})
	}
}
