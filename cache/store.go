package cache

import "reflect"

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

// overhead is what an entry needs besides the bytes of its key and value: the rest of the
// struct, and its part of the engine: a place and its mark in a table that is on average 5/8
// full, and as many words of the sketch as there are places.
func overhead[K comparable, V any]() int64 {
	return allocated(size[Entry[K, V]]()) - size[K]() - size[V]() + (word+1+8)*8/5
}

func size[T any]() int64 { return int64(reflect.TypeFor[T]().Size()) }
