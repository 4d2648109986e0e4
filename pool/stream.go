package pool

import (
	"context"
	"errors"
	"iter"
	"runtime/debug"
	"sync"
)

// Stream is Map for a sequence: lazy input, results in order, at most 2 x Workers elements ahead.
// An error is yielded in its place and ends nothing; break cancels the context of what runs, and
// returns when the calls that were started have ended.
//
// A worker runs elements until there are none, or until others wait for it. So in Stats, and in what
// Close names, a stream is the workers that it has, whatever became of its elements, unless the cut
// leaves some of them undone; a worker in which one panicked counts as panicked.
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
		s := &stream[T, R]{asker: asker{p: p, inside: workerOf(ctx, p), request: scopeOf(ctx, p)}, caller: ctx, f: f, told: make(chan struct{}, 1)}
		s.slots = make([]element[T, R], min(2*p.cfg.Workers, smallestRing))
		var cancel context.CancelCauseFunc
		s.ctx, cancel = context.WithCancelCause(ctx)
		unwatch := context.AfterFunc(p.base, func() { cancel(ErrClosed) })
		defer func() {
			cancel(nil)
			s.end()
			unwatch()
		}()
		for v := range in {
			for s.full() {
				if !s.await(yield) {
					return
				}
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
// those that nobody has begun. Workers of the pool run them, each for as long as there are some.
// Outside of the pool's tasks there is a runner whenever there is something to begin: put calls
// one, or refuses what it put, and a runner that ends leaves nothing behind.
type stream[T, R any] struct {
	asker  // who iterates; in a task it runs elements itself while it waits
	caller context.Context
	ctx    context.Context // of the calls: ends with the caller's, by break, and at the cut
	f      func(ctx context.Context, v T) (R, error)
	head   int // the consumer's alone
	told   chan struct{}

	mu         sync.Mutex      // never held together with Pool.mu
	slots      []element[T, R] // grows up to 2 x Workers
	next, tail int
	awaited    int   // the element that the consumer waits for, counted from 1; 0: it does not
	refused    error // why the pool takes no more; what comes from now on gets it
	over       bool
	undone     bool      // something had not begun then
	lost       bool      // one was not called, or failed, for the cut had come
	runners    int       // that the pool has, or is about to get
	coming     int       // those of them that have not begun
	all, spare []*runner // spare: to be used again
}

// An element of a stream, and what became of it.
type element[T, R any] struct {
	in   T
	out  R
	err  error
	done bool
}

// full: the next element has to wait until the oldest is yielded. Of a pool that is being closed
// the elements that came before run, and those after them are refused.
func (s *stream[T, R]) full() bool {
	ahead := s.tail - s.head
	if ahead == 0 || ahead == 2*s.p.cfg.Workers {
		return ahead > 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused != nil
}

// put hands v to the runners, and calls one if none is on its way.
func (s *stream[T, R]) put(v T) {
	var err error
	if s.ctx.Err() != nil {
		err = s.ended()
	}
	s.mu.Lock()
	if n := len(s.slots); s.tail-s.head == n {
		slots := make([]element[T, R], min(2*n, 2*s.p.cfg.Workers))
		for i := s.head; i < s.tail; i++ {
			slots[i%len(slots)] = s.slots[i%n]
		}
		s.slots = slots
	}
	s.at(s.tail).in = v
	s.tail++
	if err == nil {
		err = s.refused
	}
	if err != nil {
		s.drop(err)
	}
	wanted := s.wanted()
	s.mu.Unlock()
	if wanted {
		s.call()
	}
}

func (s *stream[T, R]) at(i int) *element[T, R] { return &s.slots[i%len(s.slots)] }

// ended is why the context of the calls has.
func (s *stream[T, R]) ended() error {
	if s.caller.Err() != nil {
		return context.Cause(s.caller)
	}
	return ErrClosed
}

// wanted: there is something to do for one more runner, and none is on its way. s.mu is held.
func (s *stream[T, R]) wanted() bool {
	return s.next < s.tail && s.coming == 0 && s.runners < s.p.cfg.Workers
}

// call hands one more runner to the pool. The first one waits for room; so do the others, which the
// consumer and runners that begin call, but nobody waits for them.
func (s *stream[T, R]) call() {
	s.mu.Lock()
	if !s.wanted() {
		s.mu.Unlock()
		return
	}
	var r *runner
	if n := len(s.spare); n > 0 {
		r, s.spare = s.spare[n-1], s.spare[:n-1]
	} else {
		r = newRunner(s.ctx, s.p, s)
		s.all = append(s.all, r)
	}
	s.coming++
	s.runners++
	how := offers
	if s.inside == nil && s.runners == 1 {
		how = waits
	}
	s.mu.Unlock()
	if err := s.p.add(s.ctx, entry{c: r}, how); err != nil {
		s.mu.Lock()
		if errors.Is(err, ErrClosed) {
			s.refused = err
		}
		s.coming--
		s.left(r, err)
		s.mu.Unlock()
		return
	}
	s.came(r)
}

// came takes r back if the stream ended while it was on its way into the queue.
func (s *stream[T, R]) came(r *runner) {
	s.mu.Lock()
	over := s.over
	s.mu.Unlock()
	if over {
		s.withdraw(r)
	}
}

// withdraw takes r out of the queue, if it is there.
func (s *stream[T, R]) withdraw(r *runner) {
	if !r.withdraw(s.undone) {
		return
	}
	s.mu.Lock()
	s.coming--
	s.left(r, nil)
	s.mu.Unlock()
}

// left is for a runner that the pool has no more, nor will have: err says why if others will not
// be had either. s.mu is held.
func (s *stream[T, R]) left(r *runner, err error) {
	s.runners--
	s.spare = append(s.spare, r)
	if s.runners == 0 {
		s.drop(err)
		s.wake()
	}
}

// drop ends what nobody has begun. s.mu is held.
func (s *stream[T, R]) drop(err error) {
	for ; s.next < s.tail; s.next++ {
		e := s.at(s.next)
		e.err, e.done = err, true
		s.lost = s.lost || s.p.cutted.Load()
	}
	s.tell()
}

// tell wakes the consumer if what it waits for is there. s.mu is held.
func (s *stream[T, R]) tell() {
	if s.awaited > 0 && s.at(s.awaited-1).done {
		s.wake()
	}
}

// wake has the consumer look again. It does not wait from this moment on: Close must not take it
// for idle until it does again.
func (s *stream[T, R]) wake() {
	s.awaited = 0
	s.waits.Store(false)
	select {
	case s.told <- struct{}{}:
	default:
	}
}

// begin takes the next element. s.mu is held.
func (s *stream[T, R]) begin() (i int, v T, ok bool) {
	if s.next == s.tail {
		return 0, v, false
	}
	i = s.next
	s.next++
	e := s.at(i)
	v, e.in = e.in, v
	return i, v, true
}

// one calls f for an element. A panic is an error, and so is Goexit.
func (s *stream[T, R]) one(ctx context.Context, w *worker, i int, v T, own bool) (panicked bool) {
	var out R
	var err error
	returned := false
	defer func() {
		if !returned {
			panicked = true
			err = &PanicError{recover(), debug.Stack()}
		}
		s.mu.Lock()
		e := s.at(i)
		e.out, e.err, e.done = out, err, true
		s.lost = s.lost || err != nil && s.p.cutted.Load()
		s.tell()
		s.mu.Unlock()
	}()
	switch {
	case s.ctx.Err() != nil || s.p.cutted.Load():
		err = s.ended()
	case s.p.cfg.TaskTimeout > 0:
		a := w.beginCall(s.ctx, own)
		defer a.end()
		out, err = s.f(a, v)
		err = because(a, err)
	default:
		if out, err = s.f(ctx, v); err != nil {
			err = because(ctx, err)
		}
	}
	returned = true
	return false
}

// pass yields the elements from head on that have their results.
func (s *stream[T, R]) pass(yield func(R, error) bool) bool {
	s.mu.Lock()
	known := s.head
	for known < s.tail && s.at(known).done {
		known++
	}
	s.mu.Unlock()
	for s.head < known {
		e := s.at(s.head)
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
// In a task of the pool it works meanwhile; Goexit in f ends the consumer then, like any call.
func (s *stream[T, R]) await(yield func(R, error) bool) bool {
	ended := s.ctx.Done()
	for {
		var why error
		if ended != nil && s.ctx.Err() != nil {
			why, ended = s.ended(), nil // what runs will end
		}
		s.mu.Lock()
		if why != nil {
			s.drop(why)
		}
		if s.at(s.head).done {
			s.mu.Unlock()
			return s.pass(yield)
		}
		if s.inside != nil {
			if i, v, ok := s.begin(); ok {
				s.mu.Unlock()
				s.one(s.ctx, s.inside, i, v, false)
				continue
			}
		}
		s.awaited = s.head + 1
		s.waits.Store(true)
		s.mu.Unlock()
		s.tellClose()
		select {
		case <-s.told:
		case <-ended:
			s.waits.Store(false)
		}
	}
}

func (s *stream[T, R]) function() any { return s.f }

func (s *stream[T, R]) unfinished() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lost || s.next < s.tail
}

// abandon is for the cut.
func (s *stream[T, R]) abandon(r *runner) {
	s.mu.Lock()
	s.coming--
	s.left(r, ErrClosed)
	s.mu.Unlock()
}

// run runs elements for as long as there are some and nobody else waits for the worker.
func (s *stream[T, R]) run(r *runner, w *worker) (panicked bool) {
	s.mu.Lock()
	s.coming--
	for {
		i, v, ok := s.begin()
		wanted := s.wanted()
		s.mu.Unlock()
		if !ok {
			return panicked
		}
		if wanted {
			s.call()
		}
		panicked = s.one(r, w, i, v, true) || panicked
		letGo, shut := s.p.pressure(s.inside, s.request)
		s.mu.Lock()
		if shut {
			s.refused = ErrClosed // who iterates might never end
		}
		if letGo {
			s.mu.Unlock()
			return panicked
		}
	}
}

// leave has r go to the end of the queue if there is something left: others waited, Goexit, or it
// came at this moment.
func (s *stream[T, R]) leave(r *runner) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.state.Store(settled)
	if s.next < s.tail {
		s.coming++
		s.mu.Unlock()
		back := s.p.putBack(entry{c: r})
		if back {
			s.came(r)
		}
		s.mu.Lock()
		if back {
			return
		}
		s.coming--
	}
	s.left(r, ErrClosed)
}

// end returns when the calls that were started have ended. Runners that wait leave the queue.
func (s *stream[T, R]) end() {
	s.mu.Lock()
	s.over, s.undone = true, s.next < s.tail
	s.next = s.tail
	all := s.all
	s.mu.Unlock()
	for _, r := range all {
		s.withdraw(r)
	}
	s.mu.Lock()
	for s.runners > 0 {
		s.waits.Store(true)
		s.mu.Unlock()
		s.tellClose()
		<-s.told
		s.mu.Lock()
	}
	s.mu.Unlock()
}
