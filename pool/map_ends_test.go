package pool_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/pool"
)

// Close at every moment of a Map, of every kind of end: Map returns, once, with the right error.
func TestP10_Map_CloseAtEveryMoment(t *testing.T) {
	for _, workers := range []int{1, 2, 3} {
		for _, queue := range []int{-1, 1, 10} {
			for _, holding := range []int{0, 1} {
				for _, inside := range []bool{false, true} {
					for at := range 14 {
						for _, end := range []string{"drain", "cut", "cancel"} {
							name := fmt.Sprint(workers, queue, holding, inside, at, end)
							t.Run(name, func(t *testing.T) {
								synctest.Test(t, func(t *testing.T) {
									if holding >= workers {
										holding = workers // waits for room, or in the queue
									}
									p := newPool(t, pool.Config{Workers: workers, Queue: queue})
									release := holdAll(t, p, holding)
									ctx, cancel := context.WithCancelCause(context.Background())
									defer cancel(nil)
									var calls, running atomic.Int32
									type result struct {
										out []int
										err error
										run int32
									}
									mapped := make(chan result, 1)
									body := func(c context.Context) (int, error) {
										out, err := pool.Map(c, p, []int{1, 2, 3, 4, 5, 6}, func(c context.Context, v int) (int, error) {
											calls.Add(1)
											running.Add(1)
											defer running.Add(-1)
											time.Sleep(time.Second)
											return v, nil
										})
										mapped <- result{out, err, running.Load()}
										return 0, nil
									}
									sub := make(chan error, 1)
									go func() {
										if !inside {
											_, _ = body(ctx)
											sub <- nil
											return
										}
										_, err := pool.Submit(ctx, p, body).Wait(context.Background())
										sub <- err
									}()
									time.Sleep(time.Duration(at) * 500 * time.Millisecond)
									if at%2 == 1 {
										time.Sleep(time.Nanosecond)
									}
									switch end {
									case "drain":
										slept := make(chan bool)
										defer func() { <-slept }()
										go func() { time.Sleep(3 * time.Second); release(); close(slept) }()
										closed(t, p)
									case "cut":
										c, stop := context.WithCancel(context.Background())
										stop()
										_ = p.Close(c)
										release()
									case "cancel":
										cancel(errDown)
										synctest.Wait()
										if n := p.Stats().Waiting; n != 0 {
											t.Errorf("%s: %d wait", name, n)
										}
										release()
									}
									serr := <-sub
									var r result
									select {
									case r = <-mapped:
									default:
										if serr == nil {
											t.Errorf("%s: no result", name)
										}
										_ = p.Close(context.Background())
										return
									}
									n := int32(0)
									for i, v := range r.out {
										if v == i+1 {
											n++
										} else if v != 0 {
											t.Errorf("%s: %v", name, r.out)
										}
									}
									if r.run != 0 || n != calls.Load() {
										t.Errorf("%s: %d run, %d results of %d calls", name, r.run, n, calls.Load())
									}
									if (r.err == nil) != (n == 6) {
										t.Errorf("%s: %v with %d results", name, r.err, n)
									}
									if r.err != nil {
										ok := false
										switch end {
										case "drain":
											ok = errors.Is(r.err, pool.ErrClosed) && n == 0
										case "cut":
											ok = errors.Is(r.err, pool.ErrClosed)
										case "cancel":
											ok = errors.Is(r.err, errDown)
										}
										if !ok {
											t.Errorf("%s: %v, %d results", name, r.err, n)
										}
									}
									_ = p.Close(context.Background())
									s := p.Stats()
									if s.Waiting != 0 || s.Blocked != 0 || s.Running != 0 || s.Refused["full"] != 0 && end != "cancel" {
										t.Errorf("%s: %+v", name, s)
									}
								})
							})
						}
					}
				}
			}
		}
	}
}

// Nested three deep, one worker; every size of queue.
func TestP10_Map_ThreeDeep(t *testing.T) {
	for _, workers := range []int{1, 2, 5} {
		for _, queue := range []int{-1, 1, 100} {
			synctest.Test(t, func(t *testing.T) {
				p := newPool(t, pool.Config{Workers: workers, Queue: queue, TaskTimeout: time.Hour})
				var leaves atomic.Int32
				var deep func(ctx context.Context, d int) (int, error)
				deep = func(ctx context.Context, d int) (int, error) {
					if d == 0 {
						leaves.Add(1)
						return 1, nil
					}
					out, err := pool.Map(ctx, p, make([]int, 4), func(c context.Context, _ int) (int, error) { return deep(c, d-1) })
					n := 0
					for _, v := range out {
						n += v
					}
					for v, e := range pool.Stream(ctx, p, count(3), func(c context.Context, _ int) (int, error) { leaves.Add(1); return 1, nil }) {
						err = errors.Join(err, e)
						n += v
					}
					return n, err
				}
				n, err := deep(context.Background(), 4)
				if want := 256 + 3*(1+4+16+64); n != want || int(leaves.Load()) != want || err != nil {
					t.Errorf("%d, %d leaves, want %d, %v", n, leaves.Load(), want, err)
				}
				closed(t, p)
			})
		}
	}
}

// In a task: the context ends while the task's own slot is in a call that ignores it. The other worker goes on.
func TestP10_Map_TheEndOfCtxInATask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, pool.Config{Workers: 2, Queue: 1})
		ctx, cancel := context.WithCancel(context.Background())
		var late atomic.Int32
		f := pool.Submit(ctx, p, func(ctx context.Context) (int, error) {
			_, err := pool.Map(ctx, p, make([]int, 1001), func(c context.Context, _ int) (int, error) {
				if ctx.Err() != nil {
					late.Add(1)
				}
				if w := late.Load(); w == 0 && first.Add(1) == 1 {
					time.Sleep(time.Hour) // ignores its end
					return 0, nil
				}
				time.Sleep(time.Second)
				return 0, nil
			})
			return 0, err
		})
		time.Sleep(5500 * time.Millisecond)
		cancel()
		_, err := f.Wait(context.Background())
		if n := late.Load(); n > 0 {
			t.Errorf("%d calls began after the end of the context (%v)", n, err)
		}
		closed(t, p)
	})
}

var first atomic.Int32

// The same, with a runner that waits: its place is not free, for as long as the call lasts.
func TestP10_Map_ThePlacesOfAMapInATask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, pool.Config{Workers: 2, Queue: 1})
		release := hold(t, p)
		ctx, cancel := context.WithCancel(context.Background())
		f := pool.Submit(ctx, p, func(ctx context.Context) (int, error) {
			_, err := pool.Map(ctx, p, make([]int, 10), func(context.Context, int) (int, error) {
				time.Sleep(time.Hour)
				return 0, nil
			})
			return 0, err
		})
		synctest.Wait()
		cancel()
		synctest.Wait()
		if err := p.TryGo(context.Background(), nop); err != nil {
			t.Errorf("the runner of a Map whose context has ended keeps the place: %v", err)
		}
		_, _ = f.Wait(context.Background())
		release()
		closed(t, p)
	})
}
