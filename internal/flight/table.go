package flight

import (
	"hash/maphash"
	"sync"
)

const shards = 64

// A Table is a sharded map of what is under way for each key.
type Table[K comparable, F any] struct {
	seed  maphash.Seed
	shard [shards]struct {
		mu sync.Mutex
		m  map[K]*F
		_  [64]byte // or neighbours share a cache line
	}
}

// NewTable returns an empty Table with a hash seed of its own.
func NewTable[K comparable, F any]() *Table[K, F] {
	return &Table[K, F]{seed: maphash.MakeSeed()}
}

// With calls fn under the lock of key. fn is given what is under way, nil if nothing is,
// and returns what is to be. The lock is shared with other keys: hold it for a look or a
// store, never for the work.
//
// A key that is not equal to itself, as NaN, could never be found again: nothing is ever under
// way for it, and what fn returns is not kept.
func (t *Table[K, F]) With(key K, fn func(cur *F) *F) {
	if key != key { // this is how a NaN shows, in whatever type it hides
		fn(nil)
		return
	}
	s := &t.shard[maphash.Comparable(t.seed, key)%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	cur := s.m[key]
	switch next := fn(cur); {
	case next == cur:
	case next == nil:
		delete(s.m, key)
	default:
		if s.m == nil {
			s.m = make(map[K]*F)
		}
		s.m[key] = next
	}
}
