package cache

import (
	"errors"
	"fmt"
	"sync"
)

// lru is the built-in engine: a map and a list in the order of use behind one lock, bounded
// exactly.
type lru[K comparable, V any] struct {
	maxBytes int64 // < 0: no bound
	maxItems int   // 0: no bound

	mu      sync.Mutex
	entries map[K]*Entry[K, V]
	root    Entry[K, V] // of the ring: root.next was used last, root.prev first
	bytes   int64
	evicted uint64
}

// NewStore returns the built-in engine. Its bounds are those of Config: maxBytes 0 means
// 64 MiB and negative no bound, maxItems 0 means no bound.
func NewStore[K comparable, V any](maxBytes int64, maxItems int) (Store[K, V], error) {
	var problems []error
	if maxItems < 0 {
		problems = append(problems, fmt.Errorf("cache: maxItems is %d: must not be negative (0 means no bound but maxBytes)", maxItems))
	}
	if maxBytes < 0 && maxItems == 0 {
		problems = append(problems, fmt.Errorf("cache: maxBytes is %d without maxItems: one of them must bound the store", maxBytes))
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	if maxBytes == 0 {
		maxBytes = defaultMaxBytes
	}
	s := &lru[K, V]{maxBytes: maxBytes, maxItems: maxItems}
	s.clear()
	return s, nil
}

func (s *lru[K, V]) Get(key K) *Entry[K, V] {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[key]
	if e != nil && s.root.next != e {
		unlink(e)
		s.link(e)
	}
	return e
}

func (s *lru[K, V]) Peek(key K) *Entry[K, V] {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.entries[key]
}

func (s *lru[K, V]) Set(e *Entry[K, V]) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.entries[e.Key]; old != nil {
		s.remove(old)
	}
	if s.maxBytes >= 0 && e.weight > s.maxBytes {
		return false
	}
	// Room first, so that the bound holds at every moment.
	for s.maxBytes >= 0 && s.bytes+e.weight > s.maxBytes || s.maxItems > 0 && len(s.entries) >= s.maxItems {
		s.remove(s.root.prev)
		s.evicted++
	}
	s.entries[e.Key] = e
	s.bytes += e.weight
	s.link(e)
	return true
}

func (s *lru[K, V]) Delete(key K) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.entries[key]; e != nil {
		s.remove(e)
	}
}

func (s *lru[K, V]) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
}

func (s *lru[K, V]) Usage() (items int, bytes int64, evicted uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.entries), s.bytes, s.evicted
}

// clear makes a new map: a Go map never gives memory back.
func (s *lru[K, V]) clear() {
	s.entries = make(map[K]*Entry[K, V])
	s.root.prev, s.root.next = &s.root, &s.root
	s.bytes = 0
}

func (s *lru[K, V]) link(e *Entry[K, V]) {
	e.prev, e.next = &s.root, s.root.next
	e.prev.next, e.next.prev = e, e
}

func (s *lru[K, V]) remove(e *Entry[K, V]) {
	delete(s.entries, e.Key)
	s.bytes -= e.weight
	unlink(e)
}

func unlink[K comparable, V any](e *Entry[K, V]) {
	e.prev.next, e.next.prev = e.next, e.prev
	e.prev, e.next = nil, nil // or a reader that keeps e keeps its neighbours
}
