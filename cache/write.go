package cache

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// Set stores a value. When it returns every Get sees it, and a load that was under way is not
// stored. A value that is too heavy or has too many tags is not kept, and what the key had is
// gone all the same.
func (c *Cache[K, V]) Set(key K, value V, tags ...string) { c.SetFor(key, value, 0, tags...) }

// SetFor is Set with a TTL of its own: 0: Config.TTL; negative: for ever.
func (c *Cache[K, V]) SetFor(key K, value V, ttl time.Duration, tags ...string) {
	if key != key { // NaN: it could never be found again
		c.counters.Here().notStored.Add(1)
		return
	}
	if ttl == 0 {
		ttl = c.cfg.TTL
	}
	value = c.clone(value)
	tags = c.tagged(key, value, slices.Clip(tags))
	t := now()
	e := c.newEntry(key, value, nil, t, c.jittered(ttl), tags, 0, 0)
	if c.tier != nil {
		c.setEverywhere(key, e, loadedKey[K, V]{e: e, ended: t, tags: tags}.share())
		return
	}
	c.flights.Write(key, func() {
		// Born now: a purge that came between would else take this value, and with it the
		// effect of a write that has ended since.
		e.born = c.tags.Now()
		c.put(e)
	})
}

// Delete removes keys. When it returns they are gone, and loads of them that were under way
// are not stored. With a Remote that holds for all processes, unless it cannot be reached: then
// it is told behind, and counted.
func (c *Cache[K, V]) Delete(keys ...K) {
	if c.tier == nil {
		c.forget(keys, nil)
		return
	}
	keys = slices.DeleteFunc(slices.Clone(keys), func(key K) bool { return key != key })
	if len(keys) > 0 {
		c.removeEverywhere(keys, nil, func() { c.forget(keys, nil) })
	}
}

// PurgeTags removes all entries that have one of tags, also those that are being loaded. It
// takes the same time whatever their number. A Remote is told as by Delete.
func (c *Cache[K, V]) PurgeTags(tags ...string) {
	if c.tier == nil {
		c.tags.Purge(tags...)
	} else if tags := notEmpty(tags); len(tags) > 0 {
		c.removeEverywhere(nil, tags, func() { c.tags.Purge(tags...) })
	}
	c.counters.Here().purges.Add(uint64(len(tags)))
}

// ExpireTags makes all entries stale that have one of tags, as if their TTL ended now:
// StaleWhileRevalidate and StaleIfError apply from now on, and once more from the next
// ExpireTags, but never from later than the end of the TTL. For a Remote it is a purge: other
// processes have nothing stale to serve after it.
func (c *Cache[K, V]) ExpireTags(tags ...string) {
	if c.tier == nil {
		c.tags.Expire(now(), tags...)
	} else if tags := notEmpty(tags); len(tags) > 0 {
		c.removeEverywhere(nil, tags, func() { c.tags.Expire(now(), tags...) })
	}
	c.counters.Here().purges.Add(uint64(len(tags)))
}

// PurgeAll removes everything, also what is being loaded. A Remote is told as by Delete.
func (c *Cache[K, V]) PurgeAll() {
	if c.tier == nil {
		c.forgetAll()
	} else {
		c.removeEverywhere(nil, nil, c.forgetAll)
	}
	c.counters.Here().purges.Add(1)
}

// notEmpty returns a copy of the tags that are some. (A copy: what a Remote is given is on the
// heap, and a cache without one shall not pay for that.)
func notEmpty(tags []string) []string {
	return slices.DeleteFunc(slices.Clone(tags), func(tag string) bool { return tag == "" })
}

// tagged returns tags with those that Config.Tags has for a value.
func (c *Cache[K, V]) tagged(key K, v V, tags []string) []string {
	if c.cfg.Tags == nil {
		return tags
	}
	return append(tags, c.cfg.Tags(key, v)...)
}

// put stores e, or makes sure that what e replaces is not served any more.
func (c *Cache[K, V]) put(e *Entry[K, V]) {
	if e.weight == 0 {
		c.store.Delete(e.Key)
	} else if !c.store.Set(e) {
		c.counters.Here().notStored.Add(1)
	}
}

func (c *Cache[K, V]) jittered(ttl time.Duration) time.Duration {
	if c.cfg.Jitter == 0 || ttl <= 0 {
		return ttl
	}
	return max(ttl-time.Duration(float64(ttl)*c.cfg.Jitter*rand.Float64()), 1)
}

// newEntry makes an entry that is good for ttl from at on; below 0: for ever. Its weight is 0 if it must not
// be stored. User code runs here, and never under a lock.
func (c *Cache[K, V]) newEntry(key K, v V, missing error, at, ttl time.Duration, tags []string, born uint64, cost time.Duration) *Entry[K, V] {
	e := &Entry[K, V]{Key: key, Value: v, born: born, expires: forever}
	e.setCost(cost)
	if ttl >= 0 {
		e.expires = after(at, ttl)
		if missing == nil {
			e.setLinger(max(c.cfg.StaleWhileRevalidate, c.cfg.StaleIfError))
		}
	}
	slots, err := c.tags.Slots(tags)
	switch {
	case err != nil:
		slots = []uint32{} // tagless
	case len(slots) == 0:
		slots = nil
	}
	behind := int64(0)
	if missing != nil || slots != nil || c.tier != nil {
		e.more.Store(&more{missing: missing, slots: slots})
		behind = allocated(size[more]()) + allocated(int64(4*cap(slots)))
	}
	var weight int64
	weighed := true
	if missing == nil {
		weight, weighed = c.weigh(key, v)
	} else { // Weigh need not expect a value that is none
		weight = c.overhead + c.weighMissing(key, missing)
	}
	if err != nil || !weighed {
		c.counters.Here().notStored.Add(1)
		return e
	}
	if weight > maxWeight-behind {
		c.counters.Here().notStored.Add(1)
		return e
	}
	e.setWeight(weight + behind)
	return e
}

// weigh returns what an entry is charged. ok is false if Weigh says no, or is broken.
func (c *Cache[K, V]) weigh(key K, v V) (weight int64, ok bool) {
	defer func() {
		if p := recover(); p != nil {
			c.warn("cache: Weigh panicked, so a value is not stored", p)
			weight, ok = 0, false
		}
	}()
	n := c.cfg.Weigh(key, v)
	if n < 0 {
		c.warn("cache: Weigh is negative, so a value is not stored", n)
		return 0, false
	}
	if n > math.MaxInt64-c.overhead {
		return math.MaxInt64, true // no Store has room for it
	}
	return n + c.overhead, true
}

// warn logs once per cache what would else be logged with every load.
func (c *Cache[K, V]) warn(msg string, value any) {
	if c.warned.CompareAndSwap(false, true) {
		c.cfg.Logger.Warn(msg, "got", fmt.Sprint(value))
	}
}
