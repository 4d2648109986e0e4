package cache

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/hotpath-go/hotpath/internal/flight"
)

// Refresh loads keys behind and keeps what they have meanwhile, also if the load fails. One
// that MaxRefreshes does not let begin is put off to the next Get of its key.
func (c *Cache[K, V]) Refresh(keys ...K) {
	if !c.loads() {
		return
	}
	for _, key := range keys {
		c.behind(context.Background(), key, nil)
	}
}

// refresh loads the key of e behind, if e is still what it has.
func (c *Cache[K, V]) refresh(ctx context.Context, key K, e *Entry[K, V]) {
	if !c.loads() { // nothing to ask: what ExpireTags made stale stays as it is
		return
	}
	c.behind(ctx, key, e)
}

// behind starts a load of key that nobody waits for. only: if the key still has that entry;
// nil: in any case.
func (c *Cache[K, V]) behind(ctx context.Context, key K, only *Entry[K, V]) {
	if !c.refreshes.TryAcquire(1) {
		if only == nil {
			only = c.store.Peek(key) // if it has none the next Get loads it
		}
		if only != nil {
			only.due.Store(true)
		}
		return
	}
	timeout := c.cfg.LoadTimeout
	if timeout == 0 {
		timeout = defaultRefreshTimeout
	}
	started := c.flights.Start(ctx, key, timeout, flight.Ops[*Entry[K, V]]{
		Check: func() (*Entry[K, V], bool) { return nil, only != nil && c.store.Peek(key) != only },
		Load: func(ctx context.Context) (*Entry[K, V], error) {
			defer c.refreshes.Release(1)
			return c.loadBehind(ctx, key, only)
		},
		Done:     func(e *Entry[K, V], err error) { c.finish(key, e, err) },
		Detached: func() { c.counters.Here().detached.Add(1) },
	})
	if !started {
		c.refreshes.Release(1)
		return
	}
	c.counters.Here().refreshes.Add(1)
}

// loadBehind is load for when no caller hears of a failure: it is logged, and old backs off.
func (c *Cache[K, V]) loadBehind(ctx context.Context, key K, old *Entry[K, V]) (e *Entry[K, V], err error) {
	returned := false
	defer func() {
		if old != nil && (err != nil || !returned) {
			old.backOff()
		}
		switch p := recover(); {
		case !returned && p != nil:
			err = &flight.PanicError{Value: p, Stack: debug.Stack()}
			c.cfg.Logger.Error("cache: a refresh panicked", "error", c.keyed(key, fmt.Errorf("%v", p)), "stack", string(debug.Stack()))
		case err != nil:
			c.cfg.Logger.Warn("cache: a refresh failed", "error", c.keyed(key, err))
		}
	}()
	e, err = c.load(ctx, key)
	returned = true
	return e, err
}

// keyed says which key an error is about.
func (c *Cache[K, V]) keyed(key K, err error) error {
	return fmt.Errorf("cache: key %s: %w", short(key), err)
}

const (
	firstBackOff = time.Second
	lastBackOff  = 30 * time.Second
)

// backOff is called after a load failed to replace e: the next one waits, twice as long each
// time, so that a dead source is not hammered by everybody who is served the old value. All
// who waited for one failed load may call it; it counts once.
func (e *Entry[K, V]) backOff() {
	until := e.retry.Load()
	if until != 0 && now() < time.Duration(until) {
		return
	}
	wait := lastBackOff
	if n := e.fails.Load(); n < 5 {
		wait = firstBackOff << n
	}
	if e.retry.CompareAndSwap(until, int64(after(now(), wait))) {
		e.fails.Add(1)
	}
}

// backsOff reports whether e must not be loaded anew yet.
func (e *Entry[K, V]) backsOff() bool {
	until := e.retry.Load()
	return until != 0 && now() < time.Duration(until)
}
