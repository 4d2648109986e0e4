package cache

import (
	"sync"
	"sync/atomic"
	"time"
)

// The policy is W-TinyLFU's admission (Einziger, Friedman and Manes, ACM ToS 2017) with queues that a hit
// does not move: a newcomer waits in a window; when it falls out it competes for a place with the
// entry at the hand of a clock, and the one that was used more often stays. A hit writes one small
// counter in its entry and takes no lock.

// A shard is a part of the keys.
type shard[K comparable, V any] struct {
	table atomic.Pointer[table[K, V]]

	mu      sync.Mutex
	window  queue[K, V] // first in, first out
	main    queue[K, V] // its front is the hand of the clock
	sketch  sketch
	climber *climber
	dice    uint64 // see contest
	broom   broom
	_       [64]byte
}

const mostTurns = 64 // of the hand, in search of somebody who was not used

func (sh *shard[K, V]) begin(c *climber) {
	sh.climber = c
	sh.clear()
}

func (sh *shard[K, V]) clear() (weight, items int64) {
	weight, items = sh.window.weight+sh.main.weight, sh.window.items+sh.main.items
	sh.window.unlink()
	sh.main.unlink()
	sh.table.Store(newTable[K, V](0))
	sh.window.begin()
	sh.main.begin()
	sh.sketch = sketch{}
	sh.broom = broom{soonest: forever, next: forever}
	return weight, items
}

// windowSize is the weight that the window should have, a part of what is here: which of the
// bounds is the one that counts need not be known.
func (sh *shard[K, V]) windowSize() int64 {
	return int64(float64(sh.window.weight+sh.main.weight) * sh.climber.window())
}

func (sh *shard[K, V]) insert(e *Entry[K, V]) {
	t := sh.table.Load()
	if t.full() {
		t = t.rebuilt()
		sh.publish(t)
	}
	e.place(false, 0)
	t.insert(e)
	sh.broom.note(e.dies())
	sh.window.push(e)
	sh.sketch.keys = max(t.taken, len(sh.sketch.words)/2)
	sh.sketch.add(e.hash, 1)
	// There is room, or e would not be here: nobody has to compete.
	for sh.window.weight > sh.windowSize() && sh.window.items > 1 {
		oldest := sh.window.front()
		sh.window.remove(oldest)
		oldest.place(true, oldest.used())
		sh.main.push(oldest)
	}
}

// publish gives the shard a table that was built anew.
func (sh *shard[K, V]) publish(t *table[K, V]) {
	sh.table.Store(t)
	sh.fitSketch(t)
	sh.broom.restart()
}

// fitSketch gives a table that has grown a sketch of its size, if it has one.
func (sh *shard[K, V]) fitSketch(t *table[K, V]) {
	places := len(t.groups) * groupSize
	if have := len(sh.sketch.words); places > have && have > 0 || places <= have/4 {
		sh.beginSketch(t)
	}
}

// beginSketch makes a sketch in which every entry was asked for once: what it was used since
// stands in itself. Estimates of a smaller sketch must not be taken over: their errors would add
// up from size to size, until nobody could compete with those who came first.
func (sh *shard[K, V]) beginSketch(t *table[K, V]) {
	sh.sketch.begin(len(t.groups) * groupSize)
	for i := range t.groups {
		for at := range groupSize {
			if e := t.groups[i].entry[at].Load(); e != nil {
				sh.sketch.add(e.hash, 1)
			}
		}
	}
}

// replace lets e take the place of old, and what is known of how often the key is used.
func (sh *shard[K, V]) replace(old, e *Entry[K, V]) {
	e.place(old.isInMain(), old.used())
	sh.table.Load().replace(old, e)
	sh.broom.note(e.dies())
	sh.queueOf(old).replace(old, e)
}

func (sh *shard[K, V]) queueOf(e *Entry[K, V]) *queue[K, V] {
	if e.isInMain() {
		return &sh.main
	}
	return &sh.window
}

func (sh *shard[K, V]) remove(e *Entry[K, V]) {
	t := sh.table.Load()
	t.remove(e)
	sh.queueOf(e).remove(e)
	if t.sparse() {
		t = t.rebuilt()
		sh.publish(t)
	}
}

// evict removes the entry that is worth least and returns it; nil: there is none. room is what is
// wanted for a newcomer.
func (sh *shard[K, V]) evict(room int64, t time.Duration) *Entry[K, V] {
	if sh.sketch.words == nil { // while there is room for all nobody competes
		sh.beginSketch(sh.table.Load())
	}
	switch {
	case sh.main.items == 0 && sh.window.items == 0:
		return nil
	case sh.main.items == 0:
		return sh.drop(sh.window.front())
	case sh.window.items == 0 || sh.window.weight+room <= sh.windowSize():
		return sh.drop(sh.victim(t))
	}
	candidate, victim := sh.window.front(), sh.victim(t)
	if !sh.wins(candidate, victim, t) {
		return sh.drop(candidate)
	}
	sh.window.remove(candidate)
	candidate.place(true, candidate.used())
	sh.main.push(candidate)
	return sh.drop(victim)
}

// victim turns the hand: who was used since it last came by stays, with half of its uses left;
// the other half goes to the sketch, which remembers keys longer than entries.
func (sh *shard[K, V]) victim(t time.Duration) *Entry[K, V] {
	for range min(sh.main.items, mostTurns) { // whoever writes waits for it
		e := sh.main.front()
		uses := e.used()
		if uses == 0 || e.garbageAt(t) {
			return e
		}
		sh.sketch.add(e.hash, uses-uses/2)
		e.place(true, uses/2)
		sh.main.remove(e)
		sh.main.push(e)
	}
	return sh.main.front()
}

const (
	warm = 6   // uses, from which on a candidate may win by luck
	luck = 128 // once in so many times
)

// wins reports whether candidate takes the place of victim: if its key was used more often. Luck
// is against those who make a few keys look so popular that nothing else ever gets in.
func (sh *shard[K, V]) wins(candidate, victim *Entry[K, V], t time.Duration) bool {
	if candidate.garbageAt(t) || victim.garbageAt(t) {
		return !candidate.garbageAt(t)
	}
	c, v := sh.uses(candidate), sh.uses(victim)
	if c > v {
		return true
	}
	sh.dice = sh.dice*6364136223846793005 + candidate.hash | 1 // Knuth's MMIX
	return c >= warm && sh.dice>>32%luck == 0
}

func (sh *shard[K, V]) uses(e *Entry[K, V]) int {
	return sh.sketch.estimate(e.hash) + e.used()
}

func (sh *shard[K, V]) drop(e *Entry[K, V]) *Entry[K, V] {
	if uses := e.used(); uses > 0 {
		sh.sketch.add(e.hash, uses)
	}
	sh.remove(e)
	return e
}

// A queue is a ring of entries through their own links.
type queue[K comparable, V any] struct {
	root   Entry[K, V]
	items  int64
	weight int64
}

func (q *queue[K, V]) begin() {
	q.root.prev, q.root.next = &q.root, &q.root
	q.items, q.weight = 0, 0
}

// unlink takes all entries apart, or a reader that keeps one keeps all.
func (q *queue[K, V]) unlink() {
	for e := q.root.next; e != nil && e != &q.root; {
		next := e.next
		e.prev, e.next = nil, nil
		e = next
	}
}

func (q *queue[K, V]) front() *Entry[K, V] { return q.root.next }

func (q *queue[K, V]) push(e *Entry[K, V]) {
	e.prev, e.next = q.root.prev, &q.root
	e.prev.next, e.next.prev = e, e
	q.items++
	q.weight += e.Weight()
}

func (q *queue[K, V]) remove(e *Entry[K, V]) {
	e.prev.next, e.next.prev = e.next, e.prev
	e.prev, e.next = nil, nil // or a reader that keeps e keeps its neighbours
	q.items--
	q.weight -= e.Weight()
}

func (q *queue[K, V]) replace(old, e *Entry[K, V]) {
	e.prev, e.next = old.prev, old.next
	e.prev.next, e.next.prev = e, e
	old.prev, old.next = nil, nil
	q.weight += e.Weight() - old.Weight()
}
