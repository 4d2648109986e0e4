package pool

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

func mustNew(t *testing.T, cfg Config) *Pool {
	t.Helper()
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func nothing(context.Context) error { return nil }

// The slot of a task that waits in Close goes to those that wait for it, also if all are such.
func TestC4_CloseInTasksRunsTheQueue(t *testing.T) {
	for _, workers := range []int{1, 2, 3} {
		synctest.Test(t, func(t *testing.T) {
			p := mustNew(t, Config{Workers: workers})
			begin, answers := make(chan struct{}), make(chan error, workers)
			for range workers {
				if err := p.Go(t.Context(), func(ctx context.Context) error {
					<-begin
					answers <- p.Close(ctx)
					return nil
				}); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
			ran := make(chan struct{}, 40)
			for range 40 {
				if err := p.Go(t.Context(), func(context.Context) error { time.Sleep(time.Second); ran <- struct{}{}; return nil }); err != nil {
					t.Fatal(err)
				}
			}
			close(begin)
			for range workers {
				if err := <-answers; err != nil {
					t.Error(err)
				}
				if len(ran) != 40 {
					t.Errorf("%d workers: Close returned when %d of 40 had run", workers, len(ran))
				}
			}
			if err := p.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// What the batch of a closing task's worker has not begun is waited for, too.
func TestC4_CloseInATaskWaitsForItsBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, Config{Workers: 1})
		begin, ran := make(chan struct{}), make(chan struct{}, 100)
		answer := make(chan error, 1)
		task := func(context.Context) error { ran <- struct{}{}; return nil }
		if err := p.Go(t.Context(), func(context.Context) error { <-begin; return nil }); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		_ = p.Go(t.Context(), func(ctx context.Context) error { // the first of a batch
			answer <- p.Close(ctx)
			return nil
		})
		for range 100 {
			_ = p.Go(t.Context(), task)
		}
		close(begin)
		if err := <-answer; err != nil || len(ran) != 100 {
			t.Errorf("%v, and %d of 100 had run", err, len(ran))
		}
	})
}

// A cancelled future is nothing to wait for.
func TestC4_CloseInATaskWithACancelledFuture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, Config{Workers: 1})
		begin, answer := make(chan struct{}), make(chan error, 1)
		_ = p.Go(t.Context(), func(ctx context.Context) error {
			<-begin
			answer <- p.Close(ctx)
			return nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		f := Submit(ctx, p, func(context.Context) (int, error) { return 0, nil })
		cancel()
		synctest.Wait()
		close(begin)
		if err := <-answer; err != nil {
			t.Error(err)
		}
		if _, err := f.Wait(t.Context()); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// After Close has returned by its own deadline the lent slot is no slot more.
func TestP2_ALentSlotIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, Config{Workers: 1})
		done := make(chan struct{})
		_ = p.Go(t.Context(), func(ctx context.Context) error {
			defer close(done)
			c, cancel := context.WithTimeout(ctx, 10*time.Second)
			defer cancel()
			return p.Close(c)
		})
		<-done
		synctest.Wait()
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.lent != 0 || len(p.all) != 0 {
			t.Errorf("%d lent, %d workers", p.lent, len(p.all))
		}
	})
}

// Under traffic Close ends: who comes after it is outside.
func TestC1_RequestsAfterCloseAreOutside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, Config{Workers: 2})
		after, direct := make(chan error, 2), make(chan error, 2)
		h := p.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second)
			after <- p.After(r.Context(), nothing)
			direct <- p.Go(r.Context(), nothing)
			time.Sleep(time.Second)
		}))
		serve := func() { h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)) }
		go serve() // until 2 s: inside
		time.Sleep(500 * time.Millisecond)
		began, closed := time.Now(), make(chan error, 1)
		go func() { closed <- p.Close(context.Background()) }()
		synctest.Wait()
		go serve() // until 2.5 s: outside
		if err := <-closed; err != nil || time.Since(began) != 1500*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		for _, errs := range []chan error{after, direct} {
			if first, second := <-errs, <-errs; first != nil || !errors.Is(second, ErrClosed) {
				t.Errorf("%v; %v", first, second)
			}
		}
		s := p.Stats()
		if s.Tasks["ok"] != 2 || s.Refused["closed"] != 2 || s.Unwrapped != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// A logger that takes its time.
type slowLog struct{ slog.Handler }

func (slowLog) Enabled(context.Context, slog.Level) bool  { return true }
func (slowLog) Handle(context.Context, slog.Record) error { time.Sleep(time.Hour); return nil }

func TestC3_NamedOnceHoweverSlowTheLog(t *testing.T) {
	for _, how := range []string{"fails", "panics", "future"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := mustNew(t, Config{Workers: 1, Logger: slog.New(slowLog{slog.DiscardHandler})})
				task := func(ctx context.Context) error {
					<-ctx.Done()
					if how == "panics" {
						panic("x")
					}
					return errors.New("half done")
				}
				if how == "future" {
					Submit(context.Background(), p, func(ctx context.Context) (int, error) { return 0, task(ctx) })
				} else {
					_ = p.Go(context.Background(), task)
				}
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
				defer cancel()
				var e *CloseError
				if err := p.Close(ctx); !errors.As(err, &e) || len(e.Tasks) != 1 || e.Tasks[0].State != "cancelled" {
					t.Errorf("%v", err)
				}
				time.Sleep(2 * time.Hour)
			})
		})
	}
}

func TestP1_ANilContextIsAnError(t *testing.T) {
	p := mustNew(t, Config{Workers: 1, Queue: -1})
	var none context.Context
	_, submitted := Submit(none, p, func(context.Context) (int, error) { return 0, nil }).Wait(t.Context())
	_, mapped := Map(none, p, []int{1}, func(context.Context, int) (int, error) { return 0, nil })
	for _, err := range []error{p.Go(none, nothing), p.TryGo(none, nothing), p.After(none, nothing), submitted, mapped} {
		if !errors.Is(err, errNoCtx) {
			t.Errorf("%v", err)
		}
	}
	p.Stats() // the lock is free
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// curious is a context that looks at the pool whenever it is asked.
type curious struct {
	context.Context
	p *Pool
}

func (c curious) Value(k any) any { c.p.Stats(); return c.Context.Value(k) }
func (c curious) Err() error      { c.p.Stats(); return c.Context.Err() }

func TestP3_NoMethodOfAContextUnderTheLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, Config{Workers: 1, Queue: -1})
		stop := make(chan struct{})
		_ = p.Go(t.Context(), func(context.Context) error { <-stop; return nil })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for _, add := range []func(context.Context, func(context.Context) error) error{p.Go, p.TryGo, p.After} {
			if err := add(curious{ctx, p}, nothing); !errors.Is(err, ErrFull) {
				t.Errorf("%v", err)
			}
		}
		closed := make(chan error)
		go func() { closed <- p.Close(context.Background()) }()
		synctest.Wait()
		if err := p.Go(curious{t.Context(), p}, nothing); !errors.Is(err, ErrClosed) {
			t.Errorf("%v", err)
		}
		close(stop)
		if err := <-closed; err != nil {
			t.Error(err)
		}
	})
}

func TestP3_AQueueWithoutEnd(t *testing.T) {
	p := mustNew(t, Config{Workers: math.MaxInt, Queue: math.MaxInt})
	for range 100 {
		if err := p.TryGo(t.Context(), nothing); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// Who kept the context of a task that has ended is in no task: Wait just waits, and Close knows of
// no task of its own.
func TestP2_TheContextOfAnEndedTaskIsNoTask(t *testing.T) {
	type key struct{}
	for name, ctx := range map[string]context.Context{
		"Background": context.Background(), "another": context.WithValue(context.Background(), key{}, 1),
	} {
		for _, timeout := range []time.Duration{0, time.Hour} {
			p := mustNew(t, Config{Workers: 1, TaskTimeout: timeout})
			var kept [2]context.Context
			end := make(chan struct{})
			_ = p.Go(ctx, func(ctx context.Context) error {
				if workerOf(ctx, p) == nil {
					t.Errorf("%s: in no task", name)
				}
				kept[0] = ctx
				return nil
			})
			_, _ = Submit(ctx, p, func(ctx context.Context) (int, error) {
				if workerOf(ctx, p) == nil {
					t.Errorf("%s: in no task", name)
				}
				kept[1] = ctx
				return 0, nil
			}).Wait(ctx)
			if timeout > 0 || name == "another" { // the worker's own context is that of its next task, too
				begin := make(chan struct{})
				_ = p.Go(ctx, func(context.Context) error { close(begin); <-end; return nil })
				<-begin
			} else if err := p.Close(ctx); err != nil {
				t.Error(err)
			}
			for i, ctx := range kept {
				if workerOf(ctx, p) != nil {
					t.Errorf("%s, %v: kept context %d is that of a task", name, timeout, i)
				}
			}
			close(end)
			if err := p.Close(context.Background()); err != nil {
				t.Error(err)
			}
		}
	}
}

// Compacting the queue renumbers nothing: what Close names is in the order accepted.
func TestC3_NumbersSurviveCompacting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, Config{Workers: 1})
		end := make(chan struct{})
		_ = p.Go(t.Context(), func(context.Context) error { <-end; return nil })
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		const futures = 4 * smallestRing
		for i := range futures {
			Submit(ctx, p, func(context.Context) (int, error) { return 0, nil })
			if i%8 == 0 {
				_ = p.Go(t.Context(), nothing)
			}
		}
		cancel()
		synctest.Wait()
		p.mu.Lock()
		if last := p.taken + uint64(p.n); p.n > futures/2 || last != p.pushes {
			t.Errorf("%d in the queue; the next one is number %d of %d", p.n, last, p.pushes)
		}
		p.mu.Unlock()
		close(end)
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
