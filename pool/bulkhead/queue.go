package bulkhead

import (
	"hash/maphash"
	"math"
	"slices"
	"time"
)

const (
	levels        = 4  // urgent, normal, low, idle
	flows         = 64 // queues of a level
	choices       = 4  // of them a tenant has
	shareWindow   = 400
	slackServices = 2 // service times that must be left when a request starts
)

var levelNames = [...]string{"urgent", "normal", "low", "idle"}

func levelOf(priority int) int { return 1 - min(max(priority, -2), 1) }

// A waiter is one request in a queue.
type waiter struct {
	ready      chan error
	until      time.Time
	flow       *flow
	level      *level
	next, prev *waiter
	out        bool
	began      time.Time     // when it was called
	charged    time.Duration // to flow, before it is known how long it takes
}

// A flow is one queue: a list, oldest first.
type flow struct {
	oldest, newest *waiter
	n              int
	since          time.Time // not empty since
	used           float64   // service time of late, in units of its level
}

// A level holds the flows of one priority. The next turn is of the flow that had least service of
// late: so a tenant that asks for less than its share does not wait for one that asks for more,
// and long services cost more turns than short ones.
type level struct {
	flows  [flows]flow
	active []*flow // those with waiters
	n      int
	unit   float64 // grows, so that what was used long ago counts less
}

// use charges f for a service, or for what it took more than was charged before. memory is how
// much service is all that counts.
func (l *level) use(f *flow, took, memory time.Duration) {
	l.unit = max(l.unit, 1)
	if took > 0 {
		l.unit *= 1 + took.Seconds()/memory.Seconds()
	}
	f.used = max(0, f.used+l.unit*took.Seconds())
	if l.unit > 1e100 {
		for i := range l.flows {
			l.flows[i].used /= l.unit
		}
		l.unit = 1
	}
}

// inactive takes f, which has become empty, from those with waiters.
func (l *level) inactive(f *flow) {
	i := slices.Index(l.active, f)
	last := len(l.active) - 1
	l.active[i], l.active[last] = l.active[last], nil
	l.active = l.active[:last]
}

// share remembers to whom the last starts went.
type share struct {
	by    [levels]int
	total int
}

func (s *share) count(level int) {
	s.by[level]++
	if s.total++; s.total > shareWindow {
		s.total = 0
		for i := range s.by {
			s.by[i] /= 2
			s.total += s.by[i]
		}
	}
}

// queues are all who wait, guarded by Bulkhead.mu.
type queues struct {
	levels  [levels]level
	waiting int
	share   share
}

// slack is how long waiting is still useful, for a client that waits for patience in all.
func (b *Bulkhead) slack(patience time.Duration) time.Duration {
	return max(patience-slackServices*b.mean, patience/2)
}

// line puts a request into a queue, or refuses it.
func (b *Bulkhead) line(patience time.Duration, tenant string, at int, now time.Time) (*waiter, error) {
	if patience < b.mean || patience <= 0 {
		b.hopeless++
		return nil, b.full()
	}
	l := &b.levels[at]
	f := &l.flows[0]
	if tenant != "" {
		f = l.choose(maphash.String(b.seed, tenant))
	}
	slack := b.slack(patience)
	standing := f.n > 0 && now.Sub(f.since) > slack
	if !standing && b.mean > 0 && len(l.active) <= 1 {
		ahead := 0
		for i := range at + 1 {
			ahead += b.levels[i].n
		}
		if b.work(ahead)/2 > slack {
			b.hopeless++
			return nil, b.full()
		}
	}
	if b.waiting >= b.cfg.Queue && !b.makeRoom(at) {
		b.overfull++
		return nil, b.full()
	}
	if standing && b.servedAbove(at) {
		// It learns early: its queue stands because others are served before it.
		slack = min(slack, max(b.cfg.Patience/20, 3*time.Duration(float64(b.mean)/b.limit)))
	}
	w := &waiter{ready: make(chan error, 1), until: now.Add(slack), flow: f, level: l}
	if f.n == 0 {
		f.since = now
		l.active = append(l.active, f)
	}
	f.append(w)
	l.n++
	b.waiting++
	return w, nil
}

// choose takes the shortest of a tenant's queues, of equals that which had least service, so that
// a flood never shares all queues of a small one.
func (l *level) choose(hash uint64) *flow {
	f := &l.flows[hash%flows]
	for range choices - 1 {
		hash >>= 8
		if other := &l.flows[hash%flows]; other.n < f.n || other.n == f.n && other.used < f.used {
			f = other
		}
	}
	return f
}

func (b *Bulkhead) servedAbove(at int) bool {
	for i := range at {
		if b.levels[i].n > 0 || b.share.by[i] > 0 {
			return true
		}
	}
	return false
}

// work is how long n requests take with the limit that is in force, or soon will be.
func (b *Bulkhead) work(n int) time.Duration {
	return time.Duration(min(float64(n)*float64(b.mean)/max(b.limit, b.high), math.MaxInt64/2))
}

// makeRoom drops the oldest of the longest queue of the lowest level that waits, unless that is
// more important than at.
func (b *Bulkhead) makeRoom(at int) bool {
	for i := levels - 1; i >= at; i-- {
		var longest *flow
		for _, f := range b.levels[i].active {
			if f.n > 0 && (longest == nil || f.n > longest.n) {
				longest = f
			}
		}
		if longest != nil {
			w := longest.oldest
			b.remove(w)
			b.overfull++
			w.ready <- b.full()
			return true
		}
	}
	return false
}

// leave takes w out because its time is over, or for cause. Called at the same moment it stays.
func (b *Bulkhead) leave(w *waiter, cause error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if w.out {
		return <-w.ready
	}
	b.remove(w)
	if cause != nil {
		b.left++
		return cause
	}
	b.expired++
	return b.full()
}

func (f *flow) append(w *waiter) {
	w.prev = f.newest
	if f.newest == nil {
		f.oldest = w
	} else {
		f.newest.next = w
	}
	f.newest = w
	f.n++
}

func (b *Bulkhead) remove(w *waiter) {
	f := w.flow
	if w.prev == nil {
		f.oldest = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		f.newest = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.next, w.prev, w.out = nil, nil, true
	f.n--
	w.level.n--
	b.waiting--
	if f.n == 0 {
		w.level.inactive(f)
	}
}

// dispatch starts who is next while slots are free.
func (b *Bulkhead) dispatch(now time.Time) {
	for b.waiting > 0 && b.inFlight < b.inForce() {
		at := b.nextLevel()
		w := b.levels[at].nextWaiter(now, b.slack(b.cfg.Patience))
		b.remove(w)
		if w.flow.n == 0 {
			w.flow.since = now
		}
		w.began = now
		w.charged = b.mean
		w.level.use(w.flow, w.charged, b.memory())
		b.start(at, now)
		w.ready <- nil
	}
}

// nextLevel is the highest level that waits; the lowest, if it got less than Floor.
func (b *Bulkhead) nextLevel() int {
	high, low := -1, -1
	for i := range b.levels {
		if b.levels[i].n > 0 {
			low = i
			if high < 0 {
				high = i
			}
		}
	}
	if float64(b.share.by[low]) < b.cfg.Floor*float64(b.share.total) {
		return low
	}
	return high
}

// nextWaiter takes the flow that had least service of late, of equals the one whose oldest came
// first. In it that is the oldest, but the newest once the flow has not been empty for one slack:
// some are served at once instead of all too late.
func (l *level) nextWaiter(now time.Time, slack time.Duration) *waiter {
	f := l.active[0]
	for _, other := range l.active[1:] {
		if other.used < f.used || other.used == f.used && other.oldest.until.Before(f.oldest.until) {
			f = other
		}
	}
	if now.Sub(f.since) > slack {
		return f.newest
	}
	return f.oldest
}

// memory is the service that all slots do within one patience.
func (b *Bulkhead) memory() time.Duration {
	return time.Duration(min(b.limit*float64(b.cfg.Patience), math.MaxInt64/2))
}
