package pool

import (
	"context"
	"errors"
	"iter"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// Stream is Map for a sequence: lazy input, results in order, at most 2 x Workers elements ahead.
// An error is yielded in its place and ends nothing; break cancels the context of what runs, and
// returns when the calls that were started have ended.
func Stream[T, R any](ctx context.Context, p *Pool, in iter.Seq[T], f func(ctx context.Context, v T) (R, error)) iter.Seq2[R, error] {
	return func(yield func(R, error) bool) {
		if err := check(ctx, f == nil); err != nil {
			var zero R
			for range in {
				if !yield(zero, err) {
					return
				}
			}
			return
		}
		s := &stream[T, R]{p: p, caller: ctx, f: f, slots: make([]element[T, R], 2*p.cfg.Workers), told: make(chan struct{}, 1)}
		var cancel context.CancelCauseFunc
		s.ctx, cancel = context.WithCancelCause(ctx)
		unwatch := context.AfterFunc(p.base, func() { cancel(ErrClosed) })
		s.inside = workerOf(ctx, p)
		defer func() {
			cancel(nil)
			s.end()
			unwatch()
		}()
		for v := range in {
			if s.tail-s.head == len(s.slots) && !s.await(yield) {
				return
			}
			s.put(v)
			if !s.pass(yield) {
				return
			}
		}
		for s.head < s.tail {
			if !s.await(yield) {
				return
			}
		}
	}
}

// A stream is a ring of elements: from head on those that have not been yielded, from next on
// those that nobody has begun. Its runners are workers of the pool for as long as there are such.
type stream[T, R any] struct {
	p      *Pool
	caller context.Context
	ctx    context.Context // of the calls: ends with the caller's, by break, and at the cut
	f      func(ctx context.Context, v T) (R, error)
	inside *worker // whose task iterates; it runs elements itself while it waits
	slots  []element[T, R]
	head   int // the consumer's alone
	told   chan struct{}

	mu         sync.Mutex // before Pool.mu, if both
	next, tail int
	running    int // calls that have not ended
	awaited    int // the element that the consumer waits for, counted from 1; 0: it does not
	over       bool
	refused    error       // why the pool takes no more; what comes from now on gets it
	runners    int         // that have been handed to the pool
	coming     *streamer   // the one of them that has not begun: never more, for it calls the next one
	spare      []*streamer // to be used again
}

// An element of a stream, and what became of it.
type element[T, R any] struct {
	in   T
	out  R
	err  error
	done bool
}

// A streamer is one runner, and the context of its calls. It is used again within its stream only, so
// who keeps it sees no other user's values.
type streamer struct {
	context.Context // the stream's
	p               *Pool
	w               atomic.Pointer[worker] // nil: it does not run
	run             func(r *streamer, w *worker)
	refuse          func()
	f               any
	state           atomic.Uint32
	inQueue, buried bool // guarded by Pool.mu
}

// Value makes its calls known as tasks of the worker that it has.
func (r *streamer) Value(key any) any {
	if key == any(r.p) {
		if w := r.w.Load(); w != nil {
			return w
		}
	}
	return r.Context.Value(key)
}

func (r *streamer) leaveQueue() (alive bool) { r.inQueue = false; return !r.buried }
func (r *streamer) enterQueue()              { r.inQueue = true }
func (r *streamer) claim() bool              { return r.state.CompareAndSwap(waiting, claimed) }
func (r *streamer) abandon()                 { r.refuse() }
func (r *streamer) function() any            { return r.f }

func (r *streamer) execute(w *worker, own bool) {
	if !r.claim() {
		return
	}
	r.w.Store(w)
	returned := false
	defer func() {
		r.w.Store(nil)
		if returned {
			w.finish(&w.ok, r.f, false, own)
		} else {
			w.finish(&w.panicked, r.f, true, own)
		}
	}()
	r.run(r, w)
	returned = true
}

// put hands v to the runners, and calls one if none is on its way.
func (s *stream[T, R]) put(v T) {
	e := &s.slots[s.tail%len(s.slots)]
	s.mu.Lock()
	s.tail++
	switch {
	case s.ctx.Err() != nil:
		e.err, e.done = s.ended(), true
	case s.refused != nil:
		e.err, e.done = s.refused, true
	default:
		e.in = v
	}
	if e.done {
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	s.call(s.inside == nil)
}

// ended is why the context of the calls has.
func (s *stream[T, R]) ended() error {
	if s.caller.Err() != nil {
		return context.Cause(s.caller)
	}
	return ErrClosed
}

// call hands one more runner to the pool if there is something to do and none is on its way. The
// first one waits for room if wait; the others are welcome where there is some.
func (s *stream[T, R]) call(wait bool) {
	s.mu.Lock()
	if s.next == s.tail || s.coming != nil || s.runners == s.p.cfg.Workers || s.over {
		s.mu.Unlock()
		return
	}
	r := s.runner()
	s.coming = r
	s.runners++
	wait = wait && s.runners == 1
	s.mu.Unlock()
	// A worker may come before add returns.
	err := s.p.add(s.ctx, entry{c: r}, wait)
	if err == nil {
		return
	}
	s.mu.Lock()
	r.inQueue = false
	s.coming = nil
	s.runners--
	switch {
	case s.runners > 0 || s.inside != nil: // somebody works
	case !wait:
		s.wake() // so the consumer calls, who may wait
	default:
		if errors.Is(err, ErrClosed) {
			s.refused = err
		} else if s.caller.Err() != nil {
			err = errors.Join(ErrFull, context.Cause(s.caller))
		}
		s.drop(err)
	}
	s.mu.Unlock()
}

// runner is a new one, or one that has ended. s.mu is held.
func (s *stream[T, R]) runner() *streamer {
	if n := len(s.spare); n > 0 {
		r := s.spare[n-1]
		s.spare = s.spare[:n-1]
		r.state.Store(waiting)
		r.inQueue = true
		return r
	}
	return &streamer{Context: s.ctx, p: s.p, run: s.runs, refuse: s.closed, f: s.f, inQueue: true}
}

// drop ends what nobody has begun. s.mu is held.
func (s *stream[T, R]) drop(err error) {
	var zero T
	for ; s.next < s.tail; s.next++ {
		if e := &s.slots[s.next%len(s.slots)]; !e.done {
			e.in, e.err, e.done = zero, err, true
		}
	}
	s.tell()
}

// closed is for the cut: the runner that was called will not come.
func (s *stream[T, R]) closed() {
	s.mu.Lock()
	s.coming = nil
	s.runners--
	s.refused = ErrClosed
	s.drop(ErrClosed)
	s.mu.Unlock()
}

// tell wakes the consumer if what it waits for is there. s.mu is held.
func (s *stream[T, R]) tell() {
	if s.awaited > 0 && s.slots[(s.awaited-1)%len(s.slots)].done || s.over && s.running == 0 {
		s.wake()
	}
}

func (s *stream[T, R]) wake() {
	s.awaited = 0
	select {
	case s.told <- struct{}{}:
	default:
	}
}

// begin takes the next element.
func (s *stream[T, R]) begin() (e *element[T, R], ok bool) {
	for s.next < s.tail && s.slots[s.next%len(s.slots)].done { // refused when it came
		s.next++
	}
	if s.next == s.tail || s.over {
		return nil, false
	}
	e = &s.slots[s.next%len(s.slots)]
	s.next++
	s.running++
	return e, true
}

// runs is the loop of a runner. After each element it goes to the end of the queue if others wait.
func (s *stream[T, R]) runs(r *streamer, w *worker) {
	var current *element[T, R]
	returned := false
	defer func() {
		s.mu.Lock()
		if !returned && current != nil { // by Goexit
			s.settle(current, *new(R), &PanicError{nil, debug.Stack()})
		}
		s.runners--
		s.spare = append(s.spare, r)
		s.mu.Unlock()
		s.call(false) // somebody goes on after Goexit, or with what came at this moment
	}()
	s.mu.Lock()
	s.coming = nil
	for {
		e, ok := s.begin()
		more := ok && s.next < s.tail && s.coming == nil
		s.mu.Unlock()
		current = e
		if !ok {
			break
		}
		if more {
			s.call(false)
		}
		out, err := s.one(r, w, e, true)
		crowded, closing := s.p.pressure()
		s.mu.Lock()
		s.settle(e, out, err)
		current = nil
		if closing && s.inside == nil {
			s.refused = ErrClosed // who iterates stands outside, and might never end
		}
		if crowded && s.next < s.tail {
			s.mu.Unlock()
			s.call(false)
			s.mu.Lock()
			if s.coming != nil {
				s.mu.Unlock()
				break
			}
		}
	}
	returned = true
}

// settle notes what became of e. s.mu is held.
func (s *stream[T, R]) settle(e *element[T, R], out R, err error) {
	e.out, e.err, e.done = out, err, true
	s.running--
	s.tell()
}

// one calls f for e; a panic is an error.
func (s *stream[T, R]) one(ctx context.Context, w *worker, e *element[T, R], own bool) (out R, err error) {
	if s.ctx.Err() != nil {
		return out, s.ended()
	}
	v := e.in
	var zero T
	e.in = zero
	if s.p.cfg.TaskTimeout > 0 { // it is that of a call, not of the runner
		a := &attached{caller: s.ctx, joined: true}
		began := time.Now()
		a.begin(w, began)
		defer a.end()
		if own {
			w.mu.Lock()
			w.started, w.reported = began, false
			w.mu.Unlock()
		}
		ctx = a
	}
	defer func() {
		if value := recover(); value != nil {
			err = &PanicError{value, debug.Stack()}
		}
	}()
	return s.f(ctx, v)
}

// pass yields the elements from head on that have their results.
func (s *stream[T, R]) pass(yield func(R, error) bool) bool {
	s.mu.Lock()
	known := s.head
	for known < s.tail && s.slots[known%len(s.slots)].done {
		known++
	}
	s.mu.Unlock()
	for s.head < known {
		e := &s.slots[s.head%len(s.slots)]
		out, err := e.out, e.err
		*e = element[T, R]{}
		s.head++
		if !yield(out, err) {
			return false
		}
	}
	return true
}

// await yields the oldest element when its result is there, and those after it that have theirs.
// In a task of the pool it works meanwhile.
func (s *stream[T, R]) await(yield func(R, error) bool) bool {
	e := &s.slots[s.head%len(s.slots)]
	ended := s.ctx.Done()
	for {
		s.mu.Lock()
		if e.done {
			s.mu.Unlock()
			return s.pass(yield)
		}
		if s.ctx.Err() != nil {
			s.drop(s.ended())
			ended = nil // what runs will end
			if e.done {
				s.mu.Unlock()
				return s.pass(yield)
			}
		}
		if s.inside != nil {
			if mine, ok := s.begin(); ok {
				s.mu.Unlock()
				s.help(mine)
				continue
			}
		}
		if s.inside == nil && s.runners == 0 {
			s.mu.Unlock()
			s.call(true)
			continue
		}
		s.awaited = s.head + 1
		s.mu.Unlock()
		select {
		case <-s.told:
		case <-ended:
		}
	}
}

// help runs an element in the slot that the consumer's task has. Goexit ends the consumer, like any
// call.
func (s *stream[T, R]) help(e *element[T, R]) {
	var out R
	var err error = &PanicError{}
	defer func() {
		s.mu.Lock()
		s.settle(e, out, err)
		s.mu.Unlock()
	}()
	out, err = s.one(s.ctx, s.inside, e, false)
}

// end returns when the calls that were started have ended. A runner that waits in the queue leaves it.
func (s *stream[T, R]) end() {
	s.mu.Lock()
	s.over = true
	s.next = s.tail
	if r := s.coming; r != nil && r.claim() {
		s.coming = nil
		s.mu.Unlock()
		s.p.bury(&r.inQueue, &r.buried, true)
		s.mu.Lock()
	}
	for s.running > 0 {
		s.mu.Unlock()
		<-s.told
		s.mu.Lock()
	}
	s.mu.Unlock()
}
