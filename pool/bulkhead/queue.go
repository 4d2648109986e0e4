package bulkhead

import (
	"context"
	"hash/maphash"
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
}

// A flow is one queue: a list, oldest first.
type flow struct {
	oldest, newest *waiter
	n              int
	since          time.Time // not empty since
	active         bool
}

// A level holds the flows of one priority; those with waiters take turns.
type level struct {
	flows  [flows]flow
	active []*flow // in the order of their turns
	fresh  int     // the first so many have had no turn since they were empty (as in FQ-CoDel, RFC 8290)
	n      int
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
func (b *Bulkhead) line(ctx context.Context, tenant string, at int, now time.Time) (*waiter, error) {
	patience := b.cfg.Patience
	if end, ok := ctx.Deadline(); ok {
		patience = min(patience, end.Sub(now))
	}
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
		if b.work(ahead) > 2*slack {
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
	}
	f.append(w)
	l.n++
	b.waiting++
	if !f.active {
		f.active = true
		l.active = slices.Insert(l.active, l.fresh, f)
		l.fresh++
	}
	return w, nil
}

// choose takes the shortest of a tenant's queues, so that a flood never shares all queues of a
// small one.
func (l *level) choose(hash uint64) *flow {
	f := &l.flows[hash%flows]
	for range choices - 1 {
		hash >>= 8
		if other := &l.flows[hash%flows]; other.n < f.n {
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

// work is how long n requests take with the limit in force.
func (b *Bulkhead) work(n int) time.Duration {
	return time.Duration(float64(n) * float64(b.mean) / b.limit)
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
		b.start(at)
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

// nextWaiter takes turns between flows. In each it is the oldest, but the newest once the flow
// has not been empty for one slack: some are served at once instead of all too late.
func (l *level) nextWaiter(now time.Time, slack time.Duration) *waiter {
	for {
		f := l.active[0]
		l.fresh = max(0, l.fresh-1)
		copy(l.active, l.active[1:])
		last := len(l.active) - 1
		if f.n == 0 {
			f.active = false
			l.active[last] = nil
			l.active = l.active[:last]
			continue
		}
		l.active[last] = f
		if now.Sub(f.since) > slack {
			return f.newest
		}
		return f.oldest
	}
}
