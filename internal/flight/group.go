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

// Ops is what a Group does at which moment. It holds nothing of a single lookup, so it is made
// once. Check, Done and Detached run under the key's lock.
type Ops[K comparable, V any] struct {
	Check    func(key K) (V, bool)                       // before a flight is joined or made: already there? nil: no
	Load     func(ctx context.Context, key K) (V, error) // the work: no lock
	Done     func(key K, v V, err error)                 // the end of a flight that is attached, also by its timeout: store it
	Detached func(key K)                                 // the end of one that a Write has detached; nil: nothing
	After    func(key K, err error)                      // after either, without a lock, before anybody is woken; nil: nothing
}

// How a Do came to its result.
type How uint8

const (
	Flew   How = iota // by a flight of its own
	Joined            // by one that was under way
	Found             // by Check
)

// A Group runs one load per key at a time.
type Group[K comparable, V any] struct {
	calls *Table[K, call[K, V]]
}

// NewGroup returns a Group with nothing under way.
func NewGroup[K comparable, V any]() *Group[K, V] {
	return &Group[K, V]{calls: NewTable[K, call[K, V]]()}
}

// A call is one flight. done, v and err are written under the key's lock.
type call[K comparable, V any] struct {
	group    *Group[K, V]
	key      K
	outer    load // the load inside which this one was asked for
	ctx      *Shared
	own      Shared // what ctx is, unless several calls share one
	finished atomic.Bool
	ended    atomic.Bool   // work that outlives its load may ask for the key again
	done     chan struct{} // nil: nobody waits
	v        V
	err      error
}

// A load is a call of whatever Group.
type load interface{ within() load }

func (c *call[K, V]) within() load { return c.outer }

// loads reports whether ctx belongs to a load of key that has not ended.
func (g *Group[K, V]) loads(ctx context.Context, key K) bool {
	for l := loadOf(ctx); l != nil; l = l.within() {
		if c, ok := l.(*call[K, V]); ok && c.group == g && c.key == key && !c.ended.Load() {
			return true
		}
	}
	return false
}

func (g *Group[K, V]) newCall(ctx context.Context, key K, outer load, timeout time.Duration) *call[K, V] {
	c := &call[K, V]{group: g, key: key, outer: outer}
	c.ctx = &c.own
	c.own.load = c
	c.own.begin(ctx, timeout)
	return c
}

// Do returns what ops.Check finds, else the result of the flight for key: the one under way,
// or a new one. It returns ctx.Err() as soon as ctx ends, and ErrTimeout after timeout (0: none),
// whatever Load does. Done is not called if everybody has left before.
//
// If ctx can never end and there is no timeout, Load runs on the caller's goroutine, and a
// panic or Goexit in it is the caller's; everybody else gets a *PanicError.
func (g *Group[K, V]) Do(ctx context.Context, key K, timeout time.Duration, ops Ops[K, V]) (v V, how How, err error) {
	if g.loads(ctx, key) {
		return v, Flew, ErrLoop
	}
	inline := ctx.Done() == nil && timeout == 0
	var c *call[K, V]
	g.calls.With(key, func(cur *call[K, V]) *call[K, V] {
		if ops.Check != nil {
			found := false
			if v, found = ops.Check(key); found {
				how = Found
				return cur
			}
		}
		// One whose timeout is just over is joined too: it will be finished in a moment, and
		// what follows from that must not be passed over.
		if cur != nil && cur.ctx.hold() {
			c, how = cur, Joined
		} else { // none, or one that everybody has left
			c = g.newCall(ctx, key, loadOf(ctx), timeout)
		}
		if c.done == nil && (how == Joined || !inline) {
			c.done = make(chan struct{})
		}
		return c
	})
	switch {
	case how == Found:
	case how == Joined:
		v, err = c.wait(ctx)
	case inline:
		g.run(c, ops, true)
		v, err = c.v, c.err
	default:
		g.fly(c, ops)
		v, err = c.await(ctx)
	}
	return v, how, err
}

// Start begins a flight for key that nobody has to wait for, unless one is under way or
// ops.Check finds something; it reports whether it did. The load has the values of ctx, but
// is no part of the load or the task that ctx belongs to.
func (g *Group[K, V]) Start(ctx context.Context, key K, timeout time.Duration, ops Ops[K, V]) bool {
	var c *call[K, V]
	g.calls.With(key, func(cur *call[K, V]) *call[K, V] {
		if cur != nil && cur.ctx.refs.Load() > 0 {
			return cur
		}
		if ops.Check != nil {
			if _, found := ops.Check(key); found {
				return cur
			}
		}
		c = g.newCall(context.WithValue(ctx, TaskKey{}, nil), key, nil, timeout)
		return c
	})
	if c == nil {
		return false
	}
	g.fly(c, ops)
	return true
}

// fly runs c on a goroutine of its own, and ends it at its timeout.
func (g *Group[K, V]) fly(c *call[K, V], ops Ops[K, V]) {
	if _, timed := c.ctx.Deadline(); timed {
		context.AfterFunc(c.ctx, func() {
			if c.ctx.Err() == context.DeadlineExceeded {
				var none V
				g.finish(c, none, ErrTimeout, ops)
			}
		})
	}
	go g.run(c, ops, false)
}

// Write detaches the flight for key, then calls fn, under the key's lock. Who waits for the
// flight still gets its result; who asks from now on does not.
func (g *Group[K, V]) Write(key K, fn func()) {
	g.calls.With(key, func(*call[K, V]) *call[K, V] {
		fn()
		return nil
	})
}

// wait is await for those who wait for a load of others.
func (c *call[K, V]) wait(ctx context.Context) (V, error) {
	defer Blocked(ctx)()
	return c.await(ctx)
}

func (c *call[K, V]) await(ctx context.Context) (v V, err error) {
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
func (g *Group[K, V]) run(c *call[K, V], ops Ops[K, V], inline bool) {
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
		g.finish(c, v, err, ops)
		if inline && p != nil {
			panic(p) // from here the stack still shows where it came from
		}
	}()
	v, err = ops.Load(c.ctx, c.key)
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
func (g *Group[K, V]) finish(c *call[K, V], v V, err error, ops Ops[K, V]) {
	if !c.finished.CompareAndSwap(false, true) {
		return
	}
	if c.ctx.Err() == context.DeadlineExceeded { // too late by a moment is too late
		var none V
		v, err = none, ErrTimeout
	}
	defer func() {
		c.ended.Store(true)
		if c.done != nil {
			close(c.done)
		}
	}()
	g.calls.With(c.key, func(cur *call[K, V]) *call[K, V] {
		c.v, c.err = v, err
		switch {
		case c.ctx.refs.Load() <= 0: // everybody has left
		case cur == c:
			c.err = guarded(err, func() { ops.Done(c.key, v, err) })
		case ops.Detached != nil && c.key == c.key: // not so for NaN: see Table.With
			ops.Detached(c.key)
		}
		if cur != c {
			return cur
		}
		return nil
	})
	if ops.After != nil {
		ops.After(c.key, c.err)
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
