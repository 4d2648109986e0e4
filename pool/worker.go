package pool

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// batch is how many tasks a worker takes at most: without batches the lock is the price of
// everything. A short queue is taken one by one, exactly in order.
const batch = 16

// A worker is one slot of a Pool, and the context of tasks that came with context.Background.
type worker struct {
	context.Context // the pool's
	p               *Pool
	fresh           bool // has not come to the queue yet
	hasBatch        bool // guarded by p.mu
	hadRest         bool // guarded by p.mu
	closers         int  // calls of Close from inside its task; guarded by p.mu

	mu       sync.Mutex // after p.mu, if both
	rest     [batch]entry
	lo, hi   int
	seq      uint64 // of rest[0]
	current  entry
	inTask   bool
	number   uint64 // of current
	started  time.Time
	reported bool // as overdue
	runs     uint64
	fine     bool // the task that it ran last ended well; its goroutine's alone
	outcomes
}

func newWorker(p *Pool) *worker { return &worker{Context: p.base, p: p, fresh: true} }

// Value makes a task known by its context alone.
func (w *worker) Value(key any) any {
	if key == any(w.p) {
		return w.during(0)
	}
	return w.Context.Value(key)
}

// during returns w if it runs the task of that number, counted from 1; 0: any. Who kept the context
// of a task that has ended is in no task any more, or it would run things in another's slot.
func (w *worker) during(task uint64) any {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.inTask || task != 0 && w.number+1 != task {
		return nil
	}
	return w
}

// taskNumber is what during takes for the task that w runs.
func (w *worker) taskNumber() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.number + 1
}

// workerOf returns the slot of the task of p that ctx belongs to, nil if there is none.
func workerOf(ctx context.Context, p *Pool) *worker {
	w, _ := ctx.Value(p).(*worker)
	return w
}

// loop is a worker's goroutine. After runtime.Goexit in a task another one goes on in its place.
func (w *worker) loop() {
	ended := false
	defer func() {
		if !ended {
			go w.loop()
		}
	}()
	for {
		for !w.runBatch() {
		}
		if !w.next() {
			ended = true
			return
		}
	}
}

// runBatch runs what the worker has; false: a task panicked, and there may be more.
func (w *worker) runBatch() (done bool) {
	defer func() {
		if !done {
			w.crashed(recover())
		}
	}()
	for {
		e, clocked, ok := w.claim()
		if !ok {
			return true
		}
		if e.f == nil {
			e.c.(promise).execute(w, true)
		} else {
			if err := w.call(e, clocked); err != nil {
				w.finish(&w.failed, e.f, true, true)
				w.p.failure(e.f, err)
			} else {
				w.fine = true // counted when it claims again: a lock a task is enough
			}
		}
	}
}

func (w *worker) call(e entry, clocked bool) error {
	if clocked {
		began := time.Since(w.p.born)
		defer func() { w.p.run.Observe(time.Since(w.p.born) - began) }()
	}
	caller := e.c.(context.Context)
	if w.p.cfg.TaskTimeout > 0 {
		a := &attached{caller: caller}
		a.begin(w, w.started)
		defer a.end()
		return e.f(a)
	}
	if caller == context.Background() {
		return e.f(w)
	}
	return e.f(&detached{w, caller, w.number + 1})
}

// claim takes the next task of the batch. What ended before it is counted and forgotten here.
func (w *worker) claim() (e entry, clocked, ok bool) {
	w.mu.Lock()
	if w.fine {
		w.fine = false
		w.ok++
	}
	i := w.lo
	if i >= w.hi {
		w.current, w.inTask = entry{}, false
		w.mu.Unlock()
		return entry{}, false, false
	}
	e = w.rest[i]
	w.rest[i] = entry{}
	w.lo = i + 1
	w.number = w.seq + uint64(i)
	w.current, w.inTask = e, true
	w.runs++
	clocked = w.clocks()
	if w.p.cfg.TaskTimeout > 0 {
		w.started, w.reported = time.Now(), false
	}
	w.mu.Unlock()
	return e, clocked, true
}

// clocks reports whether its task is one of those whose time is taken.
func (w *worker) clocks() bool { return w.runs%every(w.hi > 1) == 1 }

// crashed ends a task of Go that panicked, or called Goexit (value nil).
func (w *worker) crashed(value any) {
	w.mu.Lock()
	e := w.current
	w.mu.Unlock()
	if e.f == nil { // a Future has seen to that itself
		return
	}
	w.finish(&w.panicked, e.f, true, true)
	err := &PanicError{value, debug.Stack()}
	w.p.cfg.Logger.Error("pool: a task panicked", "task", nameOf(e.f), "value", err.Value, "stack", string(err.Stack))
}

// next gets the worker something to do; it waits for that, and false ends the worker.
func (w *worker) next() bool {
	p := w.p
	p.mu.Lock()
	if w.fresh {
		w.fresh, p.waking = false, false
	}
	if w.hasBatch {
		w.hasBatch = false
		p.busy--
		if w.hadRest {
			w.hadRest = false
			p.batched--
		}
		p.admit()
	}
	for {
		if len(p.all) > p.slots() { // a slot was lent while its task waited in Close
			p.leave(w)
			p.unlock()
			return false
		}
		if more, ok := w.take(); ok {
			w.hasBatch = true
			p.busy++
			p.watch()
			if more {
				p.wakeAndUnlock()
			} else {
				p.unlock()
			}
			return true
		}
		if p.closing {
			p.leave(w)
			p.unlock()
			return false
		}
		p.idle++
		if !p.trims {
			p.trims, p.minIdle = true, 0
			if p.trimming == nil {
				p.trimming = time.AfterFunc(p.cfg.IdleTimeout, p.trim)
			} else {
				p.trimming.Reset(p.cfg.IdleTimeout)
			}
		}
		p.cond.Wait()
		if p.quit > 0 {
			p.quit--
			if p.living() > 0 || p.batched > 0 { // it came after the word to end, and found nobody idle
				continue
			}
			p.leave(w)
			p.unlock()
			return false
		}
		p.waking = false
	}
}

// waiting is how many tasks of its batch have not begun, without those that never will. w.mu is held.
func (w *worker) waiting() (n int) {
	for _, e := range w.rest[w.lo:w.hi] {
		if e.f != nil || e.c.(promise).isWaiting() {
			n++
		}
	}
	return n
}

// hasRest reports whether tasks of its batch have not begun.
func (w *worker) hasRest() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lo < w.hi
}

// take fills the worker's batch from the queue, or from what others have not begun: no task
// waits behind a slow one while a worker is free, or goes on with a job that has let go of it for
// that. more: somebody else should come too.
func (w *worker) take() (more, ok bool) {
	p := w.p
	k := min(batch, max(1, p.living()/(2*p.cfg.Workers)))
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lo, w.hi = 0, 0
	if p.batched > 0 && (p.living() == 0 || p.jobIsNext()) {
		if more = w.steal(); w.hi > 0 {
			return more || p.living() > 0, true
		}
	}
	for p.living() > 0 && w.hi < k {
		number := p.taken
		e, alive := p.pop()
		if !alive {
			continue
		}
		if w.hi == 0 {
			w.seq = number
		}
		w.rest[w.hi] = e
		w.hi++
	}
	for p.n > 0 && p.living() == 0 {
		p.pop() // tombstones
	}
	if p.probing && p.taken >= p.probe {
		p.probing = false
		p.wait.Observe(time.Since(p.born) - p.probed)
	}
	if w.hi > 0 {
		if w.hi > 1 {
			w.hadRest = true
			p.batched++
		}
		p.busy++ // it is about to be: room for those that were in its way is no room
		p.admit()
		p.busy--
		return p.living() > 0, true
	}
	return false, false
}

// steal takes what another worker has in its batch and has not begun. w.mu and p.mu are held.
func (w *worker) steal() (more bool) {
	p := w.p
	for _, other := range p.all {
		if other == w {
			continue
		}
		other.mu.Lock()
		if left := other.hi - other.lo; left > 0 {
			if w.hi > 0 {
				more = true
			} else {
				w.rest[0], w.hi, w.seq = other.rest[other.lo], 1, other.seq+uint64(other.lo)
				other.rest[other.lo] = entry{}
				other.lo++
				more = left > 1
			}
		}
		other.mu.Unlock()
		if more {
			break
		}
	}
	return more
}

// leave takes w off the pool.
func (p *Pool) leave(w *worker) {
	for i, other := range p.all {
		if other == w {
			last := len(p.all) - 1
			p.all[i], p.all[last] = p.all[last], nil
			p.all = p.all[:last]
			break
		}
	}
	w.mu.Lock()
	p.include(w.outcomes)
	w.outcomes = outcomes{}
	w.mu.Unlock()
	if len(p.all) == 0 && p.closing {
		p.stopTimers()
	}
	p.changed()
}

// trim lets those workers go that nobody needed for a whole period.
func (p *Pool) trim() {
	p.mu.Lock()
	k := min(p.minIdle, p.idle)
	p.quit += k
	p.idle -= k
	p.minIdle = p.idle
	if p.idle > 0 && !p.closing {
		p.trimming.Reset(p.cfg.IdleTimeout)
	} else {
		p.trims = false
	}
	if p.n == 0 {
		p.ring, p.head = nil, 0
	}
	p.mu.Unlock()
	for range k {
		p.cond.Signal()
	}
}

// PanicError says that a task panicked, or ended its goroutine by runtime.Goexit, as t.FailNow
// does.
type PanicError struct {
	Value any    // nil: Goexit
	Stack []byte // of the panic
}

// Error names the value, without the stack.
func (e *PanicError) Error() string {
	if e.Value == nil {
		return "pool: a task called runtime.Goexit"
	}
	return fmt.Sprintf("pool: a task panicked: %v", e.Value)
}

// Unwrap returns the value, if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// failure logs a failed task of Go, at most one a second.
func (p *Pool) failure(f any, err error) {
	if errors.Is(err, context.Canceled) && p.cutted.Load() {
		return // Close names it
	}
	now := time.Now().UnixNano()
	if last := p.lastLog.Load(); now-last < int64(time.Second) || !p.lastLog.CompareAndSwap(last, now) {
		return
	}
	p.cfg.Logger.Warn("pool: a task failed", "task", nameOf(f), "error", err)
}

// watch has the timer that looks for tasks beyond TaskTimeout run while tasks do.
func (p *Pool) watch() {
	if p.cfg.TaskTimeout <= 0 || p.watching {
		return
	}
	p.watching = true
	if p.overdue == nil {
		p.overdue = time.AfterFunc(p.cfg.TaskTimeout, p.lookForOverdue)
	} else {
		p.overdue.Reset(p.cfg.TaskTimeout)
	}
}

func (p *Pool) lookForOverdue() {
	p.mu.Lock()
	defer p.mu.Unlock()
	next := time.Time{}
	now := time.Now()
	for _, w := range p.all {
		w.mu.Lock()
		running := w.inTask && !w.reported
		late := ""
		if running && now.Sub(w.started) >= p.cfg.TaskTimeout {
			w.reported, late = true, w.current.name()
		} else if running && (next.IsZero() || w.started.Before(next)) {
			next = w.started
		}
		w.mu.Unlock()
		if late != "" {
			go p.cfg.Logger.Warn("pool: a task ignores the end of its context", "task", late, "timeout", p.cfg.TaskTimeout)
		}
	}
	p.watching = p.busy > 0
	switch {
	case !next.IsZero():
		p.overdue.Reset(max(next.Add(p.cfg.TaskTimeout).Sub(now), time.Microsecond))
	case p.watching:
		p.overdue.Reset(p.cfg.TaskTimeout)
	}
}

func (p *Pool) stopTimers() {
	for _, t := range []*time.Timer{p.trimming, p.overdue} {
		if t != nil {
			t.Stop()
		}
	}
	p.trims, p.watching = false, false
}
