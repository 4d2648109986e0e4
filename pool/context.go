package pool

import (
	"context"
	"sync"
	"time"
)

// detached is the context of a task of Go: the values of the caller, the end of the pool. It is
// never reused: who kept it would see another user's values.
type detached struct {
	*worker
	caller context.Context
	task   uint64 // its number, counted from 1
}

// Value asks the pool's context first, so that context.Cause and derived contexts find that one
// and not the caller's.
func (c *detached) Value(key any) any {
	if key == any(c.p) {
		return c.during(c.task)
	}
	if v := c.worker.Value(key); v != nil {
		return v
	}
	return c.caller.Value(key)
}

// attached is the context of a task that can end by itself: by TaskTimeout, and for Submit with
// the caller's. What that needs is made when somebody asks for Done; most tasks do not.
type attached struct {
	caller context.Context
	w      *worker
	ends   time.Duration // since its pool was made; 0: it has no deadline of its own

	mu     sync.Mutex // also its Future's
	made   *made
	over   bool
	joined bool // ends with the caller's, too
}

// made is the context that somebody asked for.
type made struct {
	context.Context
	cancel context.CancelFunc
}

func (a *attached) deadline() (at time.Time, ok bool) { return a.w.p.born.Add(a.ends), a.ends > 0 }

func (a *attached) begin(w *worker, started time.Time) {
	a.w = w
	if d := w.p.cfg.TaskTimeout; d > 0 {
		a.ends = started.Add(d).Sub(w.p.born)
	}
}

// end lets go of what was made: the task has returned.
func (a *attached) end() {
	a.mu.Lock()
	made := a.made
	a.over = true
	a.mu.Unlock()
	if made != nil {
		made.cancel()
	}
}

func (a *attached) real() context.Context {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.made != nil {
		return a.made.Context
	}
	ctx := a.caller
	if !a.joined {
		ctx = context.WithoutCancel(ctx)
	}
	inner, cancelCause := context.WithCancelCause(ctx)
	stop := context.AfterFunc(a.w.p.base, func() { cancelCause(context.Cause(a.w.p.base)) })
	if a.w.p.base.Err() != nil {
		cancelCause(context.Cause(a.w.p.base))
	}
	free := func() { stop(); cancelCause(nil) }
	if at, ok := a.deadline(); ok {
		var cancel context.CancelFunc
		inner, cancel = context.WithDeadline(inner, at)
		before := free
		free = func() { cancel(); before() }
	}
	a.made = &made{inner, free}
	if a.over {
		free()
	}
	return inner
}

func (a *attached) existing() context.Context {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.made == nil {
		return nil
	}
	return a.made.Context
}

func (a *attached) Deadline() (time.Time, bool) {
	at, ok := a.deadline()
	if a.joined {
		if d, has := a.caller.Deadline(); has && (!ok || d.Before(at)) {
			return d, true
		}
	}
	if !ok {
		return time.Time{}, false
	}
	return at, true
}

func (a *attached) Done() <-chan struct{} { return a.real().Done() }

func (a *attached) Err() error {
	if made := a.existing(); made != nil {
		return made.Err()
	}
	if err := a.w.p.base.Err(); err != nil {
		return err
	}
	if at, ok := a.deadline(); ok && !time.Now().Before(at) {
		return context.DeadlineExceeded
	}
	if a.joined {
		return a.caller.Err()
	}
	return nil
}

func (a *attached) Value(key any) any {
	if key == any(a.w.p) {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.over {
			return nil // as worker.during
		}
		return a.w
	}
	if made := a.existing(); made != nil {
		return made.Value(key)
	}
	if !a.joined || a.w.p.base.Err() != nil { // context.Cause must not find the caller's
		if v := a.w.p.base.Value(key); v != nil {
			return v
		}
	}
	return a.caller.Value(key)
}
