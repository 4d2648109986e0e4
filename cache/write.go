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
	e := c.newEntry(key, c.clone(value), nil, now(), c.jittered(ttl), slices.Clip(tags), 0, 0)
	c.flights.Write(key, func() {
		// Born now: a purge that came between would else take this value, and with it the
		// effect of a write that has ended since.
		e.born = c.tags.Now()
		c.put(e)
	})
}

// Delete removes keys. When it returns they are gone, and loads of them that were under way
// are not stored.
func (c *Cache[K, V]) Delete(keys ...K) {
	for _, key := range keys {
		c.flights.Write(key, func() { c.store.Delete(key) })
	}
}

// PurgeTags removes all entries that have one of tags, also those that are being loaded. It
// takes the same time whatever their number.
func (c *Cache[K, V]) PurgeTags(tags ...string) {
	c.tags.Purge(tags...)
	c.counters.Here().purges.Add(uint64(len(tags)))
}

// ExpireTags makes all entries stale that have one of tags, as if their TTL ended now:
// StaleWhileRevalidate and StaleIfError apply from now on, and once more from the next
// ExpireTags, but never from later than the end of the TTL.
func (c *Cache[K, V]) ExpireTags(tags ...string) {
	c.tags.Expire(now(), tags...)
	c.counters.Here().purges.Add(uint64(len(tags)))
}

// PurgeAll removes everything, also what is being loaded.
func (c *Cache[K, V]) PurgeAll() {
	c.tags.PurgeAll()
	c.store.Clear() // gives the memory back; nothing would be served anyway
	c.counters.Here().purges.Add(1)
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
	if missing == nil && c.cfg.Tags != nil {
		tags = append(tags, c.cfg.Tags(key, v)...)
	}
	slots, err := c.tags.Slots(tags)
	behind := int64(0)
	if missing != nil || slots != nil || err != nil {
		e.more.Store(&more{missing: missing, slots: slots, tagless: err != nil})
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
