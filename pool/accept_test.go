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

func TestP1_RunsExactlyOnceOrIsNamed(t *testing.T) {
	for _, phase := range []time.Duration{0, 50 * time.Microsecond, time.Millisecond, 5 * time.Millisecond} {
		for _, patience := range []time.Duration{0, time.Millisecond, time.Second} {
			p := newPool(t, pool.Config{Workers: 4, Queue: 100})
			var ran, accepted, futures, futuresRan, lost atomic.Int64
			var wg sync.WaitGroup
			for range 64 {
				wg.Go(func() {
					for i := range 200 {
						var err error
						switch i % 3 {
						case 0:
							err = p.TryGo(context.Background(), func(context.Context) error { ran.Add(1); return nil })
						case 1:
							err = p.Go(t.Context(), func(context.Context) error { ran.Add(1); return nil })
						default:
							f := pool.Submit(context.Background(), p, func(context.Context) (int, error) { futuresRan.Add(1); return 7, nil })
							switch v, err := f.Wait(context.Background()); {
							case err == nil && v == 7:
								futures.Add(1)
							case !errors.Is(err, pool.ErrClosed):
								lost.Add(1)
							}
							continue
						}
						if err == nil {
							accepted.Add(1)
						} else if !errors.Is(err, pool.ErrFull) && !errors.Is(err, pool.ErrClosed) {
							lost.Add(1)
						}
					}
				})
			}
			time.Sleep(phase)
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			err := p.Close(ctx)
			cancel()
			wg.Wait()
			closed2 := p.Close(context.Background())
			named := int64(0)
			var ce *pool.CloseError
			if errors.As(closed2, &ce) {
				for _, task := range ce.Tasks {
					if task.State == "waiting" && task.Do != nil {
						named++
					}
				}
			} else if err != nil && patience == time.Second {
				t.Errorf("Close: %v", err)
			}
			if accepted.Load() != ran.Load()+named || futures.Load() != futuresRan.Load() || lost.Load() != 0 {
				t.Errorf("phase %v, patience %v: accepted %d, ran %d, named %d; futures %d of %d; lost %d", phase, patience, accepted.Load(), ran.Load(), named, futures.Load(), futuresRan.Load(), lost.Load())
			}
		}
	}
	p := newPool(t, pool.Config{})
	if p.Go(t.Context(), nil) == nil || p.TryGo(t.Context(), nil) == nil || p.After(t.Context(), nil) == nil {
		t.Error("a nil function was accepted")
	}
	if _, err := pool.Submit[int](t.Context(), p, nil).Wait(t.Context()); err == nil {
		t.Error("a nil function was accepted by Submit")
	}
	closed(t, p)
}

func TestP2_NeverMoreThanWorkersInOrder(t *testing.T) {
	p := newPool(t, pool.Config{Workers: 1})
	release := hold(t, p)
	var order []int
	for i := range 1000 {
		_ = p.Go(context.Background(), func(context.Context) error { order = append(order, i); return nil })
	}
	release()
	closed(t, p)
	if len(order) != 1000 {
		t.Fatalf("%d ran", len(order))
	}
	for i, v := range order {
		if i != v {
			t.Fatalf("%d ran as number %d", v, i)
		}
	}

	p = newPool(t, pool.Config{Workers: 5})
	var now, most atomic.Int64
	for range 2000 {
		_ = p.Go(t.Context(), func(context.Context) error {
			n := now.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			runtime.Gosched()
			now.Add(-1)
			return nil
		})
	}
	closed(t, p)
	if most.Load() > 5 || most.Load() < 2 {
		t.Errorf("%d at a time", most.Load())
	}
}

func TestP2_NoTaskWaitsBehindASlowOneWhileAWorkerIsFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, pool.Config{Workers: 2})
		release := hold(t, p)
		release2 := hold(t, p)
		var ran atomic.Int64
		for i := range 400 {
			_ = p.Go(context.Background(), func(ctx context.Context) error {
				if i == 0 {
					time.Sleep(time.Hour)
				}
				ran.Add(1)
				return nil
			})
		}
		release()
		release2()
		synctest.Wait()
		if ran.Load() != 399 {
			t.Errorf("%d of 399 ran beside a slow one", ran.Load())
		}
		time.Sleep(time.Hour)
		closed(t, p)
	})
}

func TestP3_WhoWaitsForRoomIsServedInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, pool.Config{Workers: 1, Queue: 1})
		release := hold(t, p)
		_ = p.Go(t.Context(), nop)
		if err := p.TryGo(t.Context(), nop); !errors.Is(err, pool.ErrFull) {
			t.Errorf("TryGo: %v", err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		got := make(chan error, 1)
		go func() { got <- p.Go(ctx, nop) }()
		synctest.Wait()
		cancel(errDown)
		if err := <-got; !errors.Is(err, pool.ErrFull) || !errors.Is(err, errDown) {
			t.Errorf("Go: %v", err)
		}
		var order []int
		for i := range 10 {
			go func() {
				_ = p.Go(t.Context(), func(context.Context) error { order = append(order, i); return nil })
			}()
			synctest.Wait()
		}
		if n := p.Stats().Blocked; n != 10 {
			t.Errorf("%d blocked", n)
		}
		release()
		synctest.Wait()
		for i, v := range order {
			if i != v {
				t.Errorf("order %v", order)
			}
		}
		if len(order) != 10 {
			t.Errorf("%d ran", len(order))
		}
		if err := p.Go(ctx, nop); err != nil { // a dead ctx matters only without room
			t.Errorf("Go with room: %v", err)
		}
		if _, err := pool.Submit(ctx, p, func(context.Context) (int, error) { return 1, nil }).Wait(t.Context()); !errors.Is(err, errDown) {
			t.Errorf("Submit: %v", err)
		}
		closed(t, p)
	})
}

func TestP4_AWorkerNeverWaitsForRoom(t *testing.T) {
	p := newPool(t, pool.Config{Workers: 1, Queue: 1})
	got := make(chan error, 1)
	_ = p.Go(t.Context(), func(ctx context.Context) error {
		_ = p.Go(ctx, nop)
		if err := p.Go(ctx, nop); !errors.Is(err, pool.ErrFull) {
			t.Errorf("nested Go: %v", err)
		}
		v, err := pool.Submit(ctx, p, func(context.Context) (int, error) { return 5, nil }).Wait(ctx)
		if v != 5 {
			t.Errorf("nested Submit: %v, %v", v, err)
		}
		got <- err
		return nil
	})
	if err := <-got; err != nil {
		t.Error(err)
	}
	closed(t, p)
}

func TestP5_ACancelledSubmitFreesItsPlaceAndItsFunction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, pool.Config{Workers: 1, Queue: 100})
		release := hold(t, p)
		for range 1000 {
			ctx, cancel := context.WithCancel(t.Context())
			f := pool.Submit(ctx, p, func(context.Context) (int, error) { t.Error("it started"); return 0, nil })
			cancel()
			if _, err := f.Wait(t.Context()); !errors.Is(err, context.Canceled) {
				t.Fatalf("Wait: %v", err)
			}
		}
		synctest.Wait()
		if s := p.Stats(); s.Waiting != 0 || s.Tasks["cancelled"] != 1000 || s.Refused["full"] != 0 {
			t.Errorf("%+v", s)
		}
		release()
		closed(t, p)
	})

	p := newPool(t, pool.Config{Workers: 1})
	release := hold(t, p)
	freed := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	func() {
		big := new([1 << 16]byte)
		runtime.AddCleanup(big, func(int) { close(freed) }, 0)
		f := pool.Submit(ctx, p, func(context.Context) (int, error) { return len(big), nil })
		cancel()
		_, _ = f.Wait(context.Background())
	}()
	for end := time.Now().Add(5 * time.Second); ; {
		runtime.GC()
		select {
		case <-freed:
		case <-time.After(10 * time.Millisecond):
			if time.Now().Before(end) {
				continue
			}
			t.Error("the function of a cancelled task is still referenced")
		}
		break
	}
	release()
	closed(t, p)
}
