package pool

import (
	"context"
	"errors"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// A Future is the result to come of a task of Submit.
type Future[T any] struct {
	ctx   attached // its task's context, and the mutex of stop and done
	p     *Pool
	f     func(ctx context.Context) (T, error)
	value T
	err   error
	stop  func() bool   // the watch over the caller's context
	done  chan struct{} // made for who waits

	state           atomic.Uint32
	inQueue, buried bool // guarded by p.mu
}

const (
	waiting uint32 = iota
	claimed
	settled
)

// Submit is for work that you wait for: it belongs to ctx, and leaves the queue when ctx ends.
// With a full queue it waits for room, until ctx ends; in a task of p it runs f in place then,
// so do not hold a lock that f needs. It never returns nil: what went wrong says Wait, ErrFull
// and ErrClosed among it.
func Submit[T any](ctx context.Context, p *Pool, f func(ctx context.Context) (T, error)) *Future[T] {
	t := &Future[T]{p: p, f: f, ctx: attached{caller: ctx, joined: true}}
	if err := check(ctx, f == nil); err != nil {
		t.settle(err)
		return t
	}
	if ctx.Err() != nil {
		t.settle(context.Cause(ctx))
		return t
	}
	err := p.add(ctx, entry{c: t}, waits)
	if err == nil {
		if ctx.Done() != nil {
			t.watch(ctx)
		}
		return t
	}
	if w := workerOf(ctx, p); w != nil && errors.Is(err, ErrFull) && !p.cutted.Load() {
		t.execute(w, false) // only tasks make room, and this is one
		return t
	}
	if !errors.Is(err, ErrClosed) && ctx.Err() != nil {
		err = errors.Join(ErrFull, context.Cause(ctx))
	}
	t.settle(err)
	return t
}

// watch has a future that waits leave the queue when its caller's context ends.
func (t *Future[T]) watch(ctx context.Context) {
	p := t.p
	stop := context.AfterFunc(ctx, func() {
		if t.state.CompareAndSwap(waiting, claimed) {
			p.bury(&t.inQueue, &t.buried, &p.outcomes.cancelled)
			t.settle(context.Cause(ctx))
		}
	})
	t.ctx.mu.Lock()
	t.stop = stop
	t.ctx.mu.Unlock()
	if t.state.Load() != waiting {
		stop()
	}
}

// bury frees the place of a promise that was claimed by another than a worker, and counts how it
// ended; nil: that is counted elsewhere. What it is given is guarded by p.mu.
func (p *Pool) bury(inQueue, buried *bool, outcome *uint64) {
	p.mu.Lock()
	if outcome != nil {
		*outcome++
	}
	if *inQueue {
		*buried = true
		p.queue.bury()
		p.admit()
		p.changed()
	}
	p.unlock()
}

func (t *Future[T]) leaveQueue() (alive bool) { t.inQueue = false; return !t.buried }
func (t *Future[T]) enterQueue()              { t.inQueue = true }

func (t *Future[T]) function() any {
	t.ctx.mu.Lock()
	defer t.ctx.mu.Unlock()
	return t.f
}

func (t *Future[T]) isWaiting() bool { return t.state.Load() == waiting }
func (t *Future[T]) claim() bool     { return t.state.CompareAndSwap(waiting, claimed) }
func (t *Future[T]) abandon()        { t.settle(ErrClosed) }

// execute runs f in w's slot, unless somebody else has claimed it.
func (t *Future[T]) execute(w *worker, own bool) {
	if t.state.CompareAndSwap(waiting, claimed) {
		t.call(w, own)
	}
}

// call runs f. own: w runs it as its own task, and not in the place of one that waits for it.
func (t *Future[T]) call(w *worker, own bool) {
	clocked := own && w.clocks()
	var began time.Time
	if clocked || t.p.cfg.TaskTimeout > 0 {
		began = time.Now()
	}
	t.ctx.begin(w, began)
	f, returned := t.f, false
	var err error
	defer func() {
		if !returned {
			err = &PanicError{recover(), debug.Stack()}
		}
		if clocked {
			t.p.run.Observe(time.Since(began))
		}
		n := &w.ok
		switch {
		case !returned:
			n = &w.panicked
		case err != nil:
			n = &w.failed
		}
		w.finish(n, f, err != nil, own)
		t.settle(err)
	}()
	t.value, err = f(&t.ctx)
	returned = true
}

func (t *Future[T]) settle(err error) {
	t.err = err
	t.ctx.mu.Lock()
	t.f = nil
	t.ctx.over = true
	t.state.Store(settled)
	done, stop, made := t.done, t.stop, t.ctx.made
	t.ctx.mu.Unlock()
	if made != nil {
		made.cancel()
	}
	if done != nil {
		close(done)
	}
	if stop != nil {
		stop()
	}
}

// Done returns a channel that is closed when the result is there.
func (t *Future[T]) Done() <-chan struct{} {
	t.ctx.mu.Lock()
	defer t.ctx.mu.Unlock()
	if t.done == nil {
		t.done = make(chan struct{})
		if t.state.Load() == settled {
			close(t.done)
		}
	}
	return t.done
}

// Wait returns the result, or the cause of the end of ctx, which cancels nothing. Any number may
// wait, any number of times. Under the context of a task of p it helps: if f has not started,
// Wait runs it itself, in the slot that its task has, so that no order of waits can deadlock.
// In a task under another context, such as context.Background, it just waits: that can last
// for ever if the task has the last worker.
func (t *Future[T]) Wait(ctx context.Context) (T, error) {
	if t.state.Load() == settled {
		return t.value, t.err
	}
	if t.state.Load() == waiting {
		if w := workerOf(ctx, t.p); w != nil && t.state.CompareAndSwap(waiting, claimed) {
			t.p.bury(&t.inQueue, &t.buried, nil)
			w.mu.Lock()
			w.helped++
			w.mu.Unlock()
			t.call(w, false)
			return t.value, t.err
		}
	}
	ended := ctx.Done()
	if ended == nil {
		<-t.Done()
		return t.value, t.err
	}
	select {
	case <-t.Done():
		return t.value, t.err
	case <-ended:
		if t.state.Load() == settled {
			return t.value, t.err
		}
		var zero T
		return zero, context.Cause(ctx)
	}
}
