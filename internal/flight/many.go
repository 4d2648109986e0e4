package flight

import (
	"context"
	"time"
)

// ManyOps is Ops for DoMany: what it does for each key, and the one load.
type ManyOps[K comparable, V any] struct {
	Check    func(i int) (V, bool)                                      // for the i-th of the keys that were asked for
	Load     func(ctx context.Context, keys []K) func(i int) (V, error) // the result for keys[i], which stays as it is
	Done     func(key K, v V, err error)
	Detached func(key K)
}

// A Result is what DoMany gives for one key.
type Result[V any] struct {
	V      V
	Joined bool
	Err    error
}

// DoMany is Do for several different keys at once: each is looked for, joined or flown by
// itself, and all that are flown are one call of Load. It first does its own work and then
// waits for that of others, so two calls that share keys never wait for each other.
func (g *Group[K, V]) DoMany(ctx context.Context, keys []K, timeout time.Duration, ops ManyOps[K, V]) []Result[V] {
	results := make([]Result[V], len(keys))
	joined := make(map[int]*call[K, V])
	flown := &many[K, V]{group: g, ops: ops}
	inline := ctx.Done() == nil && timeout == 0
	flying, waiting := false, false
	defer func() {
		if !flying { // Check panicked: nobody may wait for what will not come
			flown.abandon()
		}
		if !waiting { // or our own load did, on this goroutine
			for _, c := range joined {
				c.ctx.release(1)
			}
		}
	}()
	for i, key := range keys {
		if g.loads(ctx, key) {
			results[i].Err = ErrLoop
			continue
		}
		g.calls.With(key, func(cur *call[K, V]) *call[K, V] {
			v, found := ops.Check(i)
			switch {
			case found:
				results[i].V = v
				return cur
			case cur != nil && cur.ctx.hold():
				if cur.done == nil {
					cur.done = make(chan struct{})
				}
				joined[i], results[i].Joined = cur, true
				return cur
			}
			return flown.add(ctx, i, key, timeout, !inline)
		})
	}
	flying = true
	if len(flown.keys) > 0 {
		if inline {
			flown.run(true)
		} else {
			flown.fly()
		}
		for j, c := range flown.calls {
			r := &results[flown.at[j]]
			if inline {
				r.V, r.Err = c.v, c.err
			} else {
				r.V, r.Err = c.await(ctx)
			}
		}
	}
	waiting = true
	for i, c := range joined {
		results[i].V, results[i].Err = c.wait(ctx)
	}
	return results
}

// many is the flights of one DoMany. They share one context: it ends when nobody waits for
// any of them.
type many[K comparable, V any] struct {
	group *Group[K, V]
	ops   ManyOps[K, V]
	ctx   *Shared
	keys  []K
	calls []*call[K, V]
	at    []int // their places among the keys that DoMany was asked for
}

func (m *many[K, V]) add(ctx context.Context, at int, key K, timeout time.Duration, waits bool) *call[K, V] {
	c := &call[K, V]{group: m.group, key: key, outer: loadOf(ctx)}
	if m.ctx == nil {
		m.ctx = &c.own
		c.own.load = c
		c.own.begin(ctx, timeout)
	} else {
		// The first call is the one in the context: chain the others behind it.
		first := m.calls[0]
		c.outer, first.outer = first.outer, c
		m.ctx.refs.Add(1)
	}
	c.ctx = m.ctx
	if waits {
		c.done = make(chan struct{})
	}
	m.keys, m.calls, m.at = append(m.keys, key), append(m.calls, c), append(m.at, at)
	return c
}

// finish ends every flight with its result.
func (m *many[K, V]) finish(result func(i int) (V, error)) {
	ops := Ops[K, V]{Done: m.ops.Done, Detached: m.ops.Detached}
	for i, c := range m.calls {
		v, err := result(i)
		m.group.finish(c, v, err, ops)
	}
}

func (m *many[K, V]) failed(err error) func(int) (V, error) {
	return func(int) (v V, _ error) { return v, err }
}

func (m *many[K, V]) abandon() {
	if m.ctx != nil {
		m.finish(m.failed(&PanicError{Value: "the look for another key of the same call panicked"}))
		m.ctx.end()
	}
}

func (m *many[K, V]) fly() {
	if _, timed := m.ctx.Deadline(); timed {
		context.AfterFunc(m.ctx, func() {
			if m.ctx.Err() == context.DeadlineExceeded {
				m.finish(m.failed(ErrTimeout))
			}
		})
	}
	go m.run(false)
}

func (m *many[K, V]) run(inline bool) {
	var result func(int) (V, error)
	defer func() {
		defer m.ctx.end()
		var p any
		if result == nil {
			p = recover()
			result = m.failed(newPanicError(p))
		}
		m.finish(result)
		if inline && p != nil {
			panic(p)
		}
	}()
	result = m.ops.Load(m.ctx, m.keys)
}
