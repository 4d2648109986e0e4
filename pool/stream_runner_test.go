package pool

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// A runner that comes into the queue after its stream has ended leaves it at once: the end does not
// wait for the tasks before it.
func TestP10_ARunnerThatComesTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, Config{Workers: 2, Queue: 3})
		bg := context.Background()
		c := &held{Context: bg, p: p, in: make(chan struct{}), out: make(chan struct{})}
		one, two, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
		_ = p.Go(bg, func(context.Context) error { <-one; return nil })
		_ = p.Go(bg, func(context.Context) error { <-two; return nil })
		synctest.Wait()
		fctx, leave := context.WithCancel(bg)
		go func() {
			<-c.in
			synctest.Wait() // the consumer has left
			leave()
			synctest.Wait()
			close(c.out)
		}()
		func() {
			defer close(ended)
			defer func() { _ = recover() }()
			for range Stream(c, p, func(yield func(int) bool) {
				yield(0)
				yield(1)
				_ = p.Go(bg, func(context.Context) error { <-ended; return nil })
				Submit(fctx, p, func(context.Context) (int, error) { return 0, nil })
				go func() { _ = p.Go(bg, nothing) }() // has the place of the first runner
				synctest.Wait()
				c.armed.Store(true)
				close(two)
				<-c.in
				panic("enough")
			}, same) {
			}
		}()
		close(one)
		if err := p.Close(bg); err != nil {
			t.Error(err)
		}
	})
}

// One runner at a time is on its way, and none if all workers are the stream's.
func TestP10_AStreamTakesNoMorePlacesThanItNeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, Config{Workers: 2})
		for range Stream(context.Background(), p, upTo(20), func(_ context.Context, v int) (int, error) {
			time.Sleep(time.Second)
			if n := p.Stats().Waiting; n != 0 {
				t.Errorf("%d: %d wait", v, n)
			}
			return v, nil
		}) {
		}
		release := make(chan struct{})
		for range 2 {
			_ = p.Go(context.Background(), func(context.Context) error { <-release; return nil })
		}
		synctest.Wait()
		for range Stream(context.Background(), p, func(yield func(int) bool) {
			for i := range 3 {
				yield(i)
				if n := p.Stats().Waiting; n != 1 {
					t.Errorf("%d wait", n)
				}
			}
			close(release)
		}, same) {
		}
		_ = p.Close(context.Background())
	})
}

// After each element a runner goes behind those that wait.
func TestP10_AStreamHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, Config{Workers: 1, Queue: 1})
		var took time.Duration
		for v := range Stream(context.Background(), p, upTo(50), func(_ context.Context, v int) (int, error) {
			time.Sleep(time.Second)
			return v, nil
		}) {
			if v == 0 {
				began := time.Now()
				_ = p.TryGo(context.Background(), func(context.Context) error { took = time.Since(began); return nil })
			}
		}
		_ = p.Close(context.Background())
		if took == 0 || took > 2*time.Second {
			t.Errorf("waited for %v", took)
		}
	})
}

// A stream that waits for room is told of Close at once.
func TestC1_AStreamThatWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, Config{Workers: 1, Queue: -1})
		release, shut := make(chan struct{}), make(chan error, 1)
		_ = p.Go(context.Background(), func(context.Context) error { <-release; return nil })
		go func() { synctest.Wait(); shut <- p.Close(context.Background()) }()
		n := 0
		for _, err := range Stream(context.Background(), p, upTo(5), same) {
			if n++; !errors.Is(err, ErrClosed) {
				t.Error(err)
			}
		}
		close(release)
		if err := <-shut; err != nil || n != 5 {
			t.Errorf("%v, %d elements", err, n)
		}
	})
}

// Who has been claimed cannot be claimed again, though its place moves; and after the cut nobody
// goes back to the queue.
func TestP1_ARunnerThatIsClaimed(t *testing.T) {
	r := &runner{}
	r.state.Store(claimed)
	if r.enterQueue(); r.claim() {
		t.Error("claimed twice")
	}
	p := mustNew(t, Config{})
	p.cut(nil)
	if p.putBack(entry{c: r}) || p.n != 0 {
		t.Error("in the queue after the cut")
	}
}

// A Map waits for room with one runner at a time, and after the cut with none.
func TestP3_OneOfferAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, Config{Workers: 4, Queue: 2})
		offered := func() (n int) {
			p.mu.Lock()
			defer p.mu.Unlock()
			for s := p.first; s != nil; s = s.next {
				n++
			}
			return n
		}
		release := make(chan struct{})
		for range 4 {
			_ = p.Go(t.Context(), func(context.Context) error { <-release; return nil })
			synctest.Wait()
		}
		_ = p.Go(t.Context(), nothing)
		go func() { _, _ = Map(t.Context(), p, make([]int, 10), same) }()
		synctest.Wait()
		p.mu.Lock()
		waits := p.n
		p.mu.Unlock()
		if n := offered(); n != 1 || waits != 2 {
			t.Errorf("%d offers, and %d wait", n, waits)
		}
		close(release)
		if err := p.Close(t.Context()); err != nil || offered() != 0 {
			t.Errorf("%v, %d are left", err, offered())
		}

		p = mustNew(t, Config{})
		p.cut(nil)
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.offer(&runner{}); p.first == nil {
			t.Error("no offer")
		}
		if p.admit(); p.n != 0 {
			t.Error("in the queue after the cut")
		}
	})
}

// The cut comes a moment before the contexts end.
func TestC2_NoElementBetweenTheCutAndTheEndOfContexts(t *testing.T) {
	for _, inside := range []bool{false, true} {
		p := mustNew(t, Config{Workers: 2})
		f := func(_ context.Context, v int) (int, error) { t.Errorf("%d is called", v); return v, nil }
		use := func(ctx context.Context) error {
			p.cutted.Store(true)
			n := 0
			for _, err := range Stream(ctx, p, upTo(3), f) {
				if n++; err != ErrClosed {
					t.Errorf("a stream: %v", err)
				}
			}
			if _, err := Map(ctx, p, []int{0, 1, 2}, f); err != ErrClosed || n != 3 {
				t.Errorf("a map: %v; %d elements of the stream", err, n)
			}
			p.cutted.Store(false)
			return nil
		}
		if inside {
			_ = p.Go(t.Context(), use)
		} else {
			_ = use(t.Context())
		}
		_ = p.Close(t.Context())
	}
}
