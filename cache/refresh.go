package cache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hotpath-go/hotpath/internal/flight"
)

// Refresh loads keys behind and keeps what they have meanwhile, also if the load fails. One
// that MaxRefreshes does not let begin is put off to the next Get of its key; where a load is
// under way already, that is the refresh. So it is no way to make a change seen: after one use
// Set, Delete or PurgeTags.
func (c *Cache[K, V]) Refresh(keys ...K) {
	for _, key := range keys {
		c.refresh(context.Background(), key, nil)
	}
}

// refresh starts a load of key that nobody waits for. old: if the key still has that entry;
// nil: in any case.
func (c *Cache[K, V]) refresh(ctx context.Context, key K, old *Entry[K, V]) {
	if !c.canLoad() {
		return
	}
	if !c.refreshes.TryAcquire(1) {
		if old == nil {
			old = c.store.Peek(key) // if it has none the next Get loads it
		}
		if old != nil {
			old.rest().due.Store(true)
		}
		return
	}
	started := false
	defer func() { // a key or a Store may panic
		if !started {
			c.refreshes.Release(1)
		}
	}()
	timeout := c.cfg.LoadTimeout
	if timeout == 0 {
		timeout = defaultRefreshTimeout
	}
	ops := c.ops
	ops.Check = func(key K) (*Entry[K, V], bool) { return nil, old != nil && c.store.Peek(key) != old }
	ops.Load = func(ctx context.Context, key K) (*Entry[K, V], error) {
		defer c.refreshes.Release(1)
		return c.load(ctx, key)
	}
	ops.After = c.logFailure
	started = c.flights.Start(ctx, key, timeout, ops)
	if started {
		c.counters.Here().refreshes.Add(1)
	}
}

// logFailure tells of a load behind what no caller hears.
func (c *Cache[K, V]) logFailure(key K, err error) {
	if err == nil {
		return
	}
	var p *flight.PanicError
	if errors.As(err, &p) {
		c.cfg.Logger.Error("cache: a refresh panicked", "error", c.keyed(key, fmt.Errorf("%v", p.Value)), "stack", string(p.Stack))
		return
	}
	c.cfg.Logger.Warn("cache: a refresh failed", "error", c.keyed(key, err))
}

// keyed says which key an error is about.
func (c *Cache[K, V]) keyed(key K, err error) error {
	return fmt.Errorf("cache: key %s: %w", short(key), err)
}

const (
	firstBackOff = time.Second
	lastBackOff  = 30 * time.Second
)

// backOff is called under the key's lock when a load has failed to replace e: the next one
// waits, twice as long each time, so that a dead source is not hammered by everybody who is
// served the old value.
func (e *Entry[K, V]) backOff() {
	m, wait := e.rest(), lastBackOff
	if n := m.fails.Add(1); n <= 5 {
		wait = firstBackOff << (n - 1)
	}
	m.retry.Store(int64(after(now(), wait)))
}

// backsOff reports whether e must not be loaded anew at t.
func (e *Entry[K, V]) backsOff(t time.Duration) bool {
	m := e.more.Load()
	if m == nil {
		return false
	}
	until := m.retry.Load()
	return until != 0 && t < time.Duration(until)
}
