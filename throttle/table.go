package throttle

import (
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"
)

// A table holds the buckets of one policy: a fixed number of slots without pointers, made once.
// It is never swept. A bucket whose time has come is full, and a full bucket need not be
// remembered, so its slot is free.
//
// A key may stand in 16 slots of either of two sets. So many are needed: simulated with keys that
// come once, 4 slots lose 19 of 100 at a load of 0.8, 8 slots one in 500 at 0.7, and 16 slots none
// of a million up to 0.76; Capacity is 0.75 of the slots.
//
// A slot changes its owner only by claiming a word that lies in the past, and every later word
// of the slot lies after it. So a compare-and-swap from an old word never hits a bucket of
// somebody else, and known keys need no lock.
type table struct {
	sets  []set
	locks [64]paddedMutex
	law   law
	keep  bool // OnFull "refuse": no record with debt is ever dropped
}

type set struct {
	fp   [setSize]atomic.Uint64 // the key's hash; 0: never used
	word [setSize]atomic.Uint64
}

type paddedMutex struct {
	sync.Mutex
	_ [64 - 8]byte
}

const (
	setSize  = 16
	claimed  = ^uint64(0) // the word of a slot that is changing its owner
	slotSize = 16         // bytes
)

func newTable(l law, capacity int, keep bool) *table {
	slots := (int64(capacity)*4 + 2) / 3
	return &table{sets: make([]set, (slots+setSize-1)/setSize), law: l, keep: keep}
}

// A place is where a record was found; the zero place is none.
type place struct {
	set *set
	i   int
}

func (p place) word() *atomic.Uint64 { return &p.set.word[p.i&(setSize-1)] }

// fingerprint is never that of an unused slot.
func fingerprint(hash uint64) uint64 { return max(hash, 1) }

// candidates are the two sets in which fp may stand, by multiply-shift: any number of sets
// will do. The multiplier is 2^64 divided by the golden ratio.
func (t *table) first(fp uint64) *set {
	i, _ := bits.Mul64(fp, uint64(len(t.sets)))
	return &t.sets[i]
}

func (t *table) second(fp uint64) *set {
	i, _ := bits.Mul64(bits.RotateLeft64(fp, 32)*0x9E3779B97F4A7C15, uint64(len(t.sets)))
	return &t.sets[i]
}

func (s *set) index(fp uint64) int {
	for i := range s.fp {
		if s.fp[i].Load() == fp {
			return i
		}
	}
	return -1
}

// find returns the record of fp and its word.
func (t *table) find(fp uint64) (place, uint64, bool) {
	for {
		s := t.first(fp)
		i := s.index(fp)
		if i < 0 {
			s = t.second(fp)
			if i = s.index(fp); i < 0 {
				return place{}, 0, false
			}
		}
		v := s.word[i&(setSize-1)].Load()
		if v == claimed {
			runtime.Gosched()
			continue
		}
		if s.fp[i&(setSize-1)].Load() == fp { // else the word is already that of the next owner
			return place{s, i}, v, true
		}
	}
}

// add is what swap and insert write: one unit more if it would look claimed.
func add(now, debt uint64) uint64 {
	if now += debt; now == claimed {
		now++
	}
	return now
}

// An insertion is what came of one.
type insertion struct {
	place
	found     bool   // somebody else has inserted the key meanwhile
	full      bool   // keep, and there is no room for wait units
	wait      uint64 // units
	forgotten bool   // a record with debt went
	now       uint64 // units, the moment of insertion
	word      uint64
}

// insert makes a record for a key that has none: a full bucket, less debt. clock is read again
// once the slot is claimed: by an older reading a record of the same key that came and went
// in between would be given twice.
func (t *table) insert(fp uint64, clock *clock, debt uint64) insertion {
	lock := &t.locks[fp%uint64(len(t.locks))]
	lock.Lock() // or two goroutines would insert the key twice
	defer lock.Unlock()
	for {
		if _, _, ok := t.find(fp); ok {
			return insertion{found: true}
		}
		at, v, ahead := t.choose(fp, clock.units(&t.law))
		if at.set == nil {
			runtime.Gosched() // all 32 are being claimed
			continue
		}
		if ahead > 0 && t.keep {
			return insertion{full: true, wait: ahead}
		}
		if !at.word().CompareAndSwap(v, claimed) {
			continue
		}
		now := clock.units(&t.law)
		word := add(now, debt)
		at.set.fp[at.i].Store(fp)
		at.word().Store(word)
		return insertion{place: at, forgotten: ahead > 0, now: now, word: word}
	}
}

// choose returns a free slot of the emptier of the two sets of fp; if there is none the record
// with the least debt of all 32, and how far that is ahead of being free.
func (t *table) choose(fp, now uint64) (at place, word, ahead uint64) {
	least := ^uint64(0)
	most := 0
	for _, s := range [...]*set{t.first(fp), t.second(fp)} {
		free := 0
		var here place
		var v uint64
		for i := range s.word {
			w := s.word[i].Load()
			if w == claimed {
				continue
			}
			owes := w - now
			if owes > t.law.idle || s.fp[i].Load() == 0 {
				if free++; free == 1 {
					here, v = place{s, i}, w
				}
				continue
			}
			// Only what lies before now may be claimed as free: one unit more.
			if owes++; most == 0 && free == 0 && owes < least {
				least, at, word = owes, place{s, i}, w
			}
		}
		if free > most {
			most, at, word = free, here, v
		}
	}
	if most > 0 {
		return at, word, 0
	}
	return at, word, least
}

// live counts the records with debt, from at most 256 sets.
func (t *table) live(now uint64) int64 {
	step := max(len(t.sets)/256, 1)
	var seen, live int64
	for i := 0; i < len(t.sets) && seen < 256; i += step {
		seen++
		for j := range t.sets[i].word {
			if v := t.sets[i].word[j].Load(); v != claimed && t.law.ahead(v, now) > 0 {
				live++
			}
		}
	}
	return live * int64(len(t.sets)) / seen
}
