package cache

import (
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"math/bits"
	"runtime"
	"sync/atomic"
)

// engine is the built-in Store: readers take no lock (table.go), what stays is decided by
// frequency (policy.go), and its bounds hold at every moment, for room is reserved before an
// entry comes in.
type engine[K comparable, V any] struct {
	maxBytes int64 // the largest there is: no bound
	maxItems int64 // too
	seed     maphash.Seed
	shards   []shard[K, V]
	shift    int // of the hash, to the number of its shard
	climber  climber

	bytes, items atomic.Int64
	evicted      atomic.Uint64
	turn         atomic.Uint32
}

const (
	shardsPerCore  = 4
	itemsPerShard  = 1_024 // fewer make the contest for places a lottery
	typicalWeight  = 512   // bytes, to guess how many entries there will be
	fewestExpected = 64
)

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
	expected := int64(maxItems)
	if byBytes := maxBytes / typicalWeight; maxBytes >= 0 && (expected == 0 || byBytes < expected) {
		expected = byBytes
	}
	expected = max(expected, fewestExpected)
	n := 1
	for n < shardsPerCore*runtime.GOMAXPROCS(0) && expected/int64(2*n) >= itemsPerShard {
		n *= 2
	}
	if maxBytes < 0 {
		maxBytes = math.MaxInt64
	}
	if maxItems == 0 {
		maxItems = math.MaxInt
	}
	s := &engine[K, V]{
		maxBytes: maxBytes, maxItems: int64(maxItems), seed: maphash.MakeSeed(),
		shards: make([]shard[K, V], n), shift: 64 - bits.TrailingZeros(uint(n)),
	}
	s.climber.begin(expected)
	for i := range s.shards {
		s.shards[i].begin(&s.climber)
	}
	return s, nil
}

func (s *engine[K, V]) locate(key K) (hash uint64, sh *shard[K, V]) {
	hash = maphash.Comparable(s.seed, key)
	return hash, &s.shards[hash>>s.shift] // a shift of 64 is 0
}

func (s *engine[K, V]) Get(key K) *Entry[K, V] {
	hash, sh := s.locate(key)
	e := sh.table.Load().find(hash, key)
	if e == nil {
		return nil
	}
	e.use()
	s.climber.hit(hash)
	return e
}

func (s *engine[K, V]) Peek(key K) *Entry[K, V] {
	hash, sh := s.locate(key)
	return sh.table.Load().find(hash, key)
}

func (s *engine[K, V]) Set(e *Entry[K, V]) bool {
	hash, sh := s.locate(e.Key)
	if e.weight == 0 || e.Weight() > s.maxBytes {
		s.Delete(e.Key)
		return false
	}
	e.hash = hash
	s.climber.miss(hash)
	for !s.put(sh, e) {
		// This shard has nothing to give: the room is in others.
		if !s.makeRoom(sh, e.Weight()) {
			runtime.Gosched() // somebody has reserved it and is about to come in
		}
	}
	if s.climber.due() && s.evicted.Load() > 0 { // while there is room for all, no window is better
		s.climber.climb(s.items.Load())
	}
	return true
}

// put makes room in sh and puts e there; false if there is not enough in sh.
func (s *engine[K, V]) put(sh *shard[K, V], e *Entry[K, V]) bool {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	t := now()
	s.release(sh.sweep(t))
	for {
		old := sh.table.Load().find(e.hash, e.Key)
		if old == e {
			return true
		}
		weight, items := e.Weight(), int64(1)
		if old != nil {
			weight, items = weight-old.Weight(), 0
		}
		if s.reserve(weight, items) {
			if old != nil {
				sh.replace(old, e)
			} else {
				sh.insert(e)
			}
			return true
		}
		// A shard that has given its room to others takes from them, or it would stay small.
		if n := int64(len(s.shards)); n > 1 && sh.window.weight+sh.main.weight < s.bytes.Load()/n/2 {
			return false
		}
		victim := sh.evict(weight, t)
		if victim == nil {
			return false
		}
		s.evicted.Add(1)
		s.release(victim.Weight(), 1)
	}
}

// makeRoom evicts one entry of another shard than sh, each time of the next one.
func (s *engine[K, V]) makeRoom(sh *shard[K, V], weight int64) bool {
	first := s.turn.Add(1)
	for i := range uint32(len(s.shards)) {
		other := &s.shards[(first+i)%uint32(len(s.shards))]
		if other == sh {
			continue
		}
		other.mu.Lock()
		victim := other.evict(weight, now())
		other.mu.Unlock()
		if victim != nil {
			s.evicted.Add(1)
			s.release(victim.Weight(), 1)
			return true
		}
	}
	return false
}

// reserve takes room for an entry, and takes all or nothing.
func (s *engine[K, V]) reserve(weight, items int64) bool {
	if !take(&s.bytes, weight, s.maxBytes) {
		return false
	}
	if !take(&s.items, items, s.maxItems) {
		s.bytes.Add(-weight)
		return false
	}
	return true
}

func take(used *atomic.Int64, n, most int64) bool {
	for {
		have := used.Load()
		if n > 0 && n > most-have {
			return false
		}
		if used.CompareAndSwap(have, have+n) {
			return true
		}
	}
}

func (s *engine[K, V]) release(weight, items int64) {
	if items > 0 {
		s.bytes.Add(-weight)
		s.items.Add(-items)
	}
}

func (s *engine[K, V]) Delete(key K) {
	hash, sh := s.locate(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if e := sh.table.Load().find(hash, key); e != nil {
		sh.remove(e)
		s.release(e.Weight(), 1)
	}
}

func (s *engine[K, V]) Clear() {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		s.release(sh.clear())
		sh.mu.Unlock()
	}
}

func (s *engine[K, V]) Usage() (items int, bytes int64, evicted uint64) {
	return int(s.items.Load()), s.bytes.Load(), s.evicted.Load()
}
