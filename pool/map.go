package pool

import (
	"context"
	"errors"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
)

// Map calls f for every element of in and returns the results in order. The first error, by
// index among those known, cancels the rest and is returned, with the results made until then,
// when every call that was started has ended; that of a call that returns the end of its context comes
// with the cause, such as ErrClosed at the cut of Close. After each element a runner goes to the end of
// the queue if others wait: a Map of a million holds nobody up. In a task of p it uses that
// task's slot too, so one worker is enough. In Stats, and in what Close names, a Map is the workers
// that it has, as a [Stream].
func Map[T, R any](ctx context.Context, p *Pool, in []T, f func(ctx context.Context, v T) (R, error)) ([]R, error) {
	if err := check(ctx, f == nil); err != nil {
		return nil, err
	}
	out := make([]R, len(in))
	if len(in) == 0 || ctx.Err() != nil {
		return out, context.Cause(ctx)
	}
	inside := workerOf(ctx, p)
	m := &mapping[T, R]{asker: asker{p: p, inside: inside, request: scopeOf(ctx, p)}, f: f, in: in, out: out, done: make(chan struct{}), failedAt: len(in)}
	m.ctx, m.cancel = context.WithCancelCause(ctx)
	unwatch := context.AfterFunc(p.base, func() { m.cancel(ErrClosed) })
	unhalt := context.AfterFunc(m.ctx, m.halt) // by the end of ctx, an error, or the cut
	defer func() {
		unwatch()
		unhalt()
		m.cancel(nil)
		m.halt() // after Goexit in its own slot there may be something to end
		m.await()
		m.withdraw() // those that came too late
	}()

	first := waits
	m.wanted = min(p.cfg.Workers, len(in))
	if inside != nil {
		first = offers
		m.wanted-- // its task works itself
	}
	called, err := m.call(m.ctx, first)
	if err != nil && inside == nil {
		return out, err
	}
	for called && p.pressed.Load() { // none will begin soon, and call the next one
		called, _ = m.call(m.ctx, offers)
	}
	if inside != nil {
		m.active.Add(1)
		func() {
			defer m.rest()
			m.work(m.ctx, inside, false)
		}()
	}
	m.await()
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.err != nil:
		return out, m.err
	case !m.lost.Load():
		return out, nil
	case ctx.Err() != nil:
		return out, context.Cause(ctx)
	}
	return out, ErrClosed
}

// mapping is the state of one Map.
type mapping[T, R any] struct {
	asker
	ctx    context.Context // of the calls: ends with the caller's, by an error, and at the cut
	cancel context.CancelCauseFunc
	f      func(ctx context.Context, v T) (R, error)
	in     []T
	out    []R
	done   chan struct{} // nothing will be called any more

	_      [64]byte     // what is above is read by all
	claims atomic.Int64 // elements that have been taken
	active atomic.Int64 // who takes them
	lost   atomic.Bool  // an element was not called, or failed after the cut
	once   sync.Once

	mu       sync.Mutex
	runners  []*runner // that the pool has got
	wanted   int       // so many more
	err      error
	failedAt int
}

// await returns when nothing will be called any more.
func (m *mapping[T, R]) await() {
	m.waits.Store(true)
	m.tellClose()
	<-m.done
}

// call hands one more runner to the pool, if one is wanted. called: it has a place.
func (m *mapping[T, R]) call(ctx context.Context, how asking) (called bool, err error) {
	m.mu.Lock()
	if m.wanted == 0 || m.claims.Load() >= int64(len(m.in)) {
		m.mu.Unlock()
		return false, nil
	}
	m.wanted--
	m.mu.Unlock()
	r := newRunner(m.ctx, m.p, m)
	err = m.p.add(ctx, entry{c: r}, how)
	m.mu.Lock()
	if err == nil {
		m.runners = append(m.runners, r)
	} else {
		m.wanted++
	}
	m.mu.Unlock()
	return err == nil && r.offered.Load() == nil, err
}

func (m *mapping[T, R]) function() any { return m.f }

func (m *mapping[T, R]) unfinished() bool {
	return m.lost.Load() || m.claims.Load() < int64(len(m.in))
}

// abandon has nothing to do: the cut ends the context of the calls, and Map with it.
func (m *mapping[T, R]) abandon(*runner) {}

func (m *mapping[T, R]) run(r *runner, w *worker) (panicked bool) {
	m.active.Add(1)
	_, _ = m.call(r, offers) // workers come one by one, each when the one before has begun
	return m.work(r, w, true)
}

// leave has r go to the end of the queue if there is something left, as others waited.
func (m *mapping[T, R]) leave(r *runner) {
	r.state.Store(settled)
	if m.claims.Load() < int64(len(m.in)) {
		m.p.putBack(entry{c: r})
	}
	m.rest()
}

// work calls f for one element after another. own: as w's own task, which is for as long as nobody
// else waits for w. A panic is an error, and so is Goexit.
func (m *mapping[T, R]) work(ctx context.Context, w *worker, own bool) (panicked bool) {
	in, out, f, timed := m.in, m.out, m.f, m.p.cfg.TaskTimeout > 0
	i, returned := 0, false
	defer func() {
		if !returned {
			panicked = true
			m.fail(i, &PanicError{recover(), debug.Stack()})
		}
	}()
	for {
		if m.p.cutted.Load() {
			m.stop()
		}
		if i = m.next(); i >= len(in) {
			break
		}
		if i%16 == 15 && m.ctx.Err() != nil { // who is told of its end may wait for the processor
			m.stop()
		}
		var err error
		if timed {
			out[i], err = m.limited(w, in[i], own)
		} else {
			out[i], err = f(ctx, in[i])
		}
		if err != nil {
			m.fail(i, because(ctx, err))
		}
		if own {
			if letGo, _ := m.p.pressure(nil, nil); letGo {
				break
			}
		}
	}
	returned = true
	return false
}

// limited calls f within TaskTimeout.
func (m *mapping[T, R]) limited(w *worker, v T, own bool) (R, error) {
	a := w.beginCall(m.ctx, own)
	defer a.end()
	out, err := m.f(a, v)
	return out, because(a, err)
}

// next takes an element, which is none if there are no more.
func (m *mapping[T, R]) next() int { return int(m.claims.Add(1) - 1) }

// stop has nobody take any more elements.
func (m *mapping[T, R]) stop() {
	if n := int64(len(m.in)); m.claims.Swap(n) < n {
		m.lost.Store(true)
	}
}

// halt has nothing begin any more. The places of runners that wait are free at once.
func (m *mapping[T, R]) halt() {
	m.active.Add(1)
	m.stop()
	m.rest() // if nobody else is there to end it
	m.withdraw()
}

// rest is for who takes no more elements. The last one ends the Map, if there are none.
func (m *mapping[T, R]) rest() {
	if m.active.Add(-1) == 0 && m.claims.Load() >= int64(len(m.in)) {
		m.once.Do(func() { close(m.done) })
	}
}

// withdraw takes the runners that wait out of the queue. The offer first, or it would get the place
// of another.
func (m *mapping[T, R]) withdraw() {
	m.mu.Lock()
	all := m.runners
	m.mu.Unlock()
	for _, r := range slices.Backward(all) {
		r.withdraw(m.unfinished())
	}
}

func (m *mapping[T, R]) fail(i int, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.p.cutted.Load() {
		m.lost.Store(true)
	}
	if _, panicked := err.(*PanicError); m.err != nil && !panicked && errors.Is(err, context.Canceled) {
		return // an echo of our own cancelling
	}
	if i < m.failedAt {
		m.failedAt, m.err = i, err
	}
	m.stop()
	m.cancel(err)
}

// crowded reports whether tasks wait while every worker is busy: in the queue, before it, or in a
// batch. p.mu is held.
func (p *Pool) crowded() bool {
	return p.busy >= p.cfg.Workers && (p.living() > 0 || p.blocked > 0 || p.batched > 0 && p.anyRest())
}

// anyRest reports whether a task of a batch has not begun. p.mu is held.
func (p *Pool) anyRest() bool {
	for _, w := range p.all {
		if w.hasRest() {
			return true
		}
	}
	return false
}

// pressure tells who makes one call after another to let go of the worker, as tasks wait for it or the
// cut has come, and shut if Close was called and who is in w's task, or in that request, may not go
// on. It is asked after each call, and the lock would cost more than a short one: hence the flag.
func (p *Pool) pressure(w *worker, s *scope) (letGo, shut bool) {
	if !p.pressed.Load() {
		return false, false
	}
	return p.underPressure(w, s)
}

func (p *Pool) underPressure(w *worker, s *scope) (letGo, shut bool) {
	p.mu.Lock()
	defer p.unlock()
	return p.crowded() || p.cutted.Load(), p.closing && !p.mayStill(w, s)
}
