package cache

import (
	"context"
	"errors"
	"net/http"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hotpath-go/hotpath/internal/flight"
)

// parallelLoads bounds the loads that one GetMany runs at once if there is no LoadMany.
const parallelLoads = 16

// GetMany returns the values of those keys that exist. Each key is what Get would make of it:
// a hit, a load that somebody else has under way, or a load of this call; all of the last kind
// are one LoadMany, or, without one, up to 16 Loads at a time. Keys that do not exist are
// missing in the map and no error. The error joins the failures, each with its key; the map
// holds what did succeed. If a load of this call panics, GetMany does, with a *PanicError: the
// load may have run on another goroutine, whose stack is in it.
func (c *Cache[K, V]) GetMany(ctx context.Context, keys []K) (map[K]V, error) {
	values := make(map[K]V, len(keys))
	asked := make(map[K]struct{}, len(keys))
	var missing []K
	for _, key := range keys {
		if _, twice := asked[key]; twice {
			continue
		}
		asked[key] = struct{}{}
		if e := c.store.Get(key); e != nil {
			if v, err, ok := c.answer(ctx, e); ok {
				if err == nil {
					values[key] = v
				}
				continue
			}
		}
		missing = append(missing, key)
	}
	if len(missing) == 0 {
		return values, nil
	}
	get := c.eachMissing
	if (c.cfg.LoadMany != nil || c.tier != nil) && ctx.Err() == nil {
		get = c.allMissing
	}
	var failures []error
	for i, r := range get(ctx, missing) {
		switch key := missing[i]; {
		case r.err == nil:
			values[key] = r.value
		case !errors.Is(r.err, ErrNotFound):
			failures = append(failures, c.keyed(key, r.err))
		}
	}
	return values, errors.Join(failures...)
}

type result[V any] struct {
	value V
	err   error
}

// eachMissing loads every key by itself.
func (c *Cache[K, V]) eachMissing(ctx context.Context, keys []K) []result[V] {
	results := make([]result[V], len(keys))
	var panicked atomic.Pointer[any]
	var group errgroup.Group
	group.SetLimit(parallelLoads)
	for i, key := range keys {
		group.Go(func() error {
			results[i].err = &PanicError{Value: flight.ErrGoexit} // unless miss returns
			defer func() {
				// A panic belongs to the caller, whose goroutine this is not.
				if p := recover(); p != nil {
					p = carried(p)
					panicked.CompareAndSwap(nil, &p)
				}
			}()
			v, err := c.miss(ctx, key)
			results[i] = result[V]{v, err}
			return nil
		})
	}
	_ = group.Wait() // nobody returns an error: failures are kept by key
	if p := panicked.Load(); p != nil {
		panic(*p)
	}
	return results
}

// carried is what a panic becomes that leaves the goroutine it happened on. It is called on
// that goroutine.
func carried(p any) any {
	if _, ok := p.(*PanicError); ok || p == http.ErrAbortHandler {
		return p
	}
	return &PanicError{p, debug.Stack()}
}

// allMissing loads in one LoadMany what nobody else is loading.
func (c *Cache[K, V]) allMissing(ctx context.Context, keys []K) []result[V] {
	returned := false
	defer func() {
		if !returned { // the load ran here, and panicked or called Goexit
			c.counters.Here().misses.Add(uint64(len(keys)))
		}
	}()
	asked := c.ask()
	resident := make([]*Entry[K, V], len(keys))
	flown := c.flights.DoMany(ctx, keys, c.cfg.LoadTimeout, flight.ManyOps[K, *Entry[K, V]]{
		Check: func(i int) (*Entry[K, V], bool) {
			e, found := c.resident(keys[i])
			if found {
				resident[i] = e
			}
			return e, found
		},
		Load:     c.loadAll,
		Done:     c.finish,
		Detached: c.ops.Detached,
	})
	returned = true

	results := make([]result[V], len(keys))
	var panicked any
	for i, key := range keys {
		func() {
			defer func() { // after all were counted
				if p := recover(); p != nil {
					panicked = p
				}
			}()
			results[i] = c.landed(ctx, key, flown[i], asked, resident[i])
		}()
	}
	if panicked != nil {
		panic(panicked)
	}
	return results
}

// landed turns the result of a flight into that of a lookup, and counts it.
func (c *Cache[K, V]) landed(ctx context.Context, key K, f flight.Result[*Entry[K, V]], asked moment, resident *Entry[K, V]) (r result[V]) {
	e, how := f.V, missed
	switch {
	case f.Joined && (f.Err == nil && c.older(e, asked) || c.tooSoon(f.Err)):
		r.value, r.err = c.miss(ctx, key) // which counts
		return r
	case resident != nil:
		how = c.outcomeOf(resident)
	case f.Joined:
		how = coalesced
	}
	if f.Err != nil {
		if e = c.instead(ctx, key, f.Err); e == nil {
			c.counters.Here().count(how, 0)
			r.err = c.failure(key, f.Joined, f.Err)
			return r
		}
		how = stale
	}
	c.counters.Here().count(how, e.Cost())
	if missing := e.missing(); missing != nil {
		return result[V]{err: missing}
	}
	return result[V]{value: c.clone(e.Value)}
}

// loadAll is load for several keys.
func (c *Cache[K, V]) loadAll(ctx context.Context, keys []K) func(i int) (*Entry[K, V], error) {
	if c.tier == nil {
		entries, l := c.loadMany(ctx, keys)
		return func(i int) (*Entry[K, V], error) { return entries[i], l.err }
	}
	shared := make([]K, 0, len(keys))
	for _, key := range keys {
		if key == key {
			shared = append(shared, key)
		}
	}
	results := c.fetch(ctx, shared)
	return func(i int) (*Entry[K, V], error) {
		r, found := results[keys[i]]
		if !found { // NaN
			r.e, _, r.err = c.loadKey(ctx, keys[i])
		}
		return r.e, r.err
	}
}

// loadKeys is loadKey for several: in one LoadMany, or in Loads of which parallelLoads run at a
// time. One key is loaded on this goroutine, and what its load panics with goes on from here.
func (c *Cache[K, V]) loadKeys(ctx context.Context, keys []K) []loadedKey[K, V] {
	results := make([]loadedKey[K, V], len(keys))
	one := func(i int) {
		e, l, err := c.loadKey(ctx, keys[i])
		results[i] = loadedKey[K, V]{e: e, err: err, ended: l.ended}
		if e != nil {
			results[i].tags = (*l.tagged)[0]
		}
	}
	switch {
	case c.cfg.LoadMany != nil && (len(keys) > 1 || c.cfg.Load == nil):
		entries, l := c.loadMany(ctx, keys)
		for i := range keys {
			results[i] = loadedKey[K, V]{e: entries[i], err: l.err, ended: l.ended}
			if l.err == nil {
				results[i].tags = (*l.tagged)[i]
			}
		}
	case len(keys) == 1:
		one(0)
	default:
		var group errgroup.Group
		group.SetLimit(parallelLoads)
		for i := range keys {
			group.Go(func() error {
				returned := false
				defer func() { // it belongs to the key's caller, whose goroutine this is not
					if !returned {
						results[i] = loadedKey[K, V]{err: abnormal(recover())}
					}
				}()
				one(i)
				returned = true
				return nil
			})
		}
		_ = group.Wait() // nobody returns an error: failures are kept by key
	}
	return results
}

// abnormal is the error for what recover gave in a load that did not return: nil after Goexit.
func abnormal(p any) error {
	if p == nil {
		p = flight.ErrGoexit
	}
	return &flight.PanicError{Value: p, Stack: debug.Stack()}
}

// loadMany is loadKey for several keys by LoadMany. Each is charged its part of the time.
func (c *Cache[K, V]) loadMany(ctx context.Context, keys []K) ([]*Entry[K, V], *loading) {
	entries := make([]*Entry[K, V], len(keys))
	l := c.beginLoad(ctx)
	defer c.endLoad(l, len(keys))
	values, err := c.cfg.LoadMany(l, slices.Clone(keys)) // it may sort them
	l.ended = now()
	if err != nil && !errors.Is(err, ErrNotFound) {
		l.err = err
	} else {
		cost := (l.ended - l.began) / time.Duration(len(keys))
		for i, key := range keys {
			v, found := values[key]
			var reason error
			if !found {
				l.missing++
				if reason = err; reason == nil {
					reason = ErrNotFound
				}
			}
			entries[i] = c.loaded(key, v, reason, l, cost)
		}
	}
	l.returned = true
	return entries, l
}
