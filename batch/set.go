package batch

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"time"
)

// A set is what one loader holds in one scope, or for all callers without one: answers that are
// remembered, batches in flight, and the one that still takes keys.
type set[K comparable, V any] struct {
	l     *Loader[K, V]
	scope *scope // nil: callers without one

	mu         sync.Mutex // before that of the scope; no user code runs under it
	entries    map[K]*entry[K, V]
	most       int            // entries there have been at a time
	open       *batch[K, V]   // takes new keys
	filled     []*batch[K, V] // of a scope: somebody may wait for them
	full       []*batch[K, V] // wait for MaxConcurrent
	flying     int            // fetches, of which
	deserted   int            // nobody waits for any more: MaxConcurrent counts them, the gate does not
	remembered int            // answers
	calls      uint64         // of LoadAll
	epoch      uint64         // of the scope, that those are from
}

// An entry is one key of a set. When its batch has landed, or when it is known, v and err are
// never written again.
type entry[K comparable, V any] struct {
	key     K
	v       V
	err     error
	b       *batch[K, V]
	callers int32
	call    uint64 // of LoadAll, that asked last
	known   bool   // remembered
	gone    bool   // everybody left before departure
}

// gate is how many fetches may be in flight for a batch that is not full to leave: one works while
// the next one fills. One adds the source's time to bursts, four doubles the number of fetches, and
// without a bound a source is overloaded at 20,000 loads a second.
const gate = 2

// maxYields bounds how often a batch lets others run before it leaves.
const maxYields = 64

// roomyMap is how many entries an idle map may have had and be kept: maps do not shrink.
const roomyMap = 1024

func (s *set[K, V]) put(key K, e *entry[K, V]) {
	if s.entries == nil {
		s.entries = make(map[K]*entry[K, V])
	}
	s.entries[key] = e
	s.most = max(s.most, len(s.entries))
}

func (s *set[K, V]) remove(e *entry[K, V]) {
	if s.entries[e.key] != e {
		return // forgotten, and maybe asked for anew
	}
	delete(s.entries, e.key)
	if len(s.entries) == 0 && s.most > roomyMap {
		s.entries, s.most = nil, 0
	}
}

// forget takes e out of what later callers find. A batch that has not left yet will fetch it
// after the forgetting.
func (s *set[K, V]) forget(e *entry[K, V]) {
	if e == nil || e.b != nil && e.b.state < flying {
		return
	}
	if e.known {
		s.remembered--
	}
	s.remove(e)
}

func (s *set[K, V]) forgetAll() {
	for _, e := range s.entries {
		s.forget(e)
	}
}

// renew ends what is remembered if the scope has ended it.
func (s *set[K, V]) renew() {
	if s.scope == nil {
		return
	}
	if now := s.scope.epoch.Load(); now != s.epoch {
		s.epoch = now
		s.forgetAll()
	}
}

// fresh reports whether no answer may be older than its question: then only batches that have not
// left are joined. What stands in front of a loader and is shared, as a cache, must not be given
// again what it has just dropped because of a write.
func (s *set[K, V]) fresh() bool { return s.scope == nil || s.l.cfg.MaxMemo < 0 }

// join returns the entry of key, and makes a caller of who waits for it: to be followed by want
// and await, unless it is known. call is that of a LoadAll, whose keys may be repeated; 0: none. s.mu
// is held.
func (s *set[K, V]) join(ctx context.Context, t *task, key K, call uint64) *entry[K, V] {
	s.renew()
	counters := s.l.counters.Here()
	e := s.entries[key]
	if e != nil && s.fresh() && e.b.state >= flying && (call == 0 || e.call != call) && !(t != nil && t.node != nil && e.b.ctx.node.reaches(t.node)) {
		e = nil // unless it needs itself, which await sees
	}
	if e != nil && e.known {
		counters.remembered.Add(1)
		return e
	}
	isNew := e == nil
	if isNew {
		if s.open == nil {
			s.open = &batch[K, V]{set: s, opened: time.Now()}
			s.open.init()
		}
		e = s.open.add(key)
		s.put(key, e)
		counters.fetched.Add(1)
	} else {
		counters.joined.Add(1)
	}
	b := e.b
	e.callers++
	e.call = call
	b.callers++
	b.ctx.admit(ctx)
	if isNew && b.live == s.l.cfg.MaxKeys {
		if b.state == open && b.wanted == 0 {
			b.fill()
		} else {
			s.close(b)
		}
	}
	return e
}

// close lets a full batch go, as soon as MaxConcurrent allows.
func (s *set[K, V]) close(b *batch[K, V]) {
	if b.state == filled {
		s.filled = slices.DeleteFunc(s.filled, func(other *batch[K, V]) bool { return other == b })
	} else {
		s.open = nil
	}
	b.stop()
	b.reason = fullBatch
	if !b.urgent && s.flying >= s.l.cfg.MaxConcurrent {
		b.state = queued
		s.full = append(s.full, b)
		return
	}
	s.depart(b)
	go s.fly(b)
}

// closeFilled lets what was only deferred go along. s.mu is held.
func (s *set[K, V]) closeFilled() {
	for len(s.filled) > 0 {
		s.close(s.filled[0])
	}
}

// want says that a caller of e with the task t is about to wait. s.mu is held.
func (s *set[K, V]) want(e *entry[K, V], t *task) {
	b := e.b
	b.wanted++
	if b.state >= flying {
		return
	}
	// What is asked for inside of a Fetch waits neither at the gate nor for MaxConcurrent, for the
	// one who has to end there may wait for it.
	b.urgent = b.urgent || t != nil && t.node != nil
	switch {
	case b.state == filled:
		s.close(b)
		s.closeFilled()
	case b.urgent && (b.state >= held || !t.counted):
		b.hurry()
	case b.state != open:
	case s.scope == nil:
		b.ripen(unscopedBatch)
	case s.l.cfg.MaxWait < 0:
		b.ripen(waitedBatch)
	}
}

// waitedFor reports whether somebody waits for the batch that is open.
func (s *set[K, V]) waitedFor() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open != nil && s.open.state == open && s.open.wanted > 0
}

// quiet lets the open batch go.
func (s *set[K, V]) quiet() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.open; b != nil && b.state == open && b.callers > 0 {
		b.ripen(quietBatch)
	}
	s.closeFilled()
}

// await waits for e. It is called with s.mu held, and lets it go.
func (s *set[K, V]) await(ctx context.Context, t *task, e *entry[K, V]) (v V, err error) {
	b := e.b
	if b.state == landed {
		s.mu.Unlock()
		return e.v, e.err
	}
	if ctx.Err() != nil {
		s.drop(e)
		s.mu.Unlock()
		return v, context.Cause(ctx)
	}
	var on *node
	if t != nil && t.node != nil {
		if on = t.node; !on.waitFor(&b.ctx.node) {
			s.drop(e)
			s.mu.Unlock()
			return v, errSelf
		}
	}
	var c calm
	if t != nil && t.counted {
		b.tasks = append(b.tasks, t)
		if c = t.enter(); c.from == nil && b.state == open && b.timer == nil {
			b.timer = time.AfterFunc(s.l.cfg.MaxWait, b.late)
		}
	}
	s.mu.Unlock()
	c.act()
	select {
	case <-b.done:
		v, err = e.v, e.err
	case <-ctx.Done():
		err = context.Cause(ctx)
		s.mu.Lock()
		if b.state != landed {
			if t != nil && t.counted {
				b.unlist(t)
				t.leave()
			}
			s.drop(e)
		}
		s.mu.Unlock()
	}
	if on != nil {
		on.waited(&b.ctx.node)
	}
	return v, err
}

// drop takes a caller who waited away from e. s.mu is held.
func (s *set[K, V]) drop(e *entry[K, V]) {
	e.b.wanted--
	s.leave(e)
}

// leave takes a caller away from e, who did not wait. s.mu is held.
func (s *set[K, V]) leave(e *entry[K, V]) {
	b := e.b
	e.callers--
	b.callers--
	if b.state < flying {
		if e.callers == 0 {
			e.gone = true
			b.live--
			s.remove(e)
			s.l.counters.Here().left.Add(1)
		}
		return
	}
	if b.callers == 0 && b.state == flying {
		for e := range b.entries() {
			s.remove(e)
		}
		b.ctx.cancel(context.Canceled)
		b.deserted = true
		s.deserted++
		if next := s.next(); next != nil { // Fetch may not care that nobody waits
			go s.fly(next)
		}
	}
}

// gateOpen reports whether a batch that is not full may leave. s.mu is held.
func (s *set[K, V]) gateOpen() bool {
	return s.flying-s.deserted < gate && s.flying < s.l.cfg.MaxConcurrent
}

// abandon is called when a caller's context has ended who did not wait.
func (s *set[K, V]) abandon(e *entry[K, V]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.b.state != landed {
		s.leave(e)
	}
}

// lift lets the processor go to others until no key joins any more; then b leaves, if the gate
// lets it.
func (s *set[K, V]) lift(b *batch[K, V]) {
	s.mu.Lock()
	for range maxYields {
		before := b.size
		s.mu.Unlock()
		runtime.Gosched()
		s.mu.Lock()
		if b.size == before || b.state != ripe {
			break
		}
	}
	if b.state != ripe { // it was full, or in a hurry
		s.mu.Unlock()
		return
	}
	if !b.urgent && !s.gateOpen() {
		b.hold()
		s.mu.Unlock()
		return
	}
	s.depart(b)
	s.mu.Unlock()
	s.fly(b)
}

// depart ends the time in which keys can join b. s.mu is held, and the caller starts fly.
func (s *set[K, V]) depart(b *batch[K, V]) {
	if s.open == b {
		s.open = nil
	}
	b.stop()
	b.state = flying
	s.flying++
}

// next returns the batch that there is room for now; nil: none. s.mu is held, and the caller starts fly.
func (s *set[K, V]) next() (b *batch[K, V]) {
	switch {
	case len(s.full) > 0 && s.flying < s.l.cfg.MaxConcurrent:
		b, s.full[0] = s.full[0], nil
		s.full = s.full[1:]
	case s.open != nil && s.open.state == held && (s.gateOpen() || s.open.overdue && s.flying < s.l.cfg.MaxConcurrent):
		b = s.open
	default:
		return nil
	}
	s.depart(b)
	return b
}
