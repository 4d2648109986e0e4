package pool

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func upTo(n int) func(func(int) bool) {
	return func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}
}

func same(_ context.Context, v int) (int, error) { return v, nil }

// held is a context that holds who asks it for its pool, once.
type held struct {
	context.Context
	p       *Pool
	armed   atomic.Bool
	in, out chan struct{}
}

func (c *held) Value(k any) any {
	if k == any(c.p) && c.armed.CompareAndSwap(true, false) {
		close(c.in)
		<-c.out
	}
	return c.Context.Value(k)
}

// break while a runner is on its way into the queue: it is not taken out before it is in, or the
// place of another task would count as empty.
func TestP1_BreakWhileARunnerIsCalled(t *testing.T) {
	for _, room := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			p := mustNew(t, Config{Workers: 2, Queue: 1})
			one, release := make(chan struct{}), make(chan struct{})
			c := &held{Context: context.Background(), p: p, in: make(chan struct{}), out: make(chan struct{})}
			in := func(yield func(int) bool) {
				_ = p.Go(context.Background(), func(context.Context) error { <-one; return nil })
				_ = p.Go(context.Background(), func(context.Context) error { <-release; return nil })
				yield(0)
				yield(1)
				go func() { _ = p.Go(context.Background(), nothing) }() // has the place of the first runner
				synctest.Wait()
				c.armed.Store(true)
				close(one) // the runner begins 0, and calls another one for 1: held on its way
				<-c.in
				panic("enough")
			}
			go func() {
				<-c.in
				synctest.Wait() // the consumer has left
				if room {
					close(release)
					synctest.Wait()
				}
				close(c.out)
			}()
			func() {
				defer func() { _ = recover() }()
				for range Stream(c, p, in, same) {
				}
			}()
			synctest.Wait()
			if n := p.Stats().Waiting; n != 0 {
				t.Errorf("%d wait", n)
			}
			if !room {
				close(release)
			}
			synctest.Wait()
			ran := false
			if err := p.Go(context.Background(), func(context.Context) error { ran = true; return nil }); err != nil {
				t.Error(err)
			}
			if err := p.Close(context.Background()); err != nil || !ran {
				t.Errorf("%v, ran: %t", err, ran)
			}
		})
	}
}

// A call is in the task of its worker, also when its runner has just changed workers, and in no
// task afterwards.
func TestP8_ACallOfAStreamIsInATask(t *testing.T) {
	p := mustNew(t, Config{Workers: 4})
	var kept context.Context
	for range 30 {
		for range Stream(context.Background(), p, upTo(200), func(ctx context.Context, v int) (int, error) {
			runtime.Gosched()
			if workerOf(ctx, p) == nil {
				t.Error("a call is in no task")
			}
			if v == 0 {
				kept = ctx
			}
			return v, nil
		}) {
		}
	}
	if err := p.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if workerOf(kept, p) != nil {
		t.Error("the context of a stream that has ended is in a task")
	}
}

// Who is inside a request goes on while Close waits for it.
func TestC1_AStreamInARequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, Config{Workers: 2})
		shut := make(chan error, 1)
		n := 0
		p.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			for v, err := range Stream(r.Context(), p, upTo(50), same) {
				if v != n || err != nil {
					t.Errorf("%d is %d, %v", n, v, err)
				}
				if n++; n == 5 {
					go func() { shut <- p.Close(context.Background()) }()
					synctest.Wait()
				}
			}
		})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
		if err := <-shut; err != nil || n != 50 {
			t.Errorf("%v after %d", err, n)
		}
	})
}

// From outside the elements that came before Close run, and those after it are refused.
func TestC1_AStreamThatClosesOnTheWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, Config{Workers: 2})
		shut := make(chan error, 1)
		n, good := 0, 0
		for v, err := range Stream(context.Background(), p, upTo(50), func(_ context.Context, v int) (int, error) {
			time.Sleep(time.Second)
			return v, nil
		}) {
			if n == 5 {
				go func() { shut <- p.Close(context.Background()) }()
				synctest.Wait()
			}
			switch {
			case err == nil && v == n && good == n:
				good++
			case !errors.Is(err, ErrClosed):
				t.Errorf("%d is %d, %v", n, v, err)
			}
			n++
		}
		if err := <-shut; err != nil || n != 50 || good < 6 || good > 12 {
			t.Errorf("%v; %d of %d", err, good, n)
		}
	})
}

// The place of a runner in the queue keeps no element of a stream that has ended.
func TestP5_AnEndedStreamKeepsNoElement(t *testing.T) {
	p := mustNew(t, Config{Workers: 1, Queue: 10})
	release, started := make(chan struct{}), make(chan struct{})
	_ = p.Go(context.Background(), func(context.Context) error { close(started); <-release; return nil })
	<-started
	freed := make(chan int, 2)
	func() {
		defer func() { _ = recover() }()
		for range Stream(context.Background(), p, func(yield func(*[1 << 16]byte) bool) {
			for i := range 2 {
				x := new([1 << 16]byte)
				runtime.AddCleanup(x, func(i int) { freed <- i }, i)
				yield(x)
			}
			panic("enough")
		}, func(context.Context, *[1 << 16]byte) (int, error) { return 0, nil }) {
		}
	}()
	if p.n != 1 || p.dead != 1 {
		t.Errorf("%d places, %d dead", p.n, p.dead)
	}
	for range 2 {
		for len(freed) == 0 {
			runtime.GC() // for ever if an element is kept
		}
		<-freed
	}
	close(release)
	if err := p.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

// However many workers there may be, the ring is as large as what is ahead.
func TestP10_AStreamWithWorkersWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, workers := range []int{50, math.MaxInt} {
			p := mustNew(t, Config{Workers: workers})
			n, pulled := 0, 0
			for v, err := range Stream(context.Background(), p, func(yield func(int) bool) {
				for ; pulled < 500; pulled++ {
					if !yield(pulled) {
						return
					}
				}
			}, func(_ context.Context, v int) (int, error) { time.Sleep(time.Second); return v, nil }) {
				if v != n || err != nil {
					t.Errorf("%d is %d, %v", n, v, err)
				}
				if n++; pulled-n > 2*min(workers, 500) {
					t.Errorf("%d ahead", pulled-n)
				}
			}
			if n != 500 {
				t.Errorf("%d elements", n)
			}
			_ = p.Close(context.Background())
		}
	})
}

// A stream uses all workers, also while its consumer is busy, and has at most Workers places.
func TestP10_AStreamUsesEveryWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, Config{Workers: 3})
		release := make(chan struct{})
		began := time.Now()
		for v := range Stream(context.Background(), p, upTo(7), func(_ context.Context, v int) (int, error) {
			if v > 0 {
				time.Sleep(time.Second)
			}
			return v, nil
		}) {
			if v == 0 {
				time.Sleep(2 * time.Second) // six elements are run by three workers meanwhile
				synctest.Wait()
			}
		}
		if took := time.Since(began); took > 4*time.Second {
			t.Errorf("took %v", took)
		}
		for range 3 {
			_ = p.Go(context.Background(), func(context.Context) error { <-release; return nil })
		}
		synctest.Wait()
		go func() { synctest.Wait(); close(release) }()
		for range Stream(context.Background(), p, upTo(100), same) {
			if n := p.Stats().Waiting; n > 3 {
				t.Errorf("%d wait", n)
			}
		}
		if err := p.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// After the end of its context a stream waits for what runs without spinning.
func TestP10_WhatIgnoresTheEndIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, Config{Workers: 1})
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		n := 0
		for v, err := range Stream(ctx, p, upTo(10), func(_ context.Context, v int) (int, error) {
			time.Sleep(time.Minute)
			return v, nil
		}) {
			if n == 0 && err != nil || n > 0 && !errors.Is(err, context.DeadlineExceeded) || v != 0 {
				t.Errorf("%d is %d, %v", n, v, err)
			}
			n++
		}
		if n != 10 {
			t.Errorf("%d elements", n)
		}
		if err := p.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// Nothing starts after the cut.
func TestC2_NoElementStartsAfterTheCut(t *testing.T) {
	for _, inside := range []bool{true, false} {
		p := mustNew(t, Config{Workers: 1})
		already, stop := context.WithCancel(context.Background())
		stop()
		cut := false
		iterate := func(ctx context.Context) {
			for range Stream(ctx, p, upTo(500), func(_ context.Context, v int) (int, error) {
				if cut {
					t.Errorf("inside %t: %d starts", inside, v)
				}
				if v == 50 {
					_ = p.Close(already)
					cut = true
				}
				return v, nil
			}) {
			}
		}
		if inside {
			done := make(chan struct{})
			_ = p.Go(context.Background(), func(ctx context.Context) error { defer close(done); iterate(ctx); return nil })
			<-done
		} else {
			iterate(context.Background())
		}
		_ = p.Close(context.Background())
	}
}

// A call beyond its time is reported, each call anew.
func TestP9_AnElementThatIsOverdue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, Config{Workers: 1, TaskTimeout: 3 * time.Second, Logger: slog.New(slog.DiscardHandler)})
		for range Stream(context.Background(), p, upTo(3), func(_ context.Context, v int) (int, error) {
			time.Sleep(2 * time.Second)
			if n := p.Stats().Overdue; n != 0 {
				t.Errorf("%d: %d overdue after 2 s", v, n)
			}
			time.Sleep(2 * time.Second)
			if n := p.Stats().Overdue; n != 1 {
				t.Errorf("%d: %d overdue after 4 s", v, n)
			}
			return v, nil
		}) {
		}
		_ = p.Close(context.Background())
	})
}

// Who gives up at the moment at which it is accepted leaves nothing in the channel for the next one.
func TestP3_GivingUpAtTheMomentOfAdmission(t *testing.T) {
	p := mustNew(t, Config{})
	s := &submitter{told: make(chan struct{}, 1), settled: true}
	s.told <- struct{}{}
	if err := p.giveUp(context.Background(), s); err != nil || len(s.told) != 0 {
		t.Errorf("%v, %d in the channel", err, len(s.told))
	}
}

// Streams with whatever can happen to them: every element once, in order, and nothing hangs, which
// synctest reports as a deadlock.
func TestP10_StreamsInAStorm(t *testing.T) {
	for seed := range uint64(120) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			p := mustNew(t, Config{Workers: 1 + r.IntN(4), Queue: []int{-1, 1, 10}[r.IntN(3)], TaskTimeout: time.Duration(r.IntN(2)) * time.Hour})
			var wg sync.WaitGroup
			for range 2 {
				how, when, inside := r.IntN(7), r.IntN(60), r.IntN(2) == 0
				iterate := func(ctx context.Context) {
					defer func() { _ = recover() }()
					oneStream(ctx, t, p, how, when)
				}
				wg.Go(func() {
					if inside {
						_, _ = Submit(context.Background(), p, func(ctx context.Context) (int, error) { iterate(ctx); return 0, nil }).Wait(context.Background())
					} else {
						iterate(context.Background())
					}
				})
			}
			accepted := uint64(0)
			for i := range 30 {
				if p.TryGo(context.Background(), nothing) == nil {
					accepted++
				}
				if i%5 == 0 {
					time.Sleep(time.Millisecond)
				}
			}
			wg.Wait()
			_ = p.Close(context.Background())
			s := p.Stats()
			if s.Tasks["ok"] < accepted || s.Waiting != 0 || s.Running != 0 || s.Blocked != 0 {
				t.Errorf("seed %d: %d accepted, %+v", seed, accepted, s)
			}
		})
	}
}

func oneStream(ctx context.Context, t *testing.T, p *Pool, how, when int) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var calls [60]atomic.Int32
	n := 0
	for v, err := range Stream(ctx, p, func(yield func(int) bool) {
		for i := range 60 {
			if how == 1 && i == when {
				panic("in")
			}
			if !yield(i + 1) {
				return
			}
		}
	}, func(ctx context.Context, v int) (int, error) {
		if calls[v-1].Add(1) != 1 {
			t.Errorf("%d is called again", v)
		}
		switch v % 13 {
		case 1:
			panic(v)
		case 2:
			if workerOf(ctx, p) == nil {
				t.Error("in no task")
			}
		case 3:
			time.Sleep(time.Millisecond)
		case 4:
			for range Stream(ctx, p, upTo(5), same) {
			}
		case 5:
			_, _ = Submit(ctx, p, func(context.Context) (int, error) { return 1, nil }).Wait(ctx)
		case 6:
			if how == 6 {
				runtime.Goexit()
			}
		}
		return v, nil
	}) {
		if n++; err == nil && v != n {
			t.Errorf("%d is %d", n, v)
		}
		if n != when {
			continue
		}
		switch how {
		case 2:
			return
		case 3:
			panic("yield")
		case 4:
			cancel()
		case 5:
			go p.Close(context.Background())
		}
	}
	if n != 60 {
		t.Errorf("%d elements (%d at %d)", n, how, when)
	}
}
