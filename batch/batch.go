package batch

import (
	"context"
	"iter"
	"slices"
	"time"
)

// A batch is the keys of one fetch.
type batch[K comparable, V any] struct {
	set    *set[K, V]
	ctx    fetchContext
	done   chan struct{} // closed when it has landed
	opened time.Time

	// Guarded by set.mu.
	state    state
	reason   reason
	timer    *time.Timer // until MaxWait is over; nil: nobody is waited for
	size     int         // entries, of which
	live     int         // somebody still wants
	callers  int         // of all entries, with those who deferred
	wanted   int         // callers who wait
	urgent   bool        // a Fetch waits for it
	deserted bool        // all callers left while it flew
	overdue  bool        // it has been held for MaxWait: the gate does not count
	tasks    []*task     // of these: they run again when it lands
	chunks   [][]entry[K, V]

	// A lonely load needs no more than these.
	one    [1]entry[K, V]
	key    [1]K
	list   [1][]entry[K, V]
	tasks1 [1]*task
}

type state uint8

const (
	open   state = iota
	filled       // takes no more keys, and nobody waits for one of them yet
	ripe         // leaves when no key joins while others run
	held         // the same, behind the gate
	queued       // full, behind MaxConcurrent
	flying       // nobody's key joins any more
	landed
)

// A reason is why a batch left.
type reason uint8

const (
	quietBatch reason = iota
	fullBatch
	waitedBatch
	unscopedBatch
)

func (b *batch[K, V]) init() {
	b.done = make(chan struct{})
	b.tasks = b.tasks1[:0]
	b.list[0] = b.one[:0]
	b.chunks = b.list[:]
	b.ctx.task.node = &b.ctx.node
	if sc := b.set.scope; sc != nil {
		b.ctx.values, b.ctx.task.scope = sc.values, sc
	}
}

// maxChunk bounds how many entries are made at a time.
const maxChunk = 128

// add returns a new entry. Entries are never moved: those who wait for them hold pointers.
func (b *batch[K, V]) add(key K) *entry[K, V] {
	last := len(b.chunks) - 1
	if chunk := b.chunks[last]; len(chunk) == cap(chunk) {
		b.chunks = append(b.chunks, make([]entry[K, V], 0, min(4*cap(chunk), maxChunk)))
		last++
	}
	b.chunks[last] = append(b.chunks[last], entry[K, V]{key: key, b: b})
	b.size++
	b.live++
	return &b.chunks[last][len(b.chunks[last])-1]
}

// fill says that b, for which nobody waits, takes no more keys. set.mu is held.
func (b *batch[K, V]) fill() {
	s := b.set
	b.state, s.open = filled, nil
	if s.scope != nil {
		s.filled = append(s.filled, b)
	}
}

// letGo makes b, of callers without a scope who may never ask for it, something that nothing but they
// refers to: then it is garbage when they are gone. set.mu is held.
func (b *batch[K, V]) letGo() {
	if b.state == filled && b.set.scope == nil {
		for e := range b.entries() {
			b.set.remove(e)
		}
	}
}

// entries yields those that somebody wants or wanted when it left.
func (b *batch[K, V]) entries() iter.Seq[*entry[K, V]] {
	return func(yield func(*entry[K, V]) bool) {
		for _, chunk := range b.chunks {
			for i := range chunk {
				if !chunk[i].gone && !yield(&chunk[i]) {
					return
				}
			}
		}
	}
}

// keys returns the keys to fetch, for Fetch to keep.
func (b *batch[K, V]) keys() []K {
	keys := b.key[:0]
	if b.live > 1 {
		keys = make([]K, 0, b.live)
	}
	for e := range b.entries() {
		keys = append(keys, e.key)
	}
	return keys
}

// ripen lets b leave, soon. set.mu is held.
func (b *batch[K, V]) ripen(why reason) {
	b.stop()
	b.state, b.reason = ripe, why
	go b.set.lift(b)
}

// late is called when MaxWait is over.
func (b *batch[K, V]) late() {
	b.set.mu.Lock()
	if b.state == open {
		b.ripen(waitedBatch)
	}
	b.set.mu.Unlock()
}

// hold keeps b behind the gate until a fetch ends, or MaxWait is over: a source may hang. set.mu is
// held.
func (b *batch[K, V]) hold() {
	b.state = held
	wait := b.set.l.cfg.MaxWait
	if wait < 0 { // that is about tasks
		wait = defaultMaxWait
	}
	b.timer = time.AfterFunc(wait, b.expire)
}

// expire is called when b has been held for MaxWait.
func (b *batch[K, V]) expire() {
	s := b.set
	s.mu.Lock()
	var next *batch[K, V]
	if b.state == held {
		b.overdue = true
		next = s.next()
	}
	s.mu.Unlock()
	s.fly(next)
}

// hurry lets b leave at once, whatever it would wait for. set.mu is held.
func (b *batch[K, V]) hurry() {
	s := b.set
	if b.state == queued {
		s.full = slices.DeleteFunc(s.full, func(other *batch[K, V]) bool { return other == b })
	}
	if b.state == open && s.scope == nil {
		b.reason = unscopedBatch
	}
	s.depart(b)
	go s.fly(b)
}

func (b *batch[K, V]) stop() {
	if b.timer != nil {
		b.timer.Stop()
	}
}

// unlist takes t, whose caller left, off the tasks to wake.
func (b *batch[K, V]) unlist(t *task) {
	if i := slices.Index(b.tasks, t); i >= 0 {
		b.tasks = slices.Delete(b.tasks, i, i+1)
	}
}

var _ context.Context = (*fetchContext)(nil)
