package pool

import (
	"context"
	"errors"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// Map calls f for every element of in and returns the results in order. The first error, by
// index among those known, cancels the rest and is returned, with the results made until then,
// when every call that was started has ended. After each element a runner goes to the end of
// the queue if others wait: a Map of a million holds nobody up. In a task of p it uses that
// task's slot too, so one worker is enough.
func Map[T, R any](ctx context.Context, p *Pool, in []T, f func(ctx context.Context, v T) (R, error)) ([]R, error) {
	if err := check(ctx, f == nil); err != nil {
		return nil, err
	}
	out := make([]R, len(in))
	if len(in) == 0 || ctx.Err() != nil {
		return out, context.Cause(ctx)
	}
	mctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	m := &mapping{cancel: cancel, n: int64(len(in)), done: make(chan struct{}), failedAt: len(in)}
	call := func(ctx context.Context, i int) {
		returned := false
		var err error
		defer func() {
			if !returned {
				err = &PanicError{recover(), debug.Stack()}
			}
			if err != nil {
				m.fail(i, err)
			}
		}()
		out[i], err = f(ctx, in[i])
		returned = true
	}
	var runner func(ctx context.Context) (struct{}, error)
	runner = func(ctx context.Context) (struct{}, error) {
		m.active.Add(1)
		defer m.leave()
		for {
			i, ok := m.next()
			if !ok {
				return struct{}{}, nil
			}
			call(ctx, i)
			if p.crowded() {
				if t := submit(mctx, p, runner, false); t.refused() == nil {
					return struct{}{}, nil
				}
			}
		}
	}

	inside := workerOf(ctx, p)
	helpers := min(p.cfg.Workers, len(in))
	if inside != nil {
		helpers--
	}
	for i := range helpers {
		// The first one from outside waits for room; the others are welcome where there is some.
		t := submit(mctx, p, runner, inside == nil && i == 0)
		if err := t.refused(); err != nil {
			if inside == nil && i == 0 {
				return out, err
			}
			break
		}
	}
	if inside != nil {
		m.active.Add(1)
		func() {
			defer m.leave()
			for i, ok := m.next(); ok; i, ok = m.next() {
				if mctx.Err() != nil || p.cutted.Load() {
					m.stopped.Store(true)
				}
				call(mctx, i)
			}
		}()
	}
	select {
	case <-m.done:
	case <-mctx.Done():
		m.stop()
		<-m.done
	case <-p.base.Done(): // at the cut: runners that wait will not come
		m.stop()
		<-m.done
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.err != nil:
		return out, m.err
	case m.claims.Load() >= m.n && !m.skipped.Load():
		return out, nil
	case ctx.Err() != nil:
		return out, context.Cause(ctx)
	}
	return out, ErrClosed
}

// mapping is the state of one Map.
type mapping struct {
	n              int64
	claims, active atomic.Int64
	stopped        atomic.Bool
	skipped        atomic.Bool // an element was not called
	once           sync.Once
	done           chan struct{} // nothing will be called any more
	cancel         context.CancelCauseFunc
	mu             sync.Mutex
	err            error
	failedAt       int
}

func (m *mapping) next() (int, bool) {
	if m.stopped.Load() {
		m.skipped.Store(m.skipped.Load() || m.claims.Load() < m.n)
		return 0, false
	}
	i := m.claims.Add(1) - 1
	return int(i), i < m.n
}

func (m *mapping) leave() {
	if m.active.Add(-1) == 0 && (m.stopped.Load() || m.claims.Load() >= m.n) {
		m.once.Do(func() { close(m.done) })
	}
}

func (m *mapping) stop() {
	m.active.Add(1)
	m.stopped.Store(true)
	m.skipped.Store(m.skipped.Load() || m.claims.Load() < m.n)
	m.leave()
}

func (m *mapping) fail(i int, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopped.Load() && errors.Is(err, context.Canceled) && m.err != nil {
		return // an echo of our own cancelling
	}
	if i < m.failedAt {
		m.failedAt, m.err = i, err
	}
	m.stopped.Store(true)
	m.cancel(err)
}

// refused returns why a future was not accepted.
func (t *Future[T]) refused() error {
	if t.state.Load() != settled || !errors.Is(t.err, ErrFull) && !errors.Is(t.err, ErrClosed) {
		return nil
	}
	return t.err
}

// crowded reports whether tasks wait while every worker is busy.
func (p *Pool) crowded() bool {
	crowded, _ := p.pressure(nil, nil)
	return crowded
}

// pressure also reports whether Close was called and who is in w's task, or in that request, may
// not go on.
func (p *Pool) pressure(w *worker, s *scope) (crowded, shut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.living() > 0 && p.busy >= p.cfg.Workers, p.closing && !p.mayStill(w, s)
}
