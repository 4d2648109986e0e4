package cache

import (
	"math/bits"
	"sync/atomic"
)

// A table is a hash table that readers search without a lock: groups of eight places, a word
// that has a byte of each key's hash, and open addressing from group to group. Writers hold the
// lock of the shard. Entries never move: a table that is full is built anew and published, so
// a reader sees the old one or the new one, whole.
type table[K comparable, V any] struct {
	groups []group[K, V] // a power of two
	used   int           // places that are not empty: taken, or a grave
	taken  int
}

const groupSize = 8

type group[K comparable, V any] struct {
	marks atomic.Uint64 // a byte a place
	entry [groupSize]atomic.Pointer[Entry[K, V]]
}

// Marks. Those of entries are markOf(hash), at least 2.
const (
	empty = 0
	grave = 1 // was taken: a search goes on behind it

	everyByte = 0x0101010101010101
	highBits  = 0x8080808080808080
)

func markOf(hash uint64) uint64 { return max(hash&0xff, 2) }

// first is the group where a search begins. The low byte is the mark's, the high bits are the
// shard's.
func (t *table[K, V]) first(hash uint64) uint64 { return hash >> 8 & uint64(len(t.groups)-1) }

// matches has the high bit of each byte of word set that is mark. It may also set one above a
// byte that matches: whoever uses it compares keys.
func matches(word, mark uint64) uint64 {
	x := word ^ mark*everyByte
	return (x - everyByte) &^ x & highBits
}

func (t *table[K, V]) find(hash uint64, key K) *Entry[K, V] {
	mark := markOf(hash)
	mask := uint64(len(t.groups) - 1)
	for i, n := t.first(hash), uint64(0); n <= mask; i, n = (i+1)&mask, n+1 {
		g := &t.groups[i]
		word := g.marks.Load()
		for m := matches(word, mark); m != 0; m &= m - 1 {
			e := g.entry[bits.TrailingZeros64(m)/8].Load()
			// The place may have changed hands since its mark was read.
			if e != nil && e.hash == hash && e.Key == key {
				return e
			}
		}
		if matches(word, empty) != 0 {
			return nil
		}
	}
	return nil
}

// What follows is for writers.

// full reports whether one more entry would leave a table too full to search.
func (t *table[K, V]) full() bool { return t.used+1 > len(t.groups)*groupSize*7/8 }

func (t *table[K, V]) insert(e *Entry[K, V]) {
	mask := uint64(len(t.groups) - 1)
	for i := t.first(e.hash); ; i = (i + 1) & mask {
		g := &t.groups[i]
		word := g.marks.Load()
		for at := range groupSize {
			was := word >> (8 * at) & 0xff
			if was > grave {
				continue
			}
			if was == empty {
				t.used++
			}
			t.taken++
			g.entry[at].Store(e) // before its mark, by which readers come to it
			g.marks.Store(word&^(0xff<<(8*at)) | markOf(e.hash)<<(8*at))
			return
		}
	}
}

// place returns where e is.
func (t *table[K, V]) place(e *Entry[K, V]) (g *group[K, V], at int) {
	mask := uint64(len(t.groups) - 1)
	for i := t.first(e.hash); ; i = (i + 1) & mask {
		g = &t.groups[i]
		for at := range groupSize {
			if g.entry[at].Load() == e {
				return g, at
			}
		}
	}
}

// replace puts e where old is, of the same key.
func (t *table[K, V]) replace(old, e *Entry[K, V]) {
	g, at := t.place(old)
	g.entry[at].Store(e)
}

func (t *table[K, V]) remove(e *Entry[K, V]) {
	g, at := t.place(e)
	word := g.marks.Load()
	mark := uint64(grave)
	if matches(word, empty) != 0 { // a search ends in this group anyway
		mark = empty
		t.used--
	}
	t.taken--
	g.marks.Store(word&^(0xff<<(8*at)) | mark<<(8*at))
	g.entry[at].Store(nil)
}

// sparse reports whether hardly anything is left of what a table was made for.
func (t *table[K, V]) sparse() bool {
	places := len(t.groups) * groupSize
	return places > 128 && t.taken < places/8
}

// rebuilt returns a table with the same entries and without graves: as large, if these were what
// filled it, else for twice as many.
func (t *table[K, V]) rebuilt() *table[K, V] {
	places := len(t.groups) * groupSize
	room := 2 * t.taken
	if t.taken <= places*5/8 && !t.sparse() {
		room = places * 7 / 8
	}
	n := newTable[K, V](room)
	for i := range t.groups {
		for at := range groupSize {
			if e := t.groups[i].entry[at].Load(); e != nil {
				n.insert(e)
			}
		}
	}
	return n
}

func newTable[K comparable, V any](entries int) *table[K, V] {
	groups := 1
	for groups*groupSize*7/8 < entries {
		groups *= 2
	}
	return &table[K, V]{groups: make([]group[K, V], groups)}
}
