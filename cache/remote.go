package cache

import (
	"context"
	"time"
)

// A Remote is a second tier, shared by processes; cache/rediscache is one. It belongs to one
// Cache. Every method may fail: the cache then works alone, counts it, and logs at most one line
// a second. A method called with a ctx that never ends must return in bounded time all the same.
type Remote[K comparable, V any] interface {
	// Fetch returns what is shared of each of keys, in their order. What is not there, or is no
	// longer fresh, or whose load began longer than maxAge ago, is loaded: in one process at a time
	// (a lease), the others wait for it. load may be called several times, with some of keys each
	// time, on the goroutine that called Fetch, and may panic. What it returns is to be stored for
	// all, unless its TTL is 0, or a Put or a Drop of the key or of one of its tags came after the
	// lease was taken: then it is returned with TTL 0, and is not kept here either.
	//
	// The error is the tier's own: the cache then loads by itself what load did not get. If it comes
	// with values for all keys these hold, but what load got may not be known to others.
	Fetch(ctx context.Context, keys []K, maxAge time.Duration, load func(ctx context.Context, keys []K) ([]Shared[V], error)) ([]Shared[V], error)

	// Put shares a value. A load that is under way anywhere is not stored over it.
	Put(ctx context.Context, key K, s Shared[V]) error

	// Drop removes what is shared of keys, and what has one of tags; without keys and tags
	// everything. A load that is under way anywhere, and has one of them, is not stored.
	Drop(ctx context.Context, keys []K, tags []string) error

	// Watch is called once, by New: the tier reports what others have put or dropped; all: it may
	// have missed something, trust nothing that is here. It returns for how long the cache may
	// keep a value that the tier does not know of, because a method failed; 0: not at all.
	Watch(dropped func(keys []K, tags []string, all bool)) (alone time.Duration)
}

// Shared is what a Remote keeps for a key.
type Shared[V any] struct {
	Value   V
	Missing bool          // an ErrNotFound; there is no Value
	Loaded  bool          // by load, in this Fetch: what others have loaded is not
	Age     time.Duration // since its load ended
	TTL     time.Duration // fresh for, from that moment on; 0: not to be stored; negative: for ever
	Linger  time.Duration // after the TTL, for how long it may still be served as stale: keep it so long
	Cost    time.Duration // of the load
	Tags    []string
}

const anyAge = forever

// fetch gets keys by way of the Remote. What this process loads meanwhile is made into entries
// by the loads themselves, so errors stay what they are.
func (c *Cache[K, V]) fetch(ctx context.Context, keys []K) map[K]loadedKey[K, V] {
	results := make(map[K]loadedKey[K, V], len(keys))
	if len(keys) == 1 {
		c.fetchInto(ctx, keys, results)
		return results
	}
	var cold, replaced []K // these must be newer than what they replace, and only these
	for _, key := range keys {
		if c.maxAge([]K{key}) == anyAge {
			cold = append(cold, key)
		} else {
			replaced = append(replaced, key)
		}
	}
	for _, some := range [...][]K{cold, replaced} {
		if len(some) > 0 {
			c.fetchInto(ctx, some, results)
		}
	}
	return results
}

func (c *Cache[K, V]) fetchInto(ctx context.Context, keys []K, results map[K]loadedKey[K, V]) {
	load := func(ctx context.Context, keys []K) ([]Shared[V], error) {
		shared := make([]Shared[V], 0, len(keys))
		for i, r := range c.loadKeys(ctx, keys) {
			results[keys[i]] = r
			s := r.share()
			s.Loaded = true
			shared = append(shared, s)
		}
		return shared, nil
	}
	todo, maxAge := keys, anyAge
	for round := 0; len(todo) > 0; round++ {
		born := c.tags.Now() // and then what is owed: whoever purges owes first
		maxAge = min(maxAge, c.maxAge(todo))
		oldest := never
		if maxAge != anyAge {
			oldest = now() - maxAge
		}
		shared, err := c.tier.remote.Fetch(ctx, todo, maxAge, load)
		if len(shared) != len(todo) {
			if err == nil {
				err = errShort
			}
			c.withoutRemote(ctx, todo, results, err)
			break
		}
		if err != nil {
			c.remoteFailed(err)
		} else {
			c.tier.delivers(c)
		}
		var again []K
		for i, key := range todo {
			s := shared[i]
			if r := results[key]; s.Loaded {
				if r.e != nil && r.e.weight != 0 && (s.TTL == 0 || err != nil) {
					began, _ := r.e.began()
					c.keepAlone(r.e, began)
					if s.TTL == 0 {
						r.e.weight = 0 // something newer came, or may have come
					}
				}
				continue
			}
			// A tag that a purge could not be told to the Remote of is known only now.
			if since := c.tier.owesTags(s.Tags); since > oldest {
				again, maxAge = append(again, key), min(maxAge, max(now()-since, 0))
				continue
			}
			e := c.arrived(key, s, born)
			// Or it is not owed any more, and was paid after we have asked. After the second time
			// nothing that others have will do.
			if maxAge > 0 && c.gone(e) {
				again = append(again, key)
				if round > 0 {
					maxAge = 0
				}
				continue
			}
			results[key] = loadedKey[K, V]{e: e}
			c.counters.Here().remoteHits.Add(1)
		}
		todo = again
	}
}

// withoutRemote loads what a Fetch that failed has left, and keeps nothing for longer than the
// Remote can answer for.
func (c *Cache[K, V]) withoutRemote(ctx context.Context, keys []K, results map[K]loadedKey[K, V], err error) {
	var rest []K
	for _, key := range keys {
		if _, loaded := results[key]; !loaded {
			rest = append(rest, key)
		}
	}
	if ended := ctx.Err(); ended != nil { // that is why
		for _, key := range rest {
			results[key] = loadedKey[K, V]{err: ended}
		}
	} else {
		c.remoteFailed(err)
		if len(rest) > 0 {
			for i, r := range c.loadKeys(ctx, rest) {
				results[rest[i]] = r
			}
		}
	}
	for _, key := range keys {
		if e := results[key].e; e != nil {
			began, _ := e.began()
			c.keepAlone(e, began)
		}
	}
}

// keepAlone bounds the life of an entry that the Remote does not know of: whoever changes it
// since the given moment cannot tell us.
func (c *Cache[K, V]) keepAlone(e *Entry[K, V], since time.Duration) {
	e.expires = min(e.expires, after(since, c.tier.alone))
	e.linger = 0
	if e.expires <= now() {
		e.weight = 0
	}
}

// maxAge returns how old a shared value may be that is to replace what these keys have, and what
// was removed without the Remote being told.
func (c *Cache[K, V]) maxAge(keys []K) time.Duration {
	most, t := anyAge, now()
	for _, key := range keys {
		e := c.store.Peek(key)
		if e == nil || c.gone(e) {
			continue
		}
		if began, ok := e.began(); ok {
			// Less a thousandth: clocks of two machines do not run at the same speed.
			age := t - began
			most = min(most, age-age>>10)
		}
	}
	return max(c.tier.owesKeys(keys, most), 0)
}

// arrived makes an entry of a shared value.
func (c *Cache[K, V]) arrived(key K, s Shared[V], born uint64) *Entry[K, V] {
	t := now()
	var missing error
	if s.Missing {
		missing = ErrNotFound
	}
	life := s.TTL
	if life >= 0 {
		life = max(life-s.Age, 0)
	}
	e := c.newEntry(key, s.Value, missing, t, life, s.Tags, born, s.Cost)
	e.setBegan(t - s.Age - s.Cost)
	e.linger = min(e.linger, uint32(s.Linger/time.Second))
	if life == 0 || s.Missing && c.cfg.NegativeTTL == 0 {
		e.weight = 0
	}
	return e
}

// A loadedKey is what a load or a Fetch gave for one key. e is nil if it failed.
type loadedKey[K comparable, V any] struct {
	e     *Entry[K, V]
	err   error
	ended time.Duration
	tags  []string
}

// share returns what others are to have of it: nothing, if it may not even be stored here.
func (r loadedKey[K, V]) share() Shared[V] {
	e := r.e
	if e == nil || e.weight == 0 {
		return Shared[V]{}
	}
	s := Shared[V]{Value: e.Value, Missing: e.missing() != nil, TTL: -1, Cost: e.Cost(), Tags: r.tags}
	if e.expires != forever {
		s.TTL = max(e.expires-r.ended, 1)
		s.Linger = time.Duration(e.linger) * time.Second
	}
	return s
}
