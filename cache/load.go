package cache

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/hotpath-go/hotpath/internal/flight"
)

// A PanicError is what those get who waited for a load of another that panicked or called
// runtime.Goexit.
type PanicError struct {
	Value any    // of the panic
	Stack []byte // where it happened
}

func (e *PanicError) Error() string { return fmt.Sprintf("cache: load panicked: %v", e.Value) }

// Unwrap returns Value if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// loading is the context of a load, with what the loader may say of the value that it gets.
type loading struct {
	context.Context
	born     uint64 // tagset's Now before it began
	began    time.Duration
	ended    time.Duration
	missing  int         // keys that were not found
	err      error       // why all have failed
	tagged   *[][]string // with a Remote: the tags of each key, in their order; nil: without one
	returned bool        // without a panic: then ended is known

	mu     sync.Mutex // a loader may use goroutines
	ttl    time.Duration
	hasTTL bool
	tags   []string
}

type loadingKey struct{}

// Value finds the loading itself, and what the context around it has.
func (l *loading) Value(key any) any {
	if key == (loadingKey{}) {
		return l
	}
	return l.Context.Value(key)
}

// SetTTL says, inside a loader, how long the value that is being loaded is fresh: 0: return it
// and do not store it; negative: for ever. With another ctx it does nothing.
func SetTTL(ctx context.Context, d time.Duration) {
	if l, ok := ctx.Value(loadingKey{}).(*loading); ok {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.ttl, l.hasTTL = d, true
	}
}

// AddTags gives, inside a loader, more tags to the entry that is being loaded. With another
// ctx it does nothing.
func AddTags(ctx context.Context, tags ...string) {
	if l, ok := ctx.Value(loadingKey{}).(*loading); ok {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.tags = append(l.tags, tags...)
	}
}

// said returns what the loader said by now.
func (l *loading) said() (ttl time.Duration, hasTTL bool, tags []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ttl, l.hasTTL, slices.Clip(l.tags)
}

func (c *Cache[K, V]) canLoad() bool {
	return c.cfg.Load != nil || c.cfg.LoadMany != nil || c.tier != nil
}

// miss answers a Get that found nothing to return.
func (c *Cache[K, V]) miss(ctx context.Context, key K) (v V, err error) {
	how, saved := missed, time.Duration(0)
	defer func() { c.counters.Here().count(how, saved) }() // a panic of the load passes here
	if err := ctx.Err(); err != nil {
		return v, err
	}
	if !c.canLoad() {
		return v, ErrNotFound
	}
	for {
		asked := c.ask()
		e, by, err := c.flights.Do(ctx, key, c.cfg.LoadTimeout, c.ops)
		joined := by == flight.Joined
		if joined && (err == nil && c.older(e, asked) || c.tooSoon(err)) {
			continue
		}
		switch {
		case by == flight.Found:
			how = c.outcomeOf(e)
		case err != nil:
			if joined {
				how = coalesced
			}
			if e = c.instead(ctx, key, err); e == nil {
				return v, c.failure(key, joined, err)
			}
			how = stale
		case joined:
			how = coalesced
		default:
			how = missed
		}
		if how != missed {
			saved = e.Cost()
		}
		if missing := e.missing(); missing != nil {
			return v, missing
		}
		return c.clone(e.Value), nil
	}
}

// resident returns the entry of key if a load is not needed: somebody else has loaded it, or has
// failed to, and the next load has to wait.
func (c *Cache[K, V]) resident(key K) (*Entry[K, V], bool) {
	e := c.store.Peek(key)
	if e == nil {
		return nil, false
	}
	state, t := c.look(e)
	return e, state == isFresh || state == isStale || state == isSpare && e.backsOff(t)
}

// outcomeOf is how a lookup ended that found e under the key's lock.
func (c *Cache[K, V]) outcomeOf(e *Entry[K, V]) outcome {
	if e.missing() != nil {
		return negative
	}
	if state, _ := c.look(e); state != isFresh {
		return stale
	}
	return hit
}

// tooSoon reports whether a load that was joined ended by the time limit of refreshes behind,
// which is not one for callers.
func (c *Cache[K, V]) tooSoon(err error) bool {
	return err == flight.ErrTimeout && c.cfg.LoadTimeout == 0
}

// A moment is when somebody has asked.
type moment struct {
	purges uint64        // tagset's Now
	at     time.Duration // with a Remote
}

func (c *Cache[K, V]) ask() moment {
	m := moment{purges: c.tags.Now()}
	if c.tier != nil {
		m.at = now()
	}
	return m
}

// older reports whether a load that was joined by somebody who asked at the given moment had
// begun before a purge that was over by then. Of several purges only the last is known, so
// it may say so once too often, never too seldom.
//
// With a Remote it is also older if the load ran without it, and had begun so long ago that what
// others have changed since then may have been told long before.
func (c *Cache[K, V]) older(e *Entry[K, V], asked moment) bool {
	if c.tier != nil && e.expires < asked.at {
		return true
	}
	if asked.purges <= e.born {
		return false
	}
	slots, tagless := e.slots()
	_, expired := c.tags.ExpiredAt(e.born, slots)
	return tagless || c.tags.Gone(e.born, slots) || expired && c.cfg.StaleWhileRevalidate == 0
}

// instead returns the entry to serve although its load failed: the old one, if StaleIfError
// has it and nobody has removed it meanwhile.
func (c *Cache[K, V]) instead(ctx context.Context, key K, err error) *Entry[K, V] {
	if p := (*flight.PanicError)(nil); ctx.Err() != nil || err == flight.ErrLoop || errors.As(err, &p) {
		return nil
	}
	e := c.store.Peek(key)
	if e == nil || e.missing() != nil {
		return nil
	}
	if state, _ := c.look(e); state == isGone {
		return nil
	}
	return e
}

// failure is what the caller gets for the error of a flight.
func (c *Cache[K, V]) failure(key K, joined bool, err error) error {
	switch err {
	case flight.ErrLoop:
		return fmt.Errorf("cache: key %s loads itself", short(key))
	case flight.ErrTimeout:
		return fmt.Errorf("cache: the load of key %s took longer than %v: %w", short(key), c.cfg.LoadTimeout, context.DeadlineExceeded)
	}
	var p *flight.PanicError
	if !errors.As(err, &p) {
		return err
	}
	switch {
	case joined || p.Value == flight.ErrGoexit:
		return &PanicError{p.Value, p.Stack}
	case p.Value == http.ErrAbortHandler:
		panic(p.Value) // net/http knows it by identity, and prints nothing
	}
	panic(&PanicError{p.Value, p.Stack})
}

// short is a key as it may stand in an error.
func short(key any) string {
	s := fmt.Sprintf("%v", key)
	if len(s) > 64 {
		s = s[:64] + "..."
	}
	return s
}

// load is what a flight does.
func (c *Cache[K, V]) load(ctx context.Context, key K) (*Entry[K, V], error) {
	if c.tier != nil && key == key {
		r := c.fetch(ctx, []K{key})[key]
		return r.e, r.err
	}
	e, _, err := c.loadKey(ctx, key)
	return e, err
}

// loadKey gets the value of key from its source and makes an entry of it. An ErrNotFound is an
// entry too.
func (c *Cache[K, V]) loadKey(ctx context.Context, key K) (*Entry[K, V], *loading, error) {
	l := c.beginLoad(ctx)
	defer c.endLoad(l, 1)
	v, err := c.source(l, key)
	l.ended = now()
	e := c.loaded(key, v, err, l, l.ended-l.began)
	l.returned = true
	switch {
	case e == nil:
		l.err = err
	case e.missing() != nil:
		l.missing = 1
	}
	return e, l, l.err
}

func (c *Cache[K, V]) source(ctx context.Context, key K) (v V, err error) {
	switch {
	case c.cfg.Load != nil:
		return c.cfg.Load(ctx, key)
	case c.cfg.LoadMany == nil: // but for what a Remote has
		return v, ErrNotFound
	}
	values, err := c.cfg.LoadMany(ctx, []K{key})
	if err != nil {
		return v, err
	}
	v, ok := values[key]
	if !ok {
		return v, ErrNotFound
	}
	return v, nil
}

func (c *Cache[K, V]) beginLoad(ctx context.Context) *loading {
	c.inFlight.Add(1)
	l := &loading{Context: ctx, born: c.tags.Now(), began: now()}
	if c.tier != nil {
		l.tagged = new([][]string)
	}
	return l
}

// endLoad counts a load of n keys, however it ended.
func (c *Cache[K, V]) endLoad(l *loading, n int) {
	c.inFlight.Add(-1)
	if !l.returned {
		l.ended = now()
	}
	c.loadTimes.Observe(l.ended - l.began)
	counters := c.counters.Here()
	switch {
	case !l.returned: // a panic, or runtime.Goexit
		counters.loadPanics.Add(uint64(n))
	case l.Err() == context.Canceled:
		counters.loadCanceled.Add(uint64(n))
	case l.err != nil || l.Err() != nil: // too late is a failure too
		counters.loadErrors.Add(uint64(n))
	default:
		counters.loads.Add(uint64(n - l.missing))
		counters.loadNotFound.Add(uint64(l.missing))
	}
}

// loaded returns the entry for what a loader returned; nil if that was a failure.
func (c *Cache[K, V]) loaded(key K, v V, err error, l *loading, cost time.Duration) *Entry[K, V] {
	ttl, hasTTL, tags := l.said()
	if err == nil {
		tags = c.tagged(key, v, tags)
	}
	if l.tagged != nil {
		*l.tagged = append(*l.tagged, tags)
	}
	var e *Entry[K, V]
	switch {
	case errors.Is(err, ErrNotFound):
		var none V
		e = c.newEntry(key, none, err, l.ended, c.cfg.NegativeTTL, tags, l.born, cost)
		if c.cfg.NegativeTTL == 0 || hasTTL && ttl == 0 {
			e.weight = 0
		}
	case err != nil:
		return nil
	default:
		if !hasTTL {
			ttl = c.cfg.TTL
		}
		e = c.newEntry(key, v, nil, l.ended, c.jittered(ttl), tags, l.born, cost)
		if ttl == 0 {
			e.weight = 0
		}
	}
	if c.tier != nil {
		e.setBegan(l.began)
	}
	return e
}

// loadOps is what a flight does for a cache.
func (c *Cache[K, V]) loadOps() flight.Ops[K, *Entry[K, V]] {
	return flight.Ops[K, *Entry[K, V]]{
		Check:    c.resident,
		Load:     c.load,
		Done:     c.finish,
		Detached: func(K) { c.counters.Here().detached.Add(1) },
	}
}

func (c *Cache[K, V]) gone(e *Entry[K, V]) bool {
	slots, _ := e.slots()
	return c.tags.Gone(e.born, slots)
}

// finish stores the result of a load that nothing newer has detached. It runs under the key's
// lock.
func (c *Cache[K, V]) finish(key K, e *Entry[K, V], err error) {
	switch {
	case err != nil: // what the key has stays
		if old := c.store.Peek(key); old != nil && old.missing() == nil {
			old.backOff()
		}
	case c.gone(e):
		c.counters.Here().detached.Add(1)
	default:
		c.put(e)
	}
}
