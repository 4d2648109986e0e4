package cache

import (
	"context"
	"math"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/hotpath-go/hotpath/internal/fault"
	"github.com/hotpath-go/hotpath/internal/flight"
	"github.com/hotpath-go/hotpath/internal/stat"
	"github.com/hotpath-go/hotpath/internal/tagset"
)

// ErrNotFound says that there is no such thing. A Load that returns it, or an error that Is
// it, has given an answer and not failed. It is the same value as batch.ErrNotFound.
var ErrNotFound = fault.NotFound

// A Cache is a typed read-through cache. Make one with New; it is safe for concurrent use,
// and there is nothing to close.
type Cache[K comparable, V any] struct {
	cfg          Config[K, V]
	overhead     int64 // of an entry, in bytes
	weighMissing func(K, error) int64
	store        Store[K, V]
	flights      *flight.Group[K, *Entry[K, V]]
	ops          flight.Ops[K, *Entry[K, V]]
	tags         *tagset.Table
	refreshes    *semaphore.Weighted
	tier         *tier[K, V] // nil without a Remote

	counters  stat.Striped[counters]
	inFlight  atomic.Int64
	loadTimes stat.Durations
	warned    atomic.Bool // that Weigh is broken
}

// New returns a Cache. Its error joins everything that is wrong with cfg, one line a field:
// `cache: Jitter is 1.5: must be between 0 and 0.9`. It starts nothing.
func New[K comparable, V any](cfg Config[K, V]) (*Cache[K, V], error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Cache[K, V]{
		cfg:          cfg,
		overhead:     overhead[K, V](),
		weighMissing: newWeighMissing[K, V](),
		store:        cfg.Store,
		flights:      flight.NewGroup[K, *Entry[K, V]](),
		tags:         tagset.New(cfg.MaxBytes),
		refreshes:    semaphore.NewWeighted(int64(cfg.MaxRefreshes)),
	}
	if c.store == nil {
		if c.store, err = NewStore[K, V](cfg.MaxBytes, cfg.MaxItems); err != nil {
			return nil, err
		}
	}
	c.ops = c.loadOps()
	if cfg.Remote != nil {
		c.tier = newTier(cfg.Remote)
		c.tier.alone = max(cfg.Remote.Watch(c.dropped), 0)
	}
	return c, nil
}

// Get returns the value of key: the one that is here and fresh, or the one that a load gives,
// which all who ask for key at that time share. It returns ctx.Err() as soon as ctx ends,
// whatever the load does, and never makes others feel that. Errors of Load are returned as
// they are and never remembered, but for ErrNotFound with NegativeTTL.
//
// If the load panics, the caller that started it panics, and others get a *PanicError. A Get
// of a key inside the load of that key is an error.
func (c *Cache[K, V]) Get(ctx context.Context, key K) (V, error) {
	if e := c.store.Get(key); e != nil {
		if v, err, ok := c.answer(ctx, e); ok {
			return v, err
		}
	}
	return c.miss(ctx, key)
}

// answer gives what a resident entry says; ok is false if it has to be loaded anew.
func (c *Cache[K, V]) answer(ctx context.Context, e *Entry[K, V]) (v V, err error, ok bool) {
	how := hit
	switch state, t := c.look(e); state {
	case isFresh:
		if missing := e.missing(); missing != nil {
			how, err = negative, missing
		} else if c.wantsRefresh(e, t) {
			c.refresh(ctx, e.Key, e)
		}
	case isStale:
		how = stale
		if !e.backsOff(t) {
			c.refresh(ctx, e.Key, e)
		}
	case isSpare:
		if !e.backsOff(t) {
			return v, nil, false
		}
		how = stale
	default:
		return v, nil, false
	}
	c.counters.Here().count(how, e.Cost())
	if err != nil {
		return v, err, true
	}
	return c.clone(e.Value), nil, true
}

func (c *Cache[K, V]) clone(v V) V {
	if c.cfg.Clone == nil {
		return v
	}
	return c.cfg.Clone(v)
}

// A state is what an entry is good for.
type state int

const (
	isGone  state = iota // for nothing
	isFresh              // to be returned
	isStale              // to be returned while it is refreshed
	isSpare              // to be returned if loading it anew fails
)

// look returns the state of e, and the time at which it has that, for the clock is a third of a
// hit; entries that live for ever need none.
func (c *Cache[K, V]) look(e *Entry[K, V]) (s state, t time.Duration) {
	slots, _ := e.slots()
	if c.tags.Gone(e.born, slots) {
		return isGone, 0
	}
	expires := e.expires
	if at, expired := c.tags.ExpiredAt(e.born, slots); expired {
		expires = min(expires, at)
	}
	if expires == forever {
		return isFresh, 0
	}
	t = now()
	switch {
	case t < expires:
		return isFresh, t
	case e.missing() != nil:
		return isGone, t // an ErrNotFound is never stale
	case e.linger == 0 && e.expires != forever:
		return isGone, t // nor what a Remote does not know of
	case t < after(expires, c.cfg.StaleWhileRevalidate):
		return isStale, t
	case t < after(expires, c.cfg.StaleIfError):
		return isSpare, t
	}
	return isGone, t
}

// wantsRefresh reports whether an entry that is fresh at t is to be refreshed: a refresh was
// put off, or XFetch says so. The logarithm is computed only near the end of its life.
func (c *Cache[K, V]) wantsRefresh(e *Entry[K, V], t time.Duration) bool {
	if m := e.more.Load(); m != nil && m.due.Load() && !e.backsOff(now()) && m.due.CompareAndSwap(true, false) {
		return true
	}
	if c.cfg.EarlyRefresh == 0 || e.expires == forever {
		return false
	}
	lead := float64(e.Cost()) * c.cfg.EarlyRefresh
	left := float64(e.expires - t)
	if left > 20*lead || e.backsOff(t) {
		return false
	}
	return -lead*math.Log(1-rand.Float64()) >= left
}

// Peek returns the value of key if it is here and fresh. It loads nothing, and neither
// statistics nor the engine count it as a use.
func (c *Cache[K, V]) Peek(key K) (V, bool) {
	if e := c.store.Peek(key); e != nil && e.missing() == nil {
		if state, _ := c.look(e); state == isFresh {
			return c.clone(e.Value), true
		}
	}
	var none V
	return none, false
}
