package flight

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// ErrLoop is what Do gives for a key whose load, directly or through nested ones, needs the
// key itself.
var ErrLoop = errors.New("flight: the load of a key needs the key itself")

// ErrGoexit is the Value of a PanicError if Load called runtime.Goexit.
var ErrGoexit = errors.New("runtime.Goexit was called")

// ErrTimeout is what those who wait get when the timeout of their flight is over.
var ErrTimeout = fmt.Errorf("flight: the load took too long: %w", context.DeadlineExceeded)

// A PanicError is what those who wait get when Load panicked or called runtime.Goexit.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("flight: load panicked: %v", e.Value) }

// Ops is what Do does at which moment. Check, Done and Detached run under the key's lock.
type Ops[V any] struct {
	Check    func() (V, bool)                     // before a flight is joined or made: already there? nil: no
	Load     func(ctx context.Context) (V, error) // the work: no lock
	Done     func(v V, err error)                 // the end of a flight that is attached, also by its timeout: store it
	Detached func()                               // the end of one that a Write has detached; nil: nothing
	After    func(err error)                      // after either, without a lock, before anybody is woken; nil: nothing
}

// A Group runs one load per key at a time.
type Group[K comparable, V any] struct {
	calls *Table[K, call[V]]
}

// NewGroup returns a Group with nothing under way.
func NewGroup[K comparable, V any]() *Group[K, V] {
	return &Group[K, V]{calls: NewTable[K, call[V]]()}
}

// A call is one flight. done, v and err are written under the key's lock.
type call[V any] struct {
	ctx      *Shared
	place    *ancestor
	finished atomic.Bool
	done     chan struct{} // nil: nobody waits
	v        V
	err      error
}

// An ancestor is a load that the loads inside its context belong to.
type ancestor struct {
	group, key any
	outer      *ancestor
	ended      atomic.Bool // work that outlives its load may ask for the key again
}

type ancestorKey struct{}

func ancestors(ctx context.Context) *ancestor {
	a, _ := ctx.Value(ancestorKey{}).(*ancestor)
	return a
}

// loads reports whether ctx belongs to a load of key that has not ended.
func (g *Group[K, V]) loads(ctx context.Context, key K) bool {
	for a := ancestors(ctx); a != nil; a = a.outer {
		if a.group == any(g) && a.key == any(key) && !a.ended.Load() {
			return true
		}
	}
	return false
}

func (g *Group[K, V]) newCall(ctx context.Context, key K, timeout time.Duration) *call[V] {
	c := &call[V]{place: &ancestor{group: g, key: key, outer: ancestors(ctx)}}
	c.ctx = Share(context.WithValue(ctx, ancestorKey{}, c.place), timeout)
	return c
}

// Do returns what ops.Check finds, else the result of the flight for key: the one under way,
// which makes joined true, or a new one. It returns ctx.Err() as soon as ctx ends, and
// ErrTimeout after timeout (0: none), whatever Load does. Done is not called if everybody
// has left before.
//
// If ctx can never end and there is no timeout, Load runs on the caller's goroutine, and a
// panic or Goexit in it is the caller's; everybody else gets a *PanicError.
func (g *Group[K, V]) Do(ctx context.Context, key K, timeout time.Duration, ops Ops[V]) (v V, joined bool, err error) {
	if g.loads(ctx, key) {
		return v, false, ErrLoop
	}
	inline := ctx.Done() == nil && timeout == 0
	var c *call[V]
	g.calls.With(key, func(cur *call[V]) *call[V] {
		if ops.Check != nil {
			found := false
			if v, found = ops.Check(); found {
				return cur
			}
		}
		// One whose timeout is just over is joined too: it will be finished in a moment, and
		// what follows from that must not be passed over.
		if joined = cur != nil && cur.ctx.hold(); joined {
			c = cur
		} else { // none, or one that everybody has left
			c = g.newCall(ctx, key, timeout)
		}
		if c.done == nil && (joined || !inline) {
			c.done = make(chan struct{})
		}
		return c
	})
	switch {
	case c == nil:
		return v, false, nil
	case joined:
		v, err = c.wait(ctx)
	case inline:
		g.run(key, c, ops, true)
		v, err = c.v, c.err
	default:
		g.fly(key, c, ops)
		v, err = c.await(ctx)
	}
	return v, joined, err
}

// Start begins a flight for key that nobody has to wait for, unless one is under way or
// ops.Check finds something; it reports whether it did. The load has the values of ctx, but
// is no part of the load or the task that ctx belongs to.
func (g *Group[K, V]) Start(ctx context.Context, key K, timeout time.Duration, ops Ops[V]) bool {
	var c *call[V]
	g.calls.With(key, func(cur *call[V]) *call[V] {
		if cur != nil && cur.ctx.refs.Load() > 0 {
			return cur
		}
		if ops.Check != nil {
			if _, found := ops.Check(); found {
				return cur
			}
		}
		ctx = context.WithValue(ctx, ancestorKey{}, (*ancestor)(nil))
		ctx = context.WithValue(ctx, TaskKey{}, nil)
		c = g.newCall(ctx, key, timeout)
		return c
	})
	if c == nil {
		return false
	}
	g.fly(key, c, ops)
	return true
}

// fly runs c on a goroutine of its own, and ends it at its timeout.
func (g *Group[K, V]) fly(key K, c *call[V], ops Ops[V]) {
	if _, timed := c.ctx.Deadline(); timed {
		context.AfterFunc(c.ctx, func() {
			if c.ctx.Err() == context.DeadlineExceeded {
				var none V
				g.finish(key, c, none, ErrTimeout, ops)
			}
		})
	}
	go g.run(key, c, ops, false)
}

// Write detaches the flight for key, then calls fn, under the key's lock. Who waits for the
// flight still gets its result; who asks from now on does not.
func (g *Group[K, V]) Write(key K, fn func()) {
	g.calls.With(key, func(*call[V]) *call[V] {
		fn()
		return nil
	})
}

// wait is await for those who wait for a load of others.
func (c *call[V]) wait(ctx context.Context) (V, error) {
	defer Blocked(ctx)()
	return c.await(ctx)
}

func (c *call[V]) await(ctx context.Context) (v V, err error) {
	select {
	case <-c.done:
		return c.v, c.err
	case <-ctx.Done():
		c.ctx.release(1)
		return v, ctx.Err()
	}
}

// run does the work of c on this goroutine and ends it, however Load ends. inline: what is
// abnormal goes on from here.
func (g *Group[K, V]) run(key K, c *call[V], ops Ops[V], inline bool) {
	var v V
	var err error
	returned := false
	defer func() {
		defer c.ctx.end()
		var p any
		if !returned {
			p = recover()
			err = newPanicError(p)
		}
		g.finish(key, c, v, err, ops)
		if inline && p != nil {
			panic(p) // from here the stack still shows where it came from
		}
	}()
	v, err = ops.Load(c.ctx)
	returned = true
}

// newPanicError is for what recover gave in a function that did not return: nil after Goexit.
func newPanicError(p any) *PanicError {
	if p == nil {
		p = ErrGoexit
	}
	return &PanicError{Value: p, Stack: debug.Stack()}
}

// finish stores the result of c, if c is still attached, and wakes those who wait. The first
// call counts: of the load, or of the timeout.
func (g *Group[K, V]) finish(key K, c *call[V], v V, err error, ops Ops[V]) {
	if !c.finished.CompareAndSwap(false, true) {
		return
	}
	if c.ctx.Err() == context.DeadlineExceeded { // too late by a moment is too late
		var none V
		v, err = none, ErrTimeout
	}
	defer func() {
		c.place.ended.Store(true)
		if c.done != nil {
			close(c.done)
		}
	}()
	g.calls.With(key, func(cur *call[V]) *call[V] {
		c.v, c.err = v, err
		switch {
		case c.ctx.refs.Load() <= 0: // everybody has left
		case cur == c:
			c.err = guarded(err, func() { ops.Done(v, err) })
		case ops.Detached != nil && key == key: // not so for NaN: see Table.With
			ops.Detached()
		}
		if cur != c {
			return cur
		}
		return nil
	})
	if ops.After != nil {
		ops.After(c.err)
	}
}

// guarded runs f, and turns its panic into the error: what broke is a Store, and this may be a
// goroutine that nobody else can save.
func guarded(err error, f func()) (after error) {
	defer func() {
		if p := recover(); p != nil {
			after = newPanicError(p)
		}
	}()
	f()
	return err
}
