package pool

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// A job is what runners work on: a Stream, or a Map.
type job interface {
	run(r *runner, w *worker) (panicked bool) // calls, one after another, until there are none or others wait for w
	leave(r *runner)                          // run has ended, by Goexit perhaps
	abandon(r *runner)                        // for the cut: the pool will never run r
	unfinished() bool                         // something of it was not called, or failed after the cut
	function() any
	awaitedBy() (*worker, *scope) // the task, or the request, that does nothing but wait for it
}

// An asker is who called a job. It is a part of the job.
type asker struct {
	p       *Pool
	inside  *worker     // in this task
	request *scope      // else perhaps in this request
	waits   atomic.Bool // it does nothing else now
}

// tellClose is for an asker that waits from now on: a call that it waits for may be in Close, which
// waits for all who can go on.
func (a *asker) tellClose() {
	if a.p.pressed.Load() {
		a.p.mu.Lock()
		a.p.changed()
		a.p.mu.Unlock()
	}
}

func (a *asker) awaitedBy() (*worker, *scope) {
	switch {
	case !a.waits.Load():
		return nil, nil
	case a.inside != nil:
		return a.inside, nil // which no request waits for
	}
	return nil, a.request
}

// awaitedBy returns who waits for the job that w has a part in. p.mu is held.
func (w *worker) awaitedBy() (*worker, *scope) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r, is := w.current.c.(*runner); is && w.current.f == nil && r.job != nil {
		return r.job.awaitedBy()
	}
	return nil, nil
}

// A runner is one worker's part in a job, and the context of its calls. It is used again within
// its job only, so who keeps it sees no other user's values.
type runner struct {
	context.Context // the job's
	p               *Pool
	job             job                       // written with Pool.mu held, by who has claimed it
	w               atomic.Pointer[worker]    // nil: it does not run
	state           atomic.Uint32             // settled: at rest; waiting: in the queue; claimed: it runs, or never will
	inQueue, buried bool                      // guarded by Pool.mu
	offered         atomic.Pointer[submitter] // it waits for room; written with Pool.mu held
}

func newRunner(ctx context.Context, p *Pool, j job) *runner {
	r := &runner{Context: ctx, p: p, job: j}
	r.state.Store(settled)
	return r
}

// Value makes its calls known as tasks of the worker that it has.
func (r *runner) Value(key any) any {
	if key == any(r.p) {
		if w := r.w.Load(); w != nil {
			return w
		}
	}
	return r.Context.Value(key)
}

func (r *runner) isWaiting() bool          { return r.state.Load() == waiting }
func (r *runner) leaveQueue() (alive bool) { r.inQueue = false; return !r.buried }
func (r *runner) claim() bool              { return r.state.CompareAndSwap(waiting, claimed) }

// enterQueue makes it one to be claimed: not before it is in the queue, or it could be buried there
// without ever having come.
func (r *runner) enterQueue() {
	r.inQueue = true
	r.offered.Store(nil)
	r.state.CompareAndSwap(settled, waiting)
}

func (r *runner) function() any {
	if r.job == nil {
		return nil
	}
	return r.job.function()
}

func (r *runner) abandon() { r.job.abandon(r) }

func (r *runner) execute(w *worker, own bool) {
	if !r.claim() {
		return
	}
	r.w.Store(w)
	panicked := true // or Goexit
	defer func() {
		r.w.Store(nil)
		n, cut := &w.ok, r.p.cutted.Load() && r.job.unfinished()
		switch {
		case panicked:
			n = &w.panicked
		case cut:
			n = &w.failed
		}
		w.finish(n, r.job.function(), cut, own) // Close names it, as any task that the cut ended
		r.job.leave(r)                          // the last: another worker may have it at once
	}()
	panicked = r.job.run(r, w)
}

// offer has r wait for room, behind those who do. p.mu is held.
func (p *Pool) offer(r *runner) {
	s := &submitter{e: entry{c: r}}
	r.offered.Store(s)
	p.link(s)
}

// unoffer has r wait no more, if it does.
func (p *Pool) unoffer(r *runner) bool {
	if r.offered.Load() == nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s := r.offered.Swap(nil)
	if s == nil {
		return false // it is in the queue by now
	}
	p.unlink(s)
	return true
}

// withdraw takes r out of the queue, or from before it. undone: something is left that it was to do.
// Its place may stay for a while, the job need not.
func (r *runner) withdraw(undone bool) bool {
	switch {
	case r.p.unoffer(r):
	case r.claim():
		outcome := &r.p.outcomes.ok
		if undone {
			outcome = &r.p.outcomes.cancelled
		}
		r.p.bury(&r.inQueue, &r.buried, outcome)
	default:
		return false
	}
	r.p.mu.Lock()
	r.job = nil
	r.p.mu.Unlock()
	return true
}

// because adds the cause to the error of a call that ended with ctx: who returns ctx.Err() says that it
// has ended, and not that Close cut it off.
func because(ctx context.Context, err error) error {
	if err == nil || !errors.Is(err, ctx.Err()) {
		return err
	}
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) { // before Go 1.26 TaskTimeout has none
		return errors.Join(cause, err)
	}
	return err
}

// beginCall makes the context of one call of a job in w: TaskTimeout is that of a call, not of the
// runner. own: the runner is w's own task.
func (w *worker) beginCall(ctx context.Context, own bool) *attached {
	a, began := &attached{caller: ctx, joined: true}, time.Now()
	a.begin(w, began)
	if own {
		w.mu.Lock()
		w.started, w.reported = began, false
		w.mu.Unlock()
	}
	return a
}
