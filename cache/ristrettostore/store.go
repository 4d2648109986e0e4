package ristrettostore

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/dgraph-io/ristretto/v2"

	"github.com/hotpath-go/hotpath/cache"
)

// Config of a Store. The zero value is ready to use.
type Config struct {
	// MaxBytes bounds what the entries are charged. 0: 64 MiB; at least 64 KiB.
	MaxBytes int64

	// Items is about how many entries there will be: ristretto sizes its frequency counters by
	// it, ten for each. 0: MaxBytes divided by 1 KiB.
	Items int64
}

const (
	defaultMaxBytes = 64 << 20
	minMaxBytes     = 64 << 10
	bytesPerItem    = 1 << 10
	countersPerItem = 10 // ristretto's advice
	getBuffer       = 64 // too

	// An entry in ristretto's two maps takes so much more than in the built-in engine.
	overhead = 96

	// The window holds the newest entries: a hundredth of the memory, or 64 entries of the
	// expected size, but at most an eighth.
	windowShare, windowItems, maxWindowShare = 100, 64, 8

	// Ristretto's own expiry is never used: it deletes entries that were set again without one.
	// A ticker for it runs all the same; so it ticks every few years.
	neverTick = 1 << 28 // seconds
)

func (cfg Config) withDefaults() (Config, error) {
	var problems []error
	if cfg.MaxBytes != 0 && cfg.MaxBytes < minMaxBytes {
		problems = append(problems, fmt.Errorf("ristrettostore: MaxBytes is %d: must be at least 65536 (0 means 64 MiB)", cfg.MaxBytes))
	}
	if cfg.Items < 0 {
		problems = append(problems, fmt.Errorf("ristrettostore: Items is %d: must not be negative (0 means MaxBytes / 1 KiB)", cfg.Items))
	}
	if len(problems) > 0 {
		return Config{}, errors.Join(problems...)
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = defaultMaxBytes
	}
	if cfg.Items == 0 {
		cfg.Items = cfg.MaxBytes / bytesPerItem
	}
	return cfg, nil
}

const stripes = 8

// A Store is ristretto as an engine of a cache. Make one with New, and Close it.
type Store[K comparable, V any] struct {
	cfg       Config
	maxWindow int64
	hash      func(key K) uint64

	mu     sync.Mutex // of whoever changes something
	window window[K, V]
	engine *engine[K, V] // nil: closed. Changed under mu and all stripes

	// stripe[hash] is held by Get for reading; for writing by whoever changes what the window
	// has of those keys. Clear and Close take all, for ristretto's race with everything.
	stripe [stripes]struct {
		sync.RWMutex
		newest map[K]*node[K, V]
		_      [64]byte
	}

	// What Usage says, as it was when the last write was done: inside of one, ristretto adds
	// before it evicts.
	items   atomic.Int64
	bytes   atomic.Int64
	evicted atomic.Uint64
}

// engine is one ristretto cache with our count of what is in it.
type engine[K comparable, V any] struct {
	*ristretto.Cache[uint64, *cache.Entry[K, V]]
	items, bytes atomic.Int64
	retired      atomic.Bool
}

// New returns a Store. Its error joins everything that is wrong with cfg.
func New[K comparable, V any](cfg Config) (*Store[K, V], error) {
	seed := maphash.MakeSeed()
	return newStore[K, V](cfg, func(key K) uint64 { return maphash.Comparable(seed, key) })
}

func newStore[K comparable, V any](cfg Config, hash func(K) uint64) (*Store[K, V], error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Store[K, V]{cfg: cfg, hash: hash}
	s.maxWindow = min(max(cfg.MaxBytes/windowShare, windowItems*(cfg.MaxBytes/cfg.Items)), cfg.MaxBytes/maxWindowShare)
	if s.engine, err = s.newEngine(); err != nil {
		return nil, err
	}
	s.clearWindow()
	return s, nil
}

func (s *Store[K, V]) newEngine() (*engine[K, V], error) {
	en := new(engine[K, V])
	c, err := ristretto.NewCache(&ristretto.Config[uint64, *cache.Entry[K, V]]{
		NumCounters:            s.cfg.Items * countersPerItem,
		MaxCost:                s.cfg.MaxBytes - s.maxWindow,
		BufferItems:            getBuffer,
		IgnoreInternalCost:     true, // our weights have it
		KeyToHash:              func(hash uint64) (uint64, uint64) { return hash, 0 },
		TtlTickerDurationInSec: neverTick,
		OnEvict: func(*ristretto.Item[*cache.Entry[K, V]]) {
			if !en.retired.Load() { // its own Clear says so too
				s.evicted.Add(1)
			}
		},
		OnReject: func(*ristretto.Item[*cache.Entry[K, V]]) { s.evicted.Add(1) },
		OnExit: func(e *cache.Entry[K, V]) {
			if e != nil { // it also says so of what was not there
				en.items.Add(-1)
				en.bytes.Add(-charge(e))
			}
		},
	})
	if err != nil {
		return nil, fmt.Errorf("ristrettostore: %w", err)
	}
	en.Cache = c
	return en, nil
}

// charge is what an entry costs here.
func charge[K comparable, V any](e *cache.Entry[K, V]) int64 { return e.Weight() + overhead }

// Get returns the entry of key, nil if it is not here.
func (s *Store[K, V]) Get(key K) *cache.Entry[K, V] {
	hash := s.hash(key)
	st := &s.stripe[hash%stripes]
	st.RLock()
	defer st.RUnlock()
	if n := st.newest[key]; n != nil {
		return n.entry
	}
	if s.engine == nil {
		return nil
	}
	if e, ok := s.engine.Get(hash); ok && e.Key == key {
		return e
	}
	return nil
}

// Peek is Get: ristretto has no look that is not a use.
func (s *Store[K, V]) Peek(key K) *cache.Entry[K, V] { return s.Get(key) }

// Set puts e in the place of what its key had.
func (s *Store[K, V]) Set(e *cache.Entry[K, V]) bool {
	hash := s.hash(e.Key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.engine == nil {
		return false
	}
	defer s.publish()
	// Compared by subtraction: a weight may be as large as there are numbers.
	if e.Weight() > s.cfg.MaxBytes-s.maxWindow-overhead {
		s.remove(e.Key, hash)
		return false
	}
	if charge(e) > s.maxWindow { // it would push everything out of the window
		s.remove(e.Key, hash)
		s.admit(e, hash)
		kept, ok := s.engine.Get(hash)
		return ok && kept == e
	}
	// First in, then the old one out: nobody misses the key meanwhile.
	s.enter(e, hash)
	s.expel(e.Key, hash)
	for s.window.bytes > s.maxWindow {
		oldest := s.window.oldest()
		s.admit(oldest.entry, oldest.hash)
		s.leave(oldest)
	}
	return true
}

// Delete removes an entry.
func (s *Store[K, V]) Delete(key K) {
	hash := s.hash(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.engine == nil {
		return
	}
	s.remove(key, hash)
	s.publish()
}

// Clear removes everything. It begins with a new ristretto: its own Clear loses what is queued
// beside it.
func (s *Store[K, V]) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.engine == nil {
		return
	}
	fresh, err := s.newEngine()
	if err != nil {
		return // the configuration has made one before
	}
	s.swap(fresh)
}

// Close ends ristretto's goroutines. After it nothing is here and nothing is kept.
func (s *Store[K, V]) Close(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.engine != nil {
		s.swap(nil)
	}
	return nil
}

// Usage returns what is here now, and how many entries had to leave for others since the start.
func (s *Store[K, V]) Usage() (items int, bytes int64, evicted uint64) {
	return int(s.items.Load()), s.bytes.Load(), s.evicted.Load()
}

// What follows is called under mu.

func (s *Store[K, V]) swap(to *engine[K, V]) {
	old := s.engine
	for i := range s.stripe {
		s.stripe[i].Lock()
	}
	s.engine = to
	s.clearWindow()
	for i := range s.stripe {
		s.stripe[i].Unlock()
	}
	old.retired.Store(true)
	old.Close() // nobody is in it any more
	s.publish()
}

func (s *Store[K, V]) clearWindow() {
	s.window.clear()
	for i := range s.stripe {
		s.stripe[i].newest = make(map[K]*node[K, V])
	}
}

func (s *Store[K, V]) publish() {
	items, bytes := int64(s.window.items), s.window.bytes
	if s.engine != nil {
		items += s.engine.items.Load()
		bytes += s.engine.bytes.Load()
	}
	s.items.Store(items)
	s.bytes.Store(bytes)
}

// enter puts e into the window, in the place of what its key has there.
func (s *Store[K, V]) enter(e *cache.Entry[K, V], hash uint64) {
	n := &node[K, V]{entry: e, hash: hash}
	st := &s.stripe[hash%stripes]
	st.Lock()
	old := st.newest[e.Key]
	st.newest[e.Key] = n
	st.Unlock()
	if old != nil {
		s.window.remove(old)
	}
	s.window.push(n)
}

// leave takes n out of the window.
func (s *Store[K, V]) leave(n *node[K, V]) {
	st := &s.stripe[n.hash%stripes]
	st.Lock()
	delete(st.newest, n.entry.Key)
	st.Unlock()
	s.window.remove(n)
}

// admit lets an entry compete for a place in ristretto, and waits for the answer.
func (s *Store[K, V]) admit(e *cache.Entry[K, V], hash uint64) {
	if s.evictAt(hash) { // another key of the same hash: an update would not compete
		s.evicted.Add(1)
	}
	s.engine.items.Add(1)
	s.engine.bytes.Add(charge(e))
	s.engine.Set(hash, e, charge(e))
	s.engine.Wait()
}

// evictAt empties a place in ristretto, and reports whether it was taken.
func (s *Store[K, V]) evictAt(hash uint64) bool {
	_, taken := s.engine.GetTTL(hash) // a look that is not a use
	if taken {
		s.engine.Del(hash)
		s.engine.Wait()
	}
	return taken
}

// expel removes what ristretto has of key.
func (s *Store[K, V]) expel(key K, hash uint64) {
	if _, taken := s.engine.GetTTL(hash); !taken {
		return
	}
	if e, ok := s.engine.Get(hash); ok && e.Key == key {
		s.evictAt(hash)
	}
}

func (s *Store[K, V]) remove(key K, hash uint64) {
	if n := s.stripe[hash%stripes].newest[key]; n != nil {
		s.leave(n)
	}
	s.expel(key, hash)
}
