package throttle

import (
	"sync/atomic"
	"time"
)

// A breaker bounds what a store that is slow or dead can cost: how many trips are under way, and
// how often anybody waits for one in vain.
type breaker struct {
	trips    atomic.Int64 // under way
	failures atomic.Int64 // in a row
	open     atomic.Bool
	opened   atomic.Int64 // ns; when
	closings atomic.Int64 // how often it has been closed again
	probeAt  atomic.Int64 // ns; of the limiter's clock
	pause    atomic.Int64 // ns; between probes
}

const (
	// maxTrips is half of rueidis's ring of 1,024 commands, which ignores a context when it is
	// full. With a stopped Redis 3,000 callers of 25 ms each waited up to 11.3 s for it.
	maxTrips    = 512
	maxFailures = 5
	firstPause  = 100 * time.Millisecond
	maxPause    = 5 * time.Second

	// minPatience is what a probe has: it is there that connections are made again.
	minPatience = time.Second
)

// enter begins a trip, unless there are too many; leave ends it.
func (b *breaker) enter() bool {
	if b.trips.Add(1) > maxTrips {
		b.trips.Add(-1)
		return false
	}
	return true
}

func (b *breaker) leave() { b.trips.Add(-1) }

// note notes what came of a trip, and reports whether that has opened the breaker. A trip that began
// before the breaker was last closed says nothing about the store as it is.
func (b *breaker) note(err error, closings, now int64) (opened bool) {
	switch {
	case err == nil:
		if b.failures.Load() > 0 {
			b.failures.Store(0)
		}
	case closings != b.closings.Load():
	case b.failures.Add(1) >= maxFailures && !b.open.Load():
		b.opened.Store(now)
		b.pause.Store(int64(firstPause))
		b.probeAt.Store(now + int64(firstPause))
		return b.open.CompareAndSwap(false, true)
	}
	return false
}

// due reports whether a probe is, which may take patience, and lets only one have it. One that does not
// come back, whatever its context says, is not waited for: the next is due as if it had failed.
func (b *breaker) due(now int64, patience time.Duration) bool {
	at, pause := b.probeAt.Load(), min(2*b.pause.Load(), int64(maxPause))
	if now < at || !b.probeAt.CompareAndSwap(at, now+int64(patience)+pause) {
		return false
	}
	b.pause.Store(pause)
	return true
}

// probed notes what came of a probe, and reports whether that has closed the breaker.
func (b *breaker) probed(err error, now int64) (closed bool) {
	if err == nil {
		b.failures.Store(0)
		b.closings.Add(1)
		return b.open.CompareAndSwap(true, false)
	}
	b.probeAt.Store(now + b.pause.Load())
	return false
}

// isOpen reports whether nobody is to wait for the store, and sees to it that it is asked.
func (l *core) isOpen(s *state, now int64) bool {
	b := &l.breaker
	if !b.open.Load() {
		return false
	}
	if patience := max(s.cfg.Budget, minPatience); b.due(now, patience) && b.enter() {
		go l.probe(s, patience)
	}
	return true
}
