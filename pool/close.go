package pool

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"time"
)

// A Task is what Close names.
type Task struct {
	// Name is the function's, with the place where it stands:
	// "shop.(*Orders).Place.func1 (orders.go:88)".
	Name string

	// Do is the function, to be run or kept elsewhere; nil for a Future, whose Wait says ErrClosed.
	Do func(ctx context.Context) error

	// State is "waiting": nothing of it happened. "cancelled": its context was ended while it
	// ran, and it returned an error. "running": cancelled too, but it had not returned; it may
	// have, and still has, effects.
	State string
}

// CloseError names the accepted tasks that did not end by themselves, in the order accepted.
type CloseError struct {
	Tasks []Task
	Cause error // such as context.DeadlineExceeded
}

// Error counts the tasks by state and names the first.
func (e *CloseError) Error() string {
	var n [3]int
	for _, t := range e.Tasks {
		n[slices.Index(states[:], t.State)]++
	}
	return fmt.Sprintf("pool: closed with %d tasks waiting, %d cancelled, %d running (the first: %s): %v", n[0], n[1], n[2], e.Tasks[0].Name, e.Cause)
}

// Unwrap returns the Cause.
func (e *CloseError) Unwrap() error { return e.Cause }

var states = [...]string{"waiting", "cancelled", "running"}

type named struct {
	number uint64
	Task
}

// cleanUp is the most that is kept of the time to a deadline for cancelled tasks to return.
const cleanUp = 5 * time.Second

// A closer is one call of Close that waits.
type closer struct {
	w     *worker // called from inside its task
	task  uint64  // of that number, as during has it
	s     *scope  // or from inside this request
	quiet chan struct{}
}

// Close drains p. From now on whoever is not inside a task or a request of p gets ErrClosed; what
// was accepted runs to its end. When a tenth of the time to ctx's deadline is left, at most 5 s,
// or when a ctx without a deadline ends, comes the cut: nothing more starts, and the contexts of
// running tasks end. Close returns when all of them have returned, or at ctx's end: nil if every
// accepted task ended by itself, else a *CloseError that names each that did not.
//
// In a task of p, known by ctx, it does not wait for that task, whose slot goes to those that wait
// in the queue until Close returns. In a call of a Map or a Stream it does not wait for that call
// either, nor for the task or the request that can only wait for it; for a task that waits for the
// Future in which it is called it does, to the cut. Any number of calls, together or
// later, give the same answer, each under its own ctx.
func (p *Pool) Close(ctx context.Context) error {
	c := &closer{w: workerOf(ctx, p), quiet: make(chan struct{})}
	if c.w != nil {
		c.task = c.w.taskNumber()
	} else {
		c.s = scopeOf(ctx, p)
	}
	p.mu.Lock()
	p.shut()
	if c.s != nil && c.s.ended {
		c.s = nil
	}
	p.register(c, 1)
	p.admit() // to a slot that is lent
	p.changed()
	p.wakeForRest()
	defer func() {
		p.mu.Lock()
		p.register(c, -1)
		p.mu.Unlock()
	}()

	var cut <-chan time.Time
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline)
		t := time.NewTimer(left - min(left/10, cleanUp))
		defer t.Stop()
		cut = t.C
	}
	for {
		select {
		case <-c.quiet:
			return p.named(c, nil)
		default:
		}
		select {
		case <-c.quiet:
			return p.named(c, nil)
		case <-cut:
			cut = nil
			p.cut(context.DeadlineExceeded)
		case <-ctx.Done():
			p.cut(context.Cause(ctx))
			select {
			case <-c.quiet: // by the cut
				return p.named(c, nil)
			default:
				return p.named(c, context.Cause(ctx))
			}
		}
	}
}

// shut closes the front door.
func (p *Pool) shut() {
	if p.closing {
		return
	}
	p.closing = true
	p.pressed.Store(true) // before anybody looks at who waits: see asker.tellClose
	p.refuse()
	p.quit += p.idle
	p.idle = 0
	p.cond.Broadcast()
}

func (p *Pool) register(c *closer, n int) {
	if n > 0 {
		if p.closers == nil {
			p.closers = make(map[*closer]struct{})
		}
		p.closers[c] = struct{}{}
	} else {
		delete(p.closers, c)
	}
	if c.w != nil {
		before := c.w.closers
		c.w.closers += n
		switch {
		case before == 0:
			p.lent++
		case c.w.closers == 0:
			p.lent--
		}
	}
}

// wakeForRest has somebody come for what waits, also in batches whose workers do not go on.
func (p *Pool) wakeForRest() {
	if p.living() > 0 || p.batched > 0 {
		p.wakeAndUnlock()
	} else {
		p.unlock()
	}
}

// changed tells those calls of Close that have nothing more to wait for. While closing a worker
// without work ends, so no worker means no task.
func (p *Pool) changed() {
	if !p.closing {
		return
	}
	if len(p.all) == 0 && p.requests == 0 && p.living() == 0 {
		p.over = true
		p.stopTimers()
		p.cancel(ErrClosed) // nothing is left that could see it; frees what derived from it
	}
	held := p.held()
	for c := range p.closers {
		workers, requests, reserved := len(p.all), p.requests, p.reserved
		if c.w != nil || c.s != nil { // all who call from inside wait for each other's rest only
			for _, w := range p.all {
				if held.workers[w] && !w.hasRest() {
					workers--
				}
			}
			for s := range held.requests {
				requests--
				reserved -= len(s.tasks)
			}
		}
		if workers == 0 && requests == 0 && reserved == 0 && p.living() == 0 {
			select {
			case <-c.quiet:
			default:
				close(c.quiet)
			}
		}
	}
}

// insiders are tasks and requests that do not end before a call of Close has returned.
type insiders struct {
	workers  map[*worker]bool
	requests map[*scope]bool
}

// held returns those of all calls of Close. p.mu is held.
func (p *Pool) held() insiders {
	all := insiders{map[*worker]bool{}, map[*scope]bool{}}
	for c := range p.closers {
		all.add(c)
	}
	return all
}

// add adds where c was called, and who waits for that.
func (i insiders) add(c *closer) {
	w, s := c.w, c.s
	if w != nil && w.during(c.task) == nil {
		return // Close outlives the task that it was called from
	}
	for w != nil && !i.workers[w] {
		i.workers[w] = true
		w, s = w.awaitedBy()
	}
	if s != nil && !s.ended {
		i.requests[s] = true
	}
}

// cut ends what has not ended by itself.
func (p *Pool) cut(cause error) {
	p.mu.Lock()
	if p.cutted.Load() || p.over {
		p.mu.Unlock()
		return
	}
	p.cutted.Store(true)
	p.cause = cause
	var left []reservation
	var futures []promise
	for _, w := range p.all {
		w.mu.Lock()
		for ; w.lo < w.hi; w.lo++ {
			left = append(left, reservation{w.rest[w.lo], w.seq + uint64(w.lo)})
			w.rest[w.lo] = entry{}
		}
		w.mu.Unlock()
	}
	for p.n > 0 {
		number := p.taken
		if e, alive := p.pop(); alive {
			left = append(left, reservation{e, number})
		}
	}
	p.probing = false
	p.refuse()
	for s := range p.scopes {
		left = append(left, s.tasks...)
		p.reserved -= len(s.tasks)
		s.tasks = nil
	}
	p.scopes = nil
	for _, e := range left {
		task := Task{Name: e.name(), Do: e.f, State: "waiting"}
		if f, ok := e.c.(promise); ok && e.f == nil {
			if !f.claim() {
				continue // by its waiter, or cancelled, at the same moment
			}
			futures = append(futures, f)
		}
		p.outcomes.cancelled++
		p.report = append(p.report, named{e.number, task})
	}
	p.unlock()
	p.cancel(ErrClosed)
	for _, f := range futures {
		f.abandon()
	}
	p.mu.Lock()
	p.changed()
	p.mu.Unlock()
}

// finish counts a task that has ended in n, in one step with what Close says of it: it is named as
// running or, if it failed after its context had been ended, as cancelled; never as both. own: it
// is the worker's own task, and not one that was helped.
func (w *worker) finish(n *uint64, f any, failed, own bool) {
	p := w.p
	cancelled := failed && p.cutted.Load()
	if cancelled {
		p.mu.Lock()
		defer p.mu.Unlock()
	}
	w.mu.Lock()
	*n++
	number := w.number
	if own {
		w.current, w.inTask = entry{}, false
	}
	w.mu.Unlock()
	if cancelled {
		do, _ := f.(func(context.Context) error)
		p.report = append(p.report, named{number, Task{Name: nameOf(f), Do: do, State: "cancelled"}})
	}
}

// named is the answer of Close: of what was noted, and of what still runs if ended is given.
func (p *Pool) named(c *closer, ended error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := slices.Clone(p.report)
	if ended != nil {
		own := insiders{map[*worker]bool{}, map[*scope]bool{}}
		own.add(c)
		for _, w := range p.all {
			if own.workers[w] {
				continue
			}
			w.mu.Lock()
			if w.inTask {
				all = append(all, named{w.number, Task{Name: w.current.name(), Do: w.current.f, State: "running"}})
			}
			w.mu.Unlock()
		}
	}
	cause := cmp.Or(ended, p.cause)
	if len(all) == 0 {
		if ended != nil && p.requests > 0 { // a request that is not over may still have had something to say
			return fmt.Errorf("pool: closed with %d requests not handled: %w", p.requests, ended)
		}
		return nil
	}
	slices.SortStableFunc(all, func(a, b named) int { return cmp.Compare(a.number, b.number) })
	e := &CloseError{Cause: cause}
	for _, t := range all {
		e.Tasks = append(e.Tasks, t.Task)
	}
	return e
}

func (e entry) name() string {
	if e.f != nil {
		return nameOf(e.f)
	}
	if f, ok := e.c.(promise); ok {
		return nameOf(f.function())
	}
	return "unknown"
}

// nameOf is the name of a function and the place where it stands.
func nameOf(f any) string {
	v := reflect.ValueOf(f)
	if v.Kind() != reflect.Func || v.IsNil() {
		return "a task that has ended"
	}
	pc := v.Pointer()
	fn := runtime.FuncForPC(pc)
	if fn == nil {
		return "unknown"
	}
	file, line := fn.FileLine(pc)
	name := fn.Name()
	name = name[strings.LastIndexByte(name, '/')+1:]
	return fmt.Sprintf("%s (%s:%d)", name, path.Base(file), line)
}
