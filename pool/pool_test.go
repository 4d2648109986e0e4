package pool_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/internal/leaktest"
	"github.com/hotpath-go/hotpath/internal/statstest"
	"github.com/hotpath-go/hotpath/pool"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

var errDown = errors.New("down")

func newPool(t testing.TB, cfg pool.Config) *pool.Pool {
	t.Helper()
	cfg.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	p, err := pool.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func closed(t testing.TB, p *pool.Pool) {
	t.Helper()
	if err := p.Close(context.Background()); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func TestNew_EveryProblemAtOnce(t *testing.T) {
	_, err := pool.New(pool.Config{Workers: -3, TaskTimeout: -1, IdleTimeout: -1})
	if err == nil || strings.Count(err.Error(), "\n") != 2 || !strings.Contains(err.Error(), "pool: Workers is -3: must be at least 1 (0 means 4 x GOMAXPROCS, at least 16)") {
		t.Errorf("got %v", err)
	}
}

func nop(context.Context) error { return nil }

// hold occupies a worker until release.
func hold(t *testing.T, p *pool.Pool) (release func()) {
	t.Helper()
	started, end := make(chan struct{}), make(chan struct{})
	if err := p.Go(context.Background(), func(context.Context) error { close(started); <-end; return nil }); err != nil {
		t.Fatal(err)
	}
	<-started
	return sync.OnceFunc(func() { close(end) })
}

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
			return v, nil
		})
		if !errors.Is(err, errDown) || calls.Load() > 100 {
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

func TestA1_AfterIsFoundByContextAndRoutesComeBack(t *testing.T) {
	p := newPool(t, pool.Config{})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /x/{id}", func(w http.ResponseWriter, r *http.Request) {})
	r := httptest.NewRequest("GET", "/x/1", nil)
	p.Handler(mux).ServeHTTP(httptest.NewRecorder(), r)
	if r.Pattern != "GET /x/{id}" {
		t.Errorf("pattern %q", r.Pattern)
	}
	closed(t, p)
}

func TestA2_AfterStartsWhenTheHandlerHasReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, pool.Config{Workers: 1, Queue: 1})
		var order []string
		h := p.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for _, name := range []string{"a", "b"} {
				if err := p.After(r.Context(), func(context.Context) error { order = append(order, name); return nil }); err != nil {
					t.Error(err)
				}
			}
			if err := p.After(r.Context(), nop); !errors.Is(err, pool.ErrFull) {
				t.Errorf("a third one: %v", err)
			}
			time.Sleep(time.Second)
			synctest.Wait()
			if len(order) != 0 {
				t.Error("started before the return")
			}
		}))
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		synctest.Wait()
		if strings.Join(order, "") != "ab" {
			t.Errorf("order %v", order)
		}
		closed(t, p)
	})
}

func TestA3_APanickingRequestPromisedNothing(t *testing.T) {
	p := newPool(t, pool.Config{})
	h := p.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = p.After(r.Context(), func(context.Context) error { t.Error("it ran"); return nil })
		panic(http.ErrAbortHandler)
	}))
	func() {
		defer func() {
			if recover() != http.ErrAbortHandler { //nolint:errorlint // the value itself
				t.Error("the panic was changed")
			}
		}()
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	}()
	closed(t, p)
	if s := p.Stats(); s.Tasks["dropped"] != 1 || s.Waiting != 0 {
		t.Errorf("%+v", s)
	}
}

func TestA4_WithoutAHandlerItIsTryGoAndCounts(t *testing.T) {
	p := newPool(t, pool.Config{})
	var ran atomic.Int64
	_ = p.After(t.Context(), func(context.Context) error { ran.Add(1); return nil })
	closed(t, p)
	if ran.Load() != 1 || p.Stats().Unwrapped != 1 {
		t.Errorf("ran %d, unwrapped %d", ran.Load(), p.Stats().Unwrapped)
	}
}

func TestA5_CloseWaitsForRequestsAndTakesTheirTasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, pool.Config{})
		var ran atomic.Int64
		go p.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second)
			if err := p.After(r.Context(), func(context.Context) error { ran.Add(1); return nil }); err != nil {
				t.Error(err)
			}
			if err := p.Go(r.Context(), func(context.Context) error { ran.Add(1); return nil }); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Second)
		})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		synctest.Wait()
		began := time.Now()
		closed(t, p)
		if time.Since(began) != 2*time.Second || ran.Load() != 2 {
			t.Errorf("after %v, %d ran", time.Since(began), ran.Load())
		}
	})
}

func TestC1_TheFrontDoorIsShut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, pool.Config{Workers: 1, Queue: -1})
		inner := make(chan error, 1)
		_ = p.Go(t.Context(), func(ctx context.Context) error {
			time.Sleep(time.Second)
			_, err := pool.Submit(ctx, p, func(context.Context) (int, error) { return 1, nil }).Wait(ctx)
			inner <- err
			return nil
		})
		blocked := make(chan error, 1)
		go func() { blocked <- p.Go(t.Context(), nop) }()
		synctest.Wait()
		done := make(chan struct{})
		go func() { closed(t, p); close(done) }()
		if err := <-blocked; !errors.Is(err, pool.ErrClosed) {
			t.Errorf("blocked: %v", err)
		}
		if err := p.Go(t.Context(), nop); !errors.Is(err, pool.ErrClosed) {
			t.Errorf("Go: %v", err)
		}
		if err := <-inner; err != nil {
			t.Errorf("from inside: %v", err)
		}
		<-done
	})
}

func TestC2_TheCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, pool.Config{Workers: 1})
		began := time.Now()
		var cutAt time.Duration
		_ = p.Go(t.Context(), func(ctx context.Context) error {
			<-ctx.Done()
			cutAt = time.Since(began)
			time.Sleep(100 * time.Millisecond)
			return ctx.Err()
		})
		_ = p.Go(t.Context(), nop)
		f := pool.Submit(t.Context(), p, func(context.Context) (int, error) { return 1, nil })
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		err := p.Close(ctx)
		if cutAt != 9*time.Second || time.Since(began) != 9100*time.Millisecond {
			t.Errorf("cut at %v, closed after %v", cutAt, time.Since(began))
		}
		var ce *pool.CloseError
		if !errors.As(err, &ce) || len(ce.Tasks) != 3 || ce.Tasks[0].State != "cancelled" || ce.Tasks[1].State != "waiting" || ce.Tasks[1].Do == nil || ce.Tasks[2].Do != nil || !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("%+v", err)
		}
		if !strings.HasPrefix(ce.Tasks[0].Name, "pool_test.TestC2_TheCut.func1.1 (pool_test.go:") {
			t.Errorf("name %q", ce.Tasks[0].Name)
		}
		if _, err := f.Wait(t.Context()); !errors.Is(err, pool.ErrClosed) {
			t.Errorf("future: %v", err)
		}
	})
}

func TestC3_WhatStillRunsIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, pool.Config{})
		_ = p.Go(t.Context(), func(context.Context) error { time.Sleep(time.Hour); return nil })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var ce *pool.CloseError
		if err := p.Close(ctx); !errors.As(err, &ce) || len(ce.Tasks) != 1 || ce.Tasks[0].State != "running" {
			t.Errorf("%v", err)
		}
		time.Sleep(time.Hour)
	})
}

func TestC4_CloseInATask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, pool.Config{Workers: 3})
		for range 3 {
			_ = p.Go(t.Context(), func(ctx context.Context) error {
				if err := p.Close(ctx); err != nil {
					t.Errorf("in a task: %v", err)
				}
				return nil
			})
		}
		synctest.Wait()
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() { closed(t, p) })
		}
		wg.Wait()

		p = newPool(t, pool.Config{})
		got := make(chan error, 1)
		_ = p.Go(t.Context(), func(context.Context) error {
			foreign, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			got <- p.Close(foreign)
			return nil
		})
		var ce *pool.CloseError
		if err := <-got; !errors.As(err, &ce) || ce.Tasks[0].State != "running" {
			t.Errorf("foreign: %v", err)
		}
	})
}

func TestC5_NothingIsLeft(t *testing.T) {
	closed(t, newPool(t, pool.Config{}))
	synctest.Test(t, func(t *testing.T) { // fails by itself if a goroutine or timer is left
		p := newPool(t, pool.Config{IdleTimeout: time.Second})
		for range 100 {
			_ = p.Go(t.Context(), nop)
		}
		before := runtime.NumGoroutine()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if n := runtime.NumGoroutine(); n > before {
			t.Errorf("%d goroutines after idling, %d before", n, before)
		}
	})
}

func TestStats_CanBeExported(t *testing.T) {
	p := newPool(t, pool.Config{Workers: 1, Queue: -1})
	_ = p.Go(t.Context(), func(context.Context) error { return errDown })
	closed(t, p)
	_ = p.Go(t.Context(), nop)
	got := statstest.Check(t, p.Stats)
	for series, want := range map[string]float64{
		`hotpath_pool_tasks_total{outcome="failed"}`:  1,
		`hotpath_pool_refused_total{reason="closed"}`: 1,
		`hotpath_pool_running`:                        0,
		`hotpath_pool_run_seconds_count`:              1,
		`hotpath_pool_wait_seconds_count`:             1,
	} {
		if v, there := got[series]; !there || v != want {
			t.Errorf("%s is %v (there: %t), want %v", series, v, there, want)
		}
	}
}
