package pool

import (
	"context"
	"sync/atomic"
)

// A runner is one worker's part in a stream, and the context of its calls. It is used again within
// its stream only, so who keeps it sees no other user's values.
type runner[T, R any] struct {
	context.Context // the stream's
	p               *Pool
	s               atomic.Pointer[stream[T, R]]
	w               atomic.Pointer[worker] // nil: it does not run
	state           atomic.Uint32          // settled: at rest; waiting: in the queue; claimed: it runs, or never will
	inQueue, buried bool                   // guarded by Pool.mu
}

// Value makes its calls known as tasks of the worker that it has.
func (r *runner[T, R]) Value(key any) any {
	if key == any(r.p) {
		if w := r.w.Load(); w != nil {
			return w
		}
	}
	return r.Context.Value(key)
}

func (r *runner[T, R]) leaveQueue() (alive bool) { r.inQueue = false; return !r.buried }
func (r *runner[T, R]) claim() bool              { return r.state.CompareAndSwap(waiting, claimed) }

// enterQueue makes it one to be claimed: not before it is in the queue, or it could be buried there
// without ever having come.
func (r *runner[T, R]) enterQueue() {
	r.inQueue = true
	r.state.CompareAndSwap(settled, waiting)
}

func (r *runner[T, R]) function() any {
	if s := r.s.Load(); s != nil {
		return s.f
	}
	return nil
}

// abandon is for the cut.
func (r *runner[T, R]) abandon() {
	s := r.s.Load()
	s.mu.Lock()
	s.coming--
	s.left(r, ErrClosed)
	s.mu.Unlock()
}

func (r *runner[T, R]) execute(w *worker, own bool) {
	if !r.claim() {
		return
	}
	s := r.s.Load()
	r.w.Store(w)
	n := &w.panicked
	defer func() {
		r.w.Store(nil)
		w.finish(n, s.f, n == &w.panicked, own)
		r.leave(s) // the last: another worker may have it at once
	}()
	r.run(s, w)
	n = &w.ok
}

// run runs elements for as long as there are some and nobody else waits for the worker.
func (r *runner[T, R]) run(s *stream[T, R], w *worker) {
	s.mu.Lock()
	s.coming--
	for {
		i, v, ok := s.begin()
		wanted := s.wanted()
		s.mu.Unlock()
		if !ok {
			return
		}
		if wanted {
			s.call()
		}
		s.one(r, w, i, v, true)
		crowded, shut := s.p.pressure(s.inside, s.request)
		s.mu.Lock()
		if shut {
			s.refused = ErrClosed // who iterates might never end
		}
		if crowded {
			s.mu.Unlock()
			return
		}
	}
}

// leave goes to the end of the queue if there is something left: others waited, Goexit, or it came
// at this moment.
func (r *runner[T, R]) leave(s *stream[T, R]) {
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
