package pool

import (
	"context"
	"time"
)

// An entry is one accepted task: of Go with its function and the caller's context, or a Future.
type entry struct {
	f func(context.Context) error
	c any // context.Context, or promise if f is nil
}

// A promise is a Future of any type.
type promise interface {
	enterQueue()                 // under Pool.mu: it is put in
	leaveQueue() (alive bool)    // under Pool.mu: it is taken out
	execute(w *worker, own bool) // if nobody else has claimed it
	isWaiting() bool             // nobody has claimed it
	claim() bool                 // false: somebody else has
	abandon()                    // ends it with ErrClosed, by who has claimed it; not under Pool.mu
	function() any
}

const smallestRing = 64

// queue is a ring of entries. Futures that were cancelled or run by their waiters stay in it
// as tombstones, until they come to the head or outnumber the living.
type queue struct {
	ring    []entry // its length is a power of two
	head, n int
	dead    int    // tombstones among the n
	taken   uint64 // entries that have left: taken + i numbers the i-th in the order accepted

	pushes  uint64
	probing bool // one entry at a time is clocked: a clock costs more than all the rest
	probe   uint64
	probed  time.Duration // when it came, since born
	born    time.Time     // of the pool: what is left of a clock without the date is cheaper
}

func (q *queue) living() int { return q.n - q.dead }

func (q *queue) push(e entry) {
	if q.n == len(q.ring) {
		q.resize(max(smallestRing, 2*len(q.ring)))
	}
	q.ring[(q.head+q.n)&(len(q.ring)-1)] = e
	q.n++
	if e.f == nil {
		e.c.(promise).enterQueue()
	}
	q.pushes++
	if !q.probing && q.pushes%every(q.n > batch) == 1 {
		q.probing, q.probe, q.probed = true, q.taken+uint64(q.n), time.Since(q.born)
	}
}

// jobIsNext reports whether the first entry is a runner.
func (q *queue) jobIsNext() bool {
	if q.n == 0 || q.ring[q.head].f != nil {
		return false // a task, perhaps with the context of a runner
	}
	_, is := q.ring[q.head].c.(*runner)
	return is
}

// pop takes the first entry; false: it was a tombstone.
func (q *queue) pop() (entry, bool) {
	e := q.ring[q.head]
	q.ring[q.head] = entry{}
	q.head = (q.head + 1) & (len(q.ring) - 1)
	q.n--
	q.taken++
	if e.f == nil && !e.c.(promise).leaveQueue() {
		q.dead--
		return entry{}, false
	}
	return e, true
}

// bury counts a tombstone. Compacting when they are the majority makes a million cancelled
// tasks cost O(1) each, in time and in memory.
func (q *queue) bury() {
	q.dead++
	if q.dead <= q.n/2 || q.n < smallestRing {
		return
	}
	kept := make([]entry, 0, q.living())
	for q.n > 0 {
		if e, alive := q.pop(); alive {
			kept = append(kept, e)
		}
	}
	q.taken -= uint64(len(kept))
	q.ring, q.head = nil, 0
	q.resize(ringFor(len(kept)))
	for _, e := range kept {
		if e.f == nil {
			e.c.(promise).enterQueue()
		}
	}
	q.n = copy(q.ring, kept)
}

func ringFor(n int) int {
	size := smallestRing
	for size < n {
		size *= 2
	}
	return size
}

func (q *queue) resize(size int) {
	ring := make([]entry, size)
	if q.n > 0 {
		k := copy(ring, q.ring[q.head:min(len(q.ring), q.head+q.n)])
		copy(ring[k:], q.ring[:q.n-k])
	}
	q.ring, q.head = ring, 0
}
