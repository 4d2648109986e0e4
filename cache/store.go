package cache

import (
	"reflect"
	"sync/atomic"
	"time"
)

// A Store is an engine: bounded memory for entries. The built-in one is used if Config.Store
// is nil. All methods are safe for concurrent use. A Cache calls Set and Delete of one key
// one at a time, Get at any time. Two Caches must not share a Store: what one has purged the
// other would not know.
type Store[K comparable, V any] interface {
	// Get returns the entry of key, nil if it is not here, and counts as a use. The full key
	// is compared. It should not allocate.
	Get(key K) *Entry[K, V]
	// Peek is Get that is not a use.
	Peek(key K) *Entry[K, V]
	// Set puts e in the place of what its key had: a Get that starts after the return sees e
	// or nothing, never the old entry. false: not kept.
	Set(e *Entry[K, V]) bool
	// Delete removes an entry: every Get that starts after the return sees nothing.
	Delete(key K)
	// Clear is Delete of all keys.
	Clear()
	// Usage returns what is here now, and how many entries were evicted to make room since
	// the start.
	Usage() (items int, bytes int64, evicted uint64)
}

// An Entry is what a Store keeps for a key. It belongs to one Store, and Key and Value must not be
// changed once it was given to that. An engine may drop any entry at any time, garbage first.
type Entry[K comparable, V any] struct {
	Key   K
	Value V

	weight  int64 // 0: must not be stored
	cost    time.Duration
	expires time.Duration // fresh until, on the clock of now
	dies    time.Duration // garbage from then on
	born    uint64        // tagset's Now before its load began
	slots   []uint32      // of its tags
	tagless bool          // they could not be kept: any purge may have been meant
	missing error         // the loader's ErrNotFound, of a negative entry

	due   atomic.Bool   // a refresh was put off: the next Get starts it
	fails atomic.Uint32 // loads in a row that failed to replace it
	retry atomic.Int64  // no load before that time, for the last one failed

	// The built-in engine's own: hash, place, links under the lock of a shard, and how often it was
	// used lately.
	hash       uint64
	inMain     bool
	uses       atomic.Uint32
	prev, next *Entry[K, V]
}

// NewEntry returns an entry for a Store. weight is what it is charged: the bytes of key and
// value and of what the engine needs besides, at least 1. cost is how long it took to get, life how long
// it is of use; life <= 0: for ever.
func NewEntry[K comparable, V any](key K, value V, weight int64, cost, life time.Duration) *Entry[K, V] {
	e := &Entry[K, V]{Key: key, Value: value, weight: weight, cost: cost, expires: forever, dies: forever}
	if life > 0 {
		e.expires = after(now(), life)
		e.dies = e.expires
	}
	return e
}

// Weight returns the bytes charged: key, value and overhead.
func (e *Entry[K, V]) Weight() int64 { return e.weight }

// Cost returns how long the load took: an engine may keep expensive entries longer.
func (e *Entry[K, V]) Cost() time.Duration { return e.cost }

// Garbage reports whether the entry is of no use any more, not even as a stale answer.
func (e *Entry[K, V]) Garbage() bool { return e.dies != forever && now() >= e.dies }

func (e *Entry[K, V]) garbageAt(t time.Duration) bool { return t >= e.dies && e.dies != forever }

// overhead is what an entry needs besides the bytes of its key and value: the rest of the
// struct, and its part of the engine: a place and its mark in a table that is on average 5/8
// full, and as many words of the sketch as there are places.
func overhead[K comparable, V any]() int64 {
	return allocated(size[Entry[K, V]]()) - size[K]() - size[V]() + (word+1+8)*8/5
}

func size[T any]() int64 { return int64(reflect.TypeFor[T]().Size()) }

// started is the base of the clock of all caches. Its monotonic reading is what counts, so
// that a step of the wall clock changes nothing; time.Since of it costs half of time.Now.
var started = time.Now()

func now() time.Duration { return time.Since(started) }

const forever = time.Duration(1<<63 - 1)

// after returns t + d; what overflows is for ever.
func after(t, d time.Duration) time.Duration {
	if t > forever-d {
		return forever
	}
	return t + d
}
