package cache

import (
	"math"
	"sync/atomic"
	"time"
)

// An Entry is what a Store keeps for a key. It belongs to one Store, and Key and Value must not be
// changed once it was given to that. An engine may drop any entry at any time, garbage first.
//
// It is small, for there are millions: 96 bytes with a string and a value of 16 bytes. What few
// entries have stands behind a pointer.
type Entry[K comparable, V any] struct {
	Key   K
	Value V

	expires time.Duration // fresh until, on the clock of now
	born    uint64        // tagset's Now before its load began
	more    atomic.Pointer[more]

	// The built-in engine's own: hash, links under the lock of a shard, and how often it was used
	// lately, with inMain.
	hash       uint64
	prev, next *Entry[K, V]
	uses       atomic.Uint32

	weight uint32 // in units of 16 bytes; 0: must not be stored
	cost   uint32 // in microseconds
	linger uint32 // seconds after expires in which it may still be served
}

// more is what few entries have.
type more struct {
	missing error         // the loader's ErrNotFound, of a negative entry
	slots   []uint32      // of its tags; empty and not nil: they could not be kept
	began   time.Duration // with a Remote: not before that did its load begin

	due   atomic.Bool   // a refresh was put off: the next Get starts it
	fails atomic.Uint32 // loads in a row that failed to replace it
	retry atomic.Int64  // no load before that time, for the last one failed
}

// missing returns the loader's ErrNotFound; nil: there is a value.
func (e *Entry[K, V]) missing() error {
	if m := e.more.Load(); m != nil {
		return m.missing
	}
	return nil
}

// slots returns those of the tags, and whether there were some that could not be kept: then any
// purge may have been meant.
func (e *Entry[K, V]) slots() (slots []uint32, tagless bool) {
	if m := e.more.Load(); m != nil {
		return m.slots, m.slots != nil && len(m.slots) == 0
	}
	return nil, false
}

// rest returns what few entries have, to note a failure in it.
func (e *Entry[K, V]) rest() *more {
	if m := e.more.Load(); m != nil {
		return m
	}
	e.more.CompareAndSwap(nil, new(more))
	return e.more.Load()
}

// began returns when the load began. ok is false for an entry that no Cache has made.
func (e *Entry[K, V]) began() (t time.Duration, ok bool) {
	if m := e.more.Load(); m != nil {
		return m.began, true
	}
	return 0, false
}

// setBegan is for who has made e, before it is stored.
func (e *Entry[K, V]) setBegan(t time.Duration) { e.rest().began = t }

// NewEntry returns an entry for a Store. weight is what it is charged: the bytes of key and
// value and of what the engine needs besides, at least 1; it is rounded up to 16. cost is how
// long it took to get, life how long it is of use; life <= 0: for ever.
func NewEntry[K comparable, V any](key K, value V, weight int64, cost, life time.Duration) *Entry[K, V] {
	e := &Entry[K, V]{Key: key, Value: value, expires: forever}
	e.setWeight(weight)
	e.setCost(cost)
	if life > 0 {
		e.expires = after(now(), life)
	}
	return e
}

const (
	weightUnit = 16                                       // what a small allocation is rounded up to as well
	maxWeight  = (math.MaxUint32 - 1) * int64(weightUnit) // nearly 64 GiB: what is heavier is not stored
)

func (e *Entry[K, V]) setWeight(n int64) {
	e.weight = uint32(min(max(n, 0)/weightUnit, math.MaxUint32-1))
	if n > 0 && int64(e.weight)*weightUnit < n {
		e.weight++
	}
}

func (e *Entry[K, V]) setCost(d time.Duration) {
	e.cost = uint32(min(max(d, 0)/time.Microsecond, math.MaxUint32))
}

// setLinger rounds up: a little garbage more is harmless, an entry too few is a load too many.
func (e *Entry[K, V]) setLinger(d time.Duration) {
	e.linger = uint32(min((max(d, 0)+time.Second-1)/time.Second, math.MaxUint32))
}

// Weight returns the bytes charged: key, value and overhead.
func (e *Entry[K, V]) Weight() int64 { return int64(e.weight) * weightUnit }

// Cost returns how long the load took, in whole microseconds: an engine may keep expensive
// entries longer.
func (e *Entry[K, V]) Cost() time.Duration { return time.Duration(e.cost) * time.Microsecond }

// Garbage reports whether the entry is of no use any more, not even as a stale answer.
func (e *Entry[K, V]) Garbage() bool { return e.expires != forever && e.garbageAt(now()) }

func (e *Entry[K, V]) garbageAt(t time.Duration) bool { return t >= e.dies() && e.expires != forever }

// dies returns from when on the entry is garbage.
func (e *Entry[K, V]) dies() time.Duration {
	return after(e.expires, time.Duration(e.linger)*time.Second)
}

// What uses holds: a count, and where the entry is.
const (
	mostUses        = 15 // what an entry counts, like the sketch
	inMain   uint32 = 1 << 31
)

// used returns how often the entry was used lately.
func (e *Entry[K, V]) used() int { return int(min(e.uses.Load()&^inMain, mostUses)) }

func (e *Entry[K, V]) use() {
	// Most entries that are read often have no more to count: then nothing is written at all.
	if e.uses.Load()&^inMain < mostUses {
		e.uses.Add(1)
	}
}

// place is for who holds the lock of the shard. A use that comes between is lost.
func (e *Entry[K, V]) place(main bool, uses int) {
	n := uint32(uses)
	if main {
		n |= inMain
	}
	e.uses.Store(n)
}

func (e *Entry[K, V]) isInMain() bool { return e.uses.Load()&inMain != 0 }
