package cache

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

var errShort = errors.New("cache: the Remote returned another number of values than it was asked for")

const (
	remoteTimeout = time.Second     // of a Put or a Drop
	retryFor      = 5 * time.Second // of a Drop that failed; then with the next Fetch that does not
	firstRetry    = 50 * time.Millisecond
	lastRetry     = time.Second
	maxOwed       = 4_096 // keys and tags; more: everything
)

// A tier is what a Cache knows of its Remote: the writes that are under way, and the removals
// that it still owes it.
type tier[K comparable, V any] struct {
	remote Remote[K, V]
	alone  time.Duration
	logged atomic.Int64 // when, in nanoseconds

	mu       sync.Mutex
	writing  map[K]*writing
	owed     debts[K]
	retrying bool
	owes     atomic.Bool
}

// A writing is a Set that has not returned. Two of one key may reach the Remote in another order
// than each other's end here: then neither is kept here.
type writing struct {
	sets  int
	dirty bool // something else has written the key
}

// debts is what was removed here and not there, each with the moment from which on a load is
// known to be newer.
type debts[K comparable] struct {
	keys map[K]time.Duration
	tags map[string]time.Duration
	all  time.Duration // never: not
}

func (d *debts[K]) empty() bool { return len(d.keys)+len(d.tags) == 0 && d.all == never }

func newTier[K comparable, V any](r Remote[K, V]) *tier[K, V] {
	t := &tier[K, V]{
		remote:  r,
		writing: make(map[K]*writing),
		owed:    debts[K]{keys: make(map[K]time.Duration), tags: make(map[string]time.Duration), all: never},
	}
	t.logged.Store(int64(never))
	return t
}

// begin notes a Set, dirty those that are under way with it.
func (t *tier[K, V]) begin(key K) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := t.writing[key]
	if w == nil {
		w = new(writing)
		t.writing[key] = w
	}
	w.sets++
	w.dirty = w.dirty || w.sets > 1
}

// clean reports whether nothing else has written key since begin.
func (t *tier[K, V]) clean(key K) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.writing[key].dirty
}

func (t *tier[K, V]) end(key K) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := t.writing[key]
	if w.sets--; w.sets == 0 {
		delete(t.writing, key)
	}
}

func (t *tier[K, V]) dirty(key K) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if w := t.writing[key]; w != nil {
		w.dirty = true
	}
}

// owe notes a removal that the Remote does not know of. No keys and no tags: of everything.
func (t *tier[K, V]) owe(keys []K, tags []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := now()
	if len(keys)+len(tags) == 0 || len(t.owed.keys)+len(t.owed.tags)+len(keys)+len(tags) > maxOwed {
		t.owed.all = at
		clear(t.owed.keys)
		clear(t.owed.tags)
	} else {
		for _, key := range keys {
			t.owed.keys[key] = at
		}
		for _, tag := range tags {
			t.owed.tags[tag] = at
		}
	}
	t.owes.Store(true)
}

// owesKeys returns how old a shared value of any of keys may be, at most the given age.
func (t *tier[K, V]) owesKeys(keys []K, most time.Duration) time.Duration {
	if !t.owes.Load() {
		return most
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	since := t.owed.all
	for _, key := range keys {
		if at, ok := t.owed.keys[key]; ok {
			since = max(since, at)
		}
	}
	if since == never {
		return most
	}
	return min(most, now()-since)
}

// owesTags returns when the last of the removals by one of tags was that are owed.
func (t *tier[K, V]) owesTags(tags []string) (since time.Duration) {
	since = never
	if len(tags) == 0 || !t.owes.Load() {
		return since
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, tag := range tags {
		if at, ok := t.owed.tags[tag]; ok {
			since = max(since, at)
		}
	}
	return since
}

// delivers starts to pay what is owed, now that the Remote answers.
func (t *tier[K, V]) delivers(c *Cache[K, V]) {
	if !t.owes.Load() {
		return
	}
	t.mu.Lock()
	start := !t.retrying && !t.owed.empty()
	t.retrying = t.retrying || start
	t.mu.Unlock()
	if start {
		go c.payBehind(firstRetry, now()+retryFor)
	}
}

// payBehind tries to pay, and again after wait, then gives up until the Remote is known to answer.
func (c *Cache[K, V]) payBehind(wait, until time.Duration) {
	switch t := c.tier; {
	case c.pay():
	case now() < until:
		time.AfterFunc(wait, func() { c.payBehind(min(2*wait, lastRetry), until) })
	default:
		t.mu.Lock()
		defer t.mu.Unlock()
		t.retrying = false
	}
}

// pay tells the Remote of everything that is owed. true: nothing is, and nobody retries.
func (c *Cache[K, V]) pay() bool {
	t := c.tier
	t.mu.Lock()
	at, all := now(), t.owed.all != never
	var keys []K
	var tags []string
	for key := range t.owed.keys {
		keys = append(keys, key)
	}
	for tag := range t.owed.tags {
		tags = append(tags, tag)
	}
	t.mu.Unlock()

	ok := (!all || c.drop(nil, nil)) && (len(keys)+len(tags) == 0 || c.drop(keys, tags))
	if ok {
		if all {
			c.forgetAll()
		}
		c.forget(keys, tags)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if ok {
		paid := func(since time.Duration) bool { return since <= at }
		if paid(t.owed.all) {
			t.owed.all = never
		}
		for _, key := range keys {
			if paid(t.owed.keys[key]) {
				delete(t.owed.keys, key)
			}
		}
		for _, tag := range tags {
			if paid(t.owed.tags[tag]) {
				delete(t.owed.tags, tag)
			}
		}
	}
	if t.owed.empty() {
		t.owes.Store(false)
		t.retrying = false
		return true
	}
	return false
}

// drop is one try to remove something from the Remote.
func (c *Cache[K, V]) drop(keys []K, tags []string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), remoteTimeout)
	defer cancel()
	err := c.tier.remote.Drop(ctx, keys, tags)
	if err != nil {
		c.remoteFailed(err)
	}
	return err == nil
}

// removeEverywhere removes something here, then from the Remote, then here once more what was
// fetched meanwhile; what the Remote does not know of after that, it will be told behind.
func (c *Cache[K, V]) removeEverywhere(keys []K, tags []string, here func()) {
	here()
	ok := c.drop(keys, tags)
	if !ok {
		c.tier.owe(keys, tags)
	}
	here()
	if !ok {
		c.tier.delivers(c)
	}
}

// setEverywhere stores e, which was made by a Set, in the Remote and then here.
func (c *Cache[K, V]) setEverywhere(key K, e *Entry[K, V], s Shared[V]) {
	t := c.tier
	if s.TTL == 0 { // it may not be stored, but what the key had is gone
		c.removeEverywhere([]K{key}, nil, func() { c.forget([]K{key}, nil) })
		return
	}
	t.begin(key)
	defer t.end(key)
	// Born before it is shared: a purge that is told of meanwhile may have taken it there.
	e.born = c.tags.Now()
	began := now()
	c.flights.Write(key, func() { c.store.Delete(key) })
	ctx, cancel := context.WithTimeout(context.Background(), remoteTimeout)
	defer cancel()
	err := t.remote.Put(ctx, key, s)
	e.setBegan(now())
	if err != nil {
		c.remoteFailed(err)
		t.owe([]K{key}, nil)
		c.keepAlone(e, began)
	}
	c.flights.Write(key, func() {
		if !t.clean(key) {
			c.store.Delete(key)
		} else {
			c.put(e)
		}
	})
	if err != nil {
		t.delivers(c)
	}
}

// dropped hears from the Remote what others have changed.
func (c *Cache[K, V]) dropped(keys []K, tags []string, all bool) {
	if all {
		c.forgetAll()
	}
	c.forget(keys, tags)
}

// forget removes what this process has of keys and tags, and detaches loads of them.
func (c *Cache[K, V]) forget(keys []K, tags []string) {
	for _, key := range keys {
		c.flights.Write(key, func() {
			c.store.Delete(key)
			if c.tier != nil {
				c.tier.dirty(key)
			}
		})
	}
	if len(tags) > 0 {
		c.tags.Purge(tags...)
	}
}

func (c *Cache[K, V]) forgetAll() {
	c.tags.PurgeAll()
	c.store.Clear() // gives the memory back; nothing would be served anyway
}

// remoteFailed counts a failure of the Remote, and logs one a second.
func (c *Cache[K, V]) remoteFailed(err error) {
	c.counters.Here().remoteErrors.Add(1)
	t, last := now(), time.Duration(c.tier.logged.Load())
	if last != never && t-last < time.Second || !c.tier.logged.CompareAndSwap(int64(last), int64(t)) {
		return
	}
	c.cfg.Logger.Warn("cache: the Remote failed", "error", err)
}
