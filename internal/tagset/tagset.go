// Package tagset purges by tag in constant time: an entry remembers when its load began and
// which slots its tags have; a purge raises a number in a slot. No entry is touched, no tag
// is kept, nothing is locked.
package tagset

import (
	"errors"
	"hash/maphash"
	"math/bits"
	"sync/atomic"
	"time"
)

const (
	// MaxTags is the most tags that an entry may have, MaxTagSize the most bytes of one.
	MaxTags    = 64
	MaxTagSize = 1 << 10

	minSlotBits, maxSlotBits = 12, 20
	defaultSlotBits          = 17 // of a cache without a bound in bytes: as one of 64 MiB
	slotSize                 = 8
	share                    = 64 // a table takes at most this part of the memory of its cache
)

// A Table knows what was purged and when. Make one with New; it is safe for concurrent use.
type Table struct {
	seed     maphash.Seed
	slotBits int

	now     atomic.Uint64                            // the number of the last purge
	epoch   atomic.Uint64                            // the number of the last purge of everything
	purged  atomic.Pointer[[]atomic.Uint64]          // per slot: the number of its last purge; made at the first tag
	expired atomic.Pointer[[]atomic.Pointer[expiry]] // made at the first Expire
}

type expiry struct {
	number uint64
	at     time.Duration
}

// New returns a Table for a cache of maxBytes, with between 2^12 and 2^20 slots. It takes at most
// 1/64 of maxBytes once the first tag is used, and after an Expire as much again, besides a
// few words for each slot that was expired. maxBytes <= 0: no bound is known.
func New(maxBytes int64) *Table {
	n := defaultSlotBits
	if maxBytes > 0 {
		slots := uint64(maxBytes) / share / slotSize
		n = min(max(bits.Len64(slots)-1, minSlotBits), maxSlotBits)
	}
	return &Table{seed: maphash.MakeSeed(), slotBits: n}
}

// Now is the birth of what begins now: take it before a load begins.
func (t *Table) Now() uint64 { return t.now.Load() }

// Slots returns the slots of tags, to be kept with an entry. Empty tags are ignored. Too many
// or too long ones are an error, and then the entry must not be kept: a tag that is lost would
// be a stale answer later.
func (t *Table) Slots(tags []string) ([]uint32, error) {
	if len(tags) == 0 {
		return nil, nil
	}
	slots := make([]uint32, 0, min(len(tags), MaxTags))
	for _, tag := range tags {
		switch {
		case tag == "":
			continue
		case len(tag) > MaxTagSize:
			return nil, errTagSize
		case len(slots) == MaxTags:
			return nil, errTags
		}
		slots = append(slots, t.slot(tag))
	}
	return slots, nil
}

var (
	errTags    = errors.New("more than 64 tags")
	errTagSize = errors.New("a tag of more than 1 KiB")
)

func (t *Table) slot(tag string) uint32 {
	return uint32(maphash.String(t.seed, tag) >> (64 - t.slotBits))
}

// Purge makes all entries with one of tags gone that were born before. It costs the same for
// one entry and for millions.
func (t *Table) Purge(tags ...string) {
	number := t.now.Add(1)
	table := ensure(&t.purged, t.slotBits)
	for _, tag := range tags {
		if tag != "" {
			raise(&table[t.slot(tag)], number)
		}
	}
}

// PurgeAll makes everything gone that was born before.
func (t *Table) PurgeAll() { raise(&t.epoch, t.now.Add(1)) }

// Expire makes all entries with one of tags stale that were born before, from at on, a time on
// the caller's own clock. Only the last time is kept: who expires a tag again moves it.
func (t *Table) Expire(at time.Duration, tags ...string) {
	e := &expiry{t.now.Add(1), at}
	table := ensure(&t.expired, t.slotBits)
	for _, tag := range tags {
		if tag == "" {
			continue
		}
		slot := &table[t.slot(tag)]
		for old := slot.Load(); old == nil || old.number < e.number; old = slot.Load() {
			if slot.CompareAndSwap(old, e) {
				break
			}
		}
	}
}

// Gone reports whether an entry was purged since it was born. Two tags may share a slot, and
// then they share their purges: it says so too often, never too seldom.
func (t *Table) Gone(born uint64, slots []uint32) bool {
	if t.epoch.Load() > born {
		return true
	}
	if len(slots) == 0 {
		return false
	}
	table := t.purged.Load()
	if table == nil {
		return false
	}
	for _, slot := range slots {
		if (*table)[slot].Load() > born {
			return true
		}
	}
	return false
}

// ExpiredAt returns since when an entry is stale, if one of its tags was expired since it was
// born.
func (t *Table) ExpiredAt(born uint64, slots []uint32) (at time.Duration, ok bool) {
	if len(slots) == 0 {
		return 0, false
	}
	table := t.expired.Load()
	if table == nil {
		return 0, false
	}
	for _, slot := range slots {
		if e := (*table)[slot].Load(); e != nil && e.number > born && (!ok || e.at < at) {
			at, ok = e.at, true
		}
	}
	return at, ok
}

func raise(n *atomic.Uint64, to uint64) {
	for old := n.Load(); old < to && !n.CompareAndSwap(old, to); old = n.Load() {
	}
}

// ensure returns the table in p, made by the first who needs it.
func ensure[T any](p *atomic.Pointer[[]T], slotBits int) []T {
	if table := p.Load(); table != nil {
		return *table
	}
	table := make([]T, 1<<slotBits)
	if p.CompareAndSwap(nil, &table) {
		return table
	}
	return *p.Load()
}
