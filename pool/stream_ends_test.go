package pool_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/pool"
)

// What runs when the consumer leaves is told so: it may wait for nothing else.
func TestP10_BreakEndsTheContextOfWhatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, pool.Config{Workers: 2})
		for range pool.Stream(t.Context(), p, count(4), func(ctx context.Context, v int) (int, error) {
			if v > 0 {
				<-ctx.Done()
			}
			return v, ctx.Err()
		}) {
			break
		}
		closed(t, p)
	})
}

// Of a pool that is being closed the elements that came before run, and those after them are refused,
// which is one refusal at most.
func TestC1_AStreamRunsWhatCameBeforeClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, pool.Config{Workers: 2})
		release := hold(t, p)
		i := 0
		for v, err := range pool.Stream(t.Context(), p, func(yield func(int) bool) {
			for i := range 6 {
				if i == 3 {
					go closed(t, p)
					time.Sleep(1500 * time.Millisecond) // the first has ended, the third has not begun
				}
				if !yield(i) {
					return
				}
			}
		}, second) {
			if i < 3 && (err != nil || v != i) || i >= 3 && err != pool.ErrClosed {
				t.Errorf("%d: %d, %v", i, v, err)
			}
			i++
		}
		if n := p.Stats().Refused["closed"]; i != 6 || n > 1 {
			t.Errorf("%d elements, %d refused", i, n)
		}
		release()
	})
}

// A stream of an ended context asks for nothing, and says why it ended.
func TestP3_AStreamOfAnEndedContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, pool.Config{Workers: 1, Queue: -1})
		release := hold(t, p)
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errDown)
		for _, err := range pool.Stream(ctx, p, count(3), second) {
			if err != errDown {
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

// A stream of a pool that is being closed is one refusal, however many its elements are.
func TestC1_AStreamOfAClosedPool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, pool.Config{})
		release := hold(t, p)
		go closed(t, p)
		synctest.Wait()
		for _, err := range pool.Stream(t.Context(), p, count(5), second) {
			if err != pool.ErrClosed {
				t.Error(err)
			}
		}
		if n := p.Stats().Refused["closed"]; n != 1 {
			t.Errorf("%d refused", n)
		}
		release()
	})
}

// While the consumer is busy with a result, nothing begins after the end of the context, or the cut.
func TestP10_NoElementBeginsBehindTheConsumersBack(t *testing.T) {
	for _, end := range []string{"cancel", "cut"} {
		t.Run(end, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPool(t, pool.Config{Workers: 2, Queue: -1})
				release := hold(t, p)
				ctx, cancel := context.WithCancelCause(t.Context())
				var calls atomic.Int32
				i := 0
				for range pool.Stream(ctx, p, count(4), func(ctx context.Context, v int) (int, error) {
					calls.Add(1)
					return second(ctx, v)
				}) {
					if i++; i > 1 {
						continue
					}
					synctest.Wait() // the second runs
					if end == "cancel" {
						cancel(errDown)
					} else {
						go func() {
							c, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
							defer cancel()
							defer time.AfterFunc(2*time.Second, release)
							if err := p.Close(c); err == nil {
								t.Error("Close names nothing")
							}
						}()
					}
					time.Sleep(time.Minute)
				}
				if n := calls.Load(); i != 4 || n != 2 {
					t.Errorf("%d elements, %d calls", i, n)
				}
				cancel(nil)
				if end == "cancel" {
					release()
					closed(t, p)
					return
				}
				var ce *pool.CloseError
				if err := p.Close(t.Context()); !errors.As(err, &ce) || len(ce.Tasks) != 1 || ce.Tasks[0].State != "cancelled" {
					t.Errorf("Close says %v", err)
				}
			})
		})
	}
}

// Close names a stream of whom the cut left elements uncalled, though its calls went well.
func TestC3_CloseNamesAStreamWhoseCallsWentWell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, pool.Config{Workers: 1})
		ended := make(chan error, 1)
		go func() {
			var all error
			for _, err := range pool.Stream(t.Context(), p, count(2), func(_ context.Context, v int) (int, error) {
				time.Sleep(9500 * time.Millisecond)
				return v, nil
			}) {
				all = errors.Join(all, err)
			}
			ended <- all
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // the cut comes after 9 s
		defer cancel()
		var ce *pool.CloseError
		if err := p.Close(ctx); !errors.As(err, &ce) || len(ce.Tasks) != 1 || ce.Tasks[0].State != "cancelled" {
			t.Errorf("Close says %v", err)
		}
		if err := <-ended; !errors.Is(err, pool.ErrClosed) {
			t.Error(err)
		}
	})
}

// A runner that waits when its stream is broken off did not come to what it was wanted for.
func TestP10_Stream_StatsOfABreak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, pool.Config{Workers: 2})
		release := hold(t, p)
		for range pool.Stream(t.Context(), p, count(10), second) {
			break
		}
		if s := p.Stats(); s.Tasks["cancelled"] == 0 || s.Waiting != 0 {
			t.Errorf("%v, %d wait", s.Tasks, s.Waiting)
		}
		release()
		closed(t, p)
	})
}
